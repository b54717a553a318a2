"""Design: the axes of a study at a profile, and the cells that they define."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ablate.errors import Problem, UserError, nearest
from ablate.study.cells.cell import Cell, Naming, Scalar, axis_text, split_values, texts_of, value_key
from ablate.study.cells.condition import Condition, has_value, valid_condition
from ablate.study.expansion.combinations import Factor, combines, in_words, levels_of, most_levels, start_of
from ablate.study.expansion.layers import CellSettings, Layer, nested, over
from ablate.study.schema.design import BASED, RANDOM_REMOVALS, DesignTable
from ablate.study.schema.study import EVALUATION, Axis, Study, axes_of
from ablate.study.toml.positions import Key, Source


@dataclass(frozen=True)
class Design:
    """What a study varies at one profile."""

    factors: list[dict[str, Axis]]
    """Groups of axes that vary together."""
    axes: dict[str, Axis]
    """All axes by name."""
    rule: DesignTable | None = None
    """Which combinations of their values are cells; None: all."""
    at_profile: Key = ()
    """The key of the profile's overrides in the study file."""
    overridden: frozenset[str] = frozenset()
    """The axes whose values are overridden there."""

    @property
    def size(self) -> int:
        """The number of combinations of values, including excluded ones."""
        rows = math.prod(len(next(iter(factor.values())).values) for factor in self.crossed if factor)
        return rows * (most_levels(self.rule, self.combined) if self.rule else 1)

    @property
    def crossed(self) -> list[dict[str, Axis]]:
        """The factors that are combined with every cell: all of them without `[design]`."""
        return [factor for factor in self.factors if EVALUATION in factor or not combines(self.rule, factor)]

    @property
    def combined(self) -> list[Factor]:
        """The factors of `[design]`, with their values."""
        ruled = (factor for factor in self.factors if EVALUATION not in factor and combines(self.rule, factor))
        return [{name: axis.names for name, axis in factor.items()} for factor in ruled]

    @property
    def naming(self) -> Naming | None:
        """How cells are called by what they differ in; None without a cell from which all others differ."""
        if self.rule is None or self.rule.kind not in BASED:
            return None
        rows = zip(self.combined, start_of(self.rule, self.combined), strict=True)
        start = {name: values[level] for factor, level in rows for name, values in factor.items()}
        return Naming(self.rule.kind, start, {name: axis.label for name, axis in self.axes.items() if axis.label})

    @property
    def sample(self) -> str | None:
        """What a sample of all combinations is, in words; None for other designs."""
        return in_words(self.rule, self.combined) if self.rule else None

    @property
    def choices(self) -> dict[str, list[str]]:
        """The values of each axis as text, as on the command line."""
        return {name: [axis_text(value) for value in axis.names] for name, axis in self.axes.items()}


def design(study: Study, profile: str = "") -> Design:
    """The axes with their values at a profile, by default those of the file; `[evaluate]` is the last one."""
    overrides = study.overrides(profile)
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
    return Design(factors, axes, study.design, ("profile", profile), frozenset(overrides.axes))


def cells(study: Study, design: Design, source: Source) -> Iterator[CellSettings]:
    """The cells of the grid that are not excluded, in the order of the file, then the cases.

    A cell lacks the axes whose conditions it does not satisfy; cells that become equal are listed once.
    """
    layers = _layers(study, design, source)
    for point in points(study, design):
        yield CellSettings(Cell(point), [layers[name][value_key(value)] for name, value in point.items()])
    evaluations = [{EVALUATION: name} for name in design.axes[EVALUATION].names] if study.evaluate else [{}]
    for (number, case), evaluation in itertools.product(enumerate(study.every_case), evaluations):
        own = _of_case(study, number, source)
        shared = [layers[EVALUATION][value_key(each)] for each in evaluation.values()]
        yield CellSettings(Cell(evaluation, case.name), [*shared, own])


def points(study: Study, design: Design) -> Iterator[dict[str, Scalar]]:
    """The values of each cell of the grid that is not excluded."""
    rules = [rule for _, rule in _rules(study, design)]
    return (point for point in _points(study, design) if not any(rule(point) for rule in rules))


def _points(study: Study, design: Design) -> Iterator[dict[str, Scalar]]:
    """The grid's combinations of values: the product of all factors, or those of `[design]`."""
    if not design.factors or not (study.axes or study.zip or not study.cases):
        return
    whens = {name: valid_condition(axis.when, design.axes) for name, axis in design.axes.items() if axis.when}
    conditions = {name: when for name, when in whens.items() if when}
    seen: set[tuple[tuple[str, str, Scalar], ...]] = set()
    for combination in _combinations(design):
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


