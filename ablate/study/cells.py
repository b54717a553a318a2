"""Axes, zips, evaluations and cases to cells, in the order of the file: pure."""

import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ablate.errors import Problem, UserError, nearest
from ablate.study.expression import Condition, condition, has_value
from ablate.study.layers import Cell, Layer, nested, over
from ablate.study.locate import Key
from ablate.study.schema import EVALUATION, Axis, ProfileOverrides, Study
from ablate.study.source import Source
from ablate.study.values import Scalar


@dataclass(frozen=True)
class Design:
    """What a study varies at one profile."""

    factors: list[dict[str, Axis]]
    """Groups of axes whose values move together."""
    axes: dict[str, Axis]
    """All of them by name."""
    at_profile: Key = ()
    """Where the study file has what differs at the profile."""
    overridden: frozenset[str] = frozenset()
    """Axes whose values stand there."""

    @property
    def size(self) -> int:
        """How many combinations of values there are, excluded ones too."""
        return math.prod(len(next(iter(factor.values())).values) for factor in self.factors if factor)

    @property
    def choices(self) -> dict[str, list[str]]:
        """The values of each axis as the command line writes them."""
        return {name: [text_of(value) for value in axis.names] for name, axis in self.axes.items()}


def design(study: Study, overrides: ProfileOverrides, profile: str = "") -> Design:
    """The axes with the values that they have at a profile; `[evaluate]` is the last of them."""
    factors = [
        {
            name: axis.model_copy(update={"values": overrides.axes[name]}) if name in overrides.axes else axis
            for name, axis in factor.items()
        }
        for factor in study.factors
    ]
    if study.evaluate:
        tables = {name: over(table, overrides.evaluate.get(name, {})) for name, table in study.evaluate.items()}
        factors.append({EVALUATION: Axis(setting="evaluate", values=tables)})
    axes = {name: axis for factor in factors for name, axis in factor.items()}
    return Design(factors, axes, ("profile", profile), frozenset(overrides.axes))


def cells(study: Study, design: Design, source: Source) -> Iterator[Cell]:
    """Every cell of the grid that is not excluded, then the cases.

    An axis whose condition does not hold is left out of a cell; cells that are then the same come once.
    """
    layers = _layers(study, design, source)
    rules = [rule for _, rule in _rules(study, design)]
    for point in _points(study, design):
        if not (rules and any(rule(point) for rule in rules)):
            yield Cell(point, None, [layers[name][value_key(value)] for name, value in point.items()])
    evaluations = [{EVALUATION: name} for name in design.axes[EVALUATION].names] if study.evaluate else [{}]
    for (number, case), evaluation in itertools.product(enumerate(study.cases), evaluations):
        own = Layer(case.set, source, ("cases", number, "set"))
        yield Cell(evaluation, case.name, [*(layers[EVALUATION][value_key(each)] for each in evaluation.values()), own])


def at_paper_scale(study: Study, source: Source) -> tuple[dict[str, Axis], list[Cell]]:
    """The axes with the values that they have at the paper's profile, and the cells of these."""
    varied = design(study, study.profile.get(study.paper_profile, ProfileOverrides()), study.paper_profile)
    return varied.axes, list(cells(study, varied, source))


def _points(study: Study, design: Design) -> Iterator[dict[str, Scalar]]:
    """The grid's combinations of values: those of each factor with those of each other."""
    if not design.factors or not (study.axes or study.zip or not study.cases):
        return
    whens = {name: _compiled(axis.when, design) for name, axis in design.axes.items() if axis.when}
    conditions = {name: when for name, when in whens.items() if when}
    seen: set[tuple[tuple[str, str, Scalar], ...]] = set()
    for combination in itertools.product(*map(_rows, design.factors)):
        point = {name: value for row in combination for name, value in row}
        for name, holds in conditions.items():
            if not holds(point):
                del point[name]
        if conditions:
            key = tuple((name, *value_key(value)) for name, value in point.items())
            if key in seen:
                continue
            seen.add(key)
        yield point


def layers_alone(study: Study, design: Design, source: Source) -> Iterator[Layer]:
    """The settings of each value of each axis, and of each case."""
    for values in _layers(study, design, source).values():
        yield from values.values()
    for number, case in enumerate(study.cases):
        yield Layer(case.set, source, ("cases", number, "set"))


def value_key(value: Scalar) -> tuple[str, Scalar]:
    """A value as a key that tells true from 1."""
    return type(value).__name__, value