def _combinations(design: Design) -> Iterator[tuple[list[tuple[str, Scalar]], ...]]:
    """A row of each factor: all combinations, or those of `[design]`, each with all of the other factors."""
    if design.rule is None:
        yield from itertools.product(*map(_rows, design.factors))
        return
    combined, crossed = design.combined, list(map(_rows, design.crossed))
    for levels in levels_of(design.rule, combined):
        own = [
            [(name, values[level]) for name, values in factor.items()]
            for factor, level in zip(combined, levels, strict=True)
        ]
        yield from ((*own, *others) for others in itertools.product(*crossed))


def layers_alone(study: Study, design: Design, source: Source) -> Iterator[Layer]:
    """The settings of each value of each axis, and of each case."""
    for values in _layers(study, design, source).values():
        yield from values.values()
    yield from (_of_case(study, number, source) for number in range(len(study.every_case)))


def _of_case(study: Study, number: int, source: Source) -> Layer:
    """The settings of a case; those without random items are located where `[design]` asks for them."""
    key = ("cases", number, "set") if number < len(study.cases) else RANDOM_REMOVALS
    return Layer(study.every_case[number].set, source, key)


def _rows(factor: dict[str, Axis]) -> list[list[tuple[str, Scalar]]]:
    names = list(factor)
    values = zip(*(axis.names for axis in factor.values()), strict=False)  # unequal lengths were reported by `checks`
    return [list(zip(names, row, strict=True)) for row in values]


def _layers(study: Study, design: Design, source: Source) -> dict[str, dict[tuple[str, Scalar], Layer]]:
    """The settings of each value of each axis, built once for all cells."""
    places = {name: key for key, name, _ in axes_of(study)}
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
                nested(axis.settings(value)),
                source,
                (*values, str(value) if named else number),
                below=axis.setting.count(".") + 1,
                name=(*places[name], "setting"),
            )
            for number, value in enumerate(axis.names)
        }
    return found


def idle_rules(study: Study, design: Design) -> set[int]:
    """The indices of the entries of `exclude` that match no combination of values."""
    idle = dict(_rules(study, design))
    for point in _points(study, design) if idle else ():
        for number in [number for number, rule in idle.items() if rule(point)]:
            del idle[number]
        if not idle:
            break
    return set(idle)


def _rules(study: Study, design: Design) -> list[tuple[int, Condition]]:
    """The entries of `exclude` with their indices, without invalid ones, which were reported by `checks`."""
    rules = [
        (number, valid_condition(rule, design.axes) if isinstance(rule, str) else _matches(rule))
        for number, rule in enumerate(study.exclude)
    ]
    return [(number, rule) for number, rule in rules if rule]


def _matches(rule: dict[str, Any]) -> Condition | None:
    """A condition: on each axis that the rule names, a cell has its value, or one of its values."""
    wanted = {name: value if isinstance(value, list) else [value] for name, value in rule.items()}
    if not wanted:
        return None
    return lambda cell: all(name in cell and has_value(values, cell[name]) for name, values in wanted.items())


def wanted(study: Study, design: Design, only: Mapping[str, Iterable[str]]) -> Callable[[Cell], bool]:
    """Whether `--only` keeps a cell: by the values of axes, or by `case=NAME`. Raises UserError for unknown names."""
    choices = design.choices | {"case": [case.name for case in study.every_case]}
    chosen = {
        name: {each for text in values for each in split_values(text, texts_of(choices.get(name, [])))}
        for name, values in only.items()
    }
    problems = []
    for name, values in chosen.items():
        if name not in choices:
            message = f"--only {name}=...: unknown axis{nearest(name, choices)}"
            problems.append(Problem(message, help=f"axes are: {', '.join(choices)}"))
            continue
        for value in sorted(values - set(choices[name])):
            valid = choices[name]
            message = f"--only {name}={value}: unknown value{nearest(value, valid)}"
            problems.append(Problem(message, help=f"values are: {', '.join(valid)}"))
    if problems:
        raise UserError(*problems)
    on_axes = {name: values for name, values in chosen.items() if name != "case"}

    def keeps(cell: Cell) -> bool:
        of_cell = {name: values for name, values in on_axes.items() if name in cell.axes}
        if any(axis_text(cell.axes[name]) not in values for name, values in of_cell.items()):
            return False
        if cell.case is None:  # choosing a case excludes the grid, unless values of its axes are chosen too
            return len(of_cell) == len(on_axes) and (bool(set(on_axes) - {EVALUATION}) or "case" not in chosen)
        return cell.case in chosen["case"] if "case" in chosen else len(of_cell) == len(on_axes)

    return keeps