def _rows(factor: dict[str, Axis]) -> list[list[tuple[str, Scalar]]]:
    names = list(factor)
    values = zip(*(axis.names for axis in factor.values()), strict=False)  # unequal lengths are told when it is read
    return [list(zip(names, row, strict=True)) for row in values]


def _layers(study: Study, design: Design, source: Source) -> dict[str, dict[tuple[str, Scalar], Layer]]:
    """The settings of each value of each axis, made once for all cells."""
    places: dict[str, Key] = {name: ("axes", name) for name in study.axes}
    places |= {name: ("zip", number, name) for number, block in enumerate(study.zip) for name in block}
    found: dict[str, dict[tuple[str, Scalar], Layer]] = {}
    for name, axis in design.axes.items():
        if name == EVALUATION and study.evaluate:
            found[name] = {
                value_key(value): Layer(
                    {"evaluate": axis.value(value)},
                    source,
                    ("evaluate", str(value)),
                    below=1,
                    first=(*design.at_profile, "evaluate", str(value)),
                )
                for value in axis.names
            }
            continue
        overridden = name in design.overridden
        values = (*design.at_profile, "axes", name) if overridden else (*places[name], "values")
        named = isinstance(axis.values, dict)
        found[name] = {
            value_key(value): Layer(
                nested({axis.setting: axis.value(value)}),
                source,
                (*values, str(value) if named else number),
                below=axis.setting.count(".") + 1,
                name=(*places[name], "setting"),
            )
            for number, value in enumerate(axis.names)
        }
    return found


def idle_rules(study: Study, design: Design) -> set[int]:
    """Numbers of the `exclude` that no combination of values matches."""
    idle = dict(_rules(study, design))
    for point in _points(study, design) if idle else ():
        for number in [number for number, rule in idle.items() if rule(point)]:
            del idle[number]
        if not idle:
            break
    return set(idle)


def _rules(study: Study, design: Design) -> list[tuple[int, Condition]]:
    """What `exclude` has, with numbers; less what is told as a mistake when the study is read."""
    rules = [
        (number, _compiled(rule, design) if isinstance(rule, str) else _matches(rule))
        for number, rule in enumerate(study.exclude)
    ]
    return [(number, rule) for number, rule in rules if rule]


def _compiled(text: str, design: Design) -> Condition | None:
    """A condition; None where it is none, which is told when the study is read."""
    try:
        return condition(text, design.axes)
    except ValueError:
        return None


def _matches(rule: dict[str, Any]) -> Condition | None:
    """Whether a cell has, on each axis that the rule names, the value or one of the values that it gives."""
    wanted = {name: value if isinstance(value, list) else [value] for name, value in rule.items()}
    if not wanted:
        return None
    return lambda cell: all(name in cell and has_value(values, cell[name]) for name, values in wanted.items())


def wanted(study: Study, design: Design, only: Mapping[str, Iterable[str]]) -> Callable[[Cell], bool]:
    """Which cells `--only` keeps: a grid's by the values of axes, cases by `case=NAME`. Raises UserError."""
    choices = design.choices | {"case": [case.name for case in study.cases]}
    chosen = {name: set(values) for name, values in only.items()}
    problems = []
    for name, values in chosen.items():
        if name not in choices:
            told = f"--only {name}=...: unknown axis{nearest(name, choices)}"
            problems.append(Problem(told, help=f"axes are: {', '.join(choices)}"))
            continue
        for value in sorted(values - set(choices[name])):
            valid = choices[name]
            told = f"--only {name}={value}: unknown value{nearest(value, valid)}"
            problems.append(Problem(told, help=f"values are: {', '.join(valid)}"))
    if problems:
        raise UserError(*problems)
    on_axes = {name: values for name, values in chosen.items() if name != "case"}

    def keeps(cell: Cell) -> bool:
        of_cell = {name: values for name, values in on_axes.items() if name in cell.axes}
        if any(text_of(cell.axes[name]) not in values for name, values in of_cell.items()):
            return False
        if cell.case is None:  # a case is named beside the grid, unless a value is chosen that only the grid has
            return len(of_cell) == len(on_axes) and (bool(set(on_axes) - {EVALUATION}) or "case" not in chosen)
        return cell.case in chosen["case"] if "case" in chosen else len(of_cell) == len(on_axes)

    return keeps


def text_of(value: Scalar) -> str:
    """A value as the command line writes it: text as it is, numbers and truth as in JSON."""
    return value if isinstance(value, str) else json.dumps(value)
