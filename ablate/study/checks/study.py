"""Checks that the schema cannot express: names that must agree, conditions, values of profiles."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pydantic

from ablate.errors import nearest, value_text
from ablate.study.cells.cell import Scalar
from ablate.study.cells.condition import has_value, names_in, no_value, wrong_condition
from ablate.study.schema.resources import Resources
from ablate.study.schema.study import COLUMNS, EVALUATION, RESERVED_NAMES, Axis, Study, axes_of
from ablate.study.toml.positions import Key
from ablate.study.toml.problems import Problems, problem


def check_study(study: Study, profiles: list[str]) -> Problems:
    """Problems of axes, conditions, cases, settings and profiles. profiles: the existing ones."""
    for check in (_name, _axis_names, _settings, _zips, _conditions, _excluded, _cases, _base, _resources):
        yield from check(study)
    for message, key, help in _profiles(study, profiles):
        yield f"profile.{message}", ("profile", *key), help


def _name(study: Study) -> Problems:
    if study.name in RESERVED_NAMES:
        yield f"name = '{study.name}' is reserved for a table of the store", ("name",), "rename the study and its file"


def _axis_names(study: Study) -> Problems:
    seen: set[str] = set()
    for key, name, axis in axes_of(study):
        if name in COLUMNS and axis.setting != "seed":
            message = f"'{name}' is reserved and cannot name an axis"
            yield message, key, f'rename it, for example {name}_ = {{ setting = "{axis.setting}", values = ... }}'
        if name in seen or (name == EVALUATION and study.evaluate):
            taken = "[evaluate]" if name == EVALUATION else "[axes] or a [[zip]]"
            yield f"there are two axes called '{name}'", key, f"{taken} already defines it; rename this one"
        seen.add(name)


def _settings(study: Study) -> Problems:
    for (_, first, one), (key, second, two) in _overlapping(list(axes_of(study))):
        if first == second or (one.setting == two.setting and one.remove and two.remove):
            continue  # reported already; or two parts of one list, which can both be removed
        both = one.setting if one.setting == two.setting else f"{one.setting}, {two.setting}"
        message = f"the axes '{first}' and '{second}' set the same setting: {both}"
        help = "one would override the other; combine them into one axis with named values"
        yield message, (*key, "setting"), help
    for key, name, axis in axes_of(study):
        if axis.setting == "seed":
            yield f"the axis '{name}' varies the seed", (*key, "setting"), "use seeds = [...] instead"
        if not all(axis.setting.split(".")):
            message = f"the axis '{name}': setting = {value_text(axis.setting)} is not a dotted path"
            yield message, (*key, "setting"), "for example loss.temperature"
        if study.evaluate and (axis.setting == "evaluate" or axis.setting.startswith("evaluate.")):
            yield f"the axis '{name}' varies {axis.setting}, and so does [evaluate]", key, "remove one of them"


_Placed = tuple[Key, str, Axis]


def _overlapping(axes: list[_Placed]) -> Iterator[tuple[_Placed, _Placed]]:
    """Pairs of axes that set the same setting, or of which one sets a part of the other's."""
    known: dict[str, _Placed] = {}
    above: dict[str, _Placed] = {}
    for axis in axes:
        parts = axis[2].setting.split(".")
        paths = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        if other := next((known[path] for path in paths if path in known), above.get(paths[-1])):
            yield other, axis
        known.setdefault(paths[-1], axis)
        for path in paths:
            above.setdefault(path, axis)


def _zips(study: Study) -> Problems:
    for number, block in enumerate(study.zip):
        lengths = {name: len(axis.names) for name, axis in block.items()}
        if len(set(lengths.values())) > 1:
            message = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            yield f"axes of one [[zip]] must have equally many values: {message}", ("zip", number), None
        rows = Counter(zip(*(axis.names for axis in block.values()), strict=False))
        if twice := next((row for row, count in rows.items() if count > 1), None):
            combination = ", ".join(map(value_text, twice))
            yield f"the combination {combination} is listed twice in a [[zip]]", ("zip", number), None
        if not block:
            yield "an empty [[zip]]", ("zip", number), "add axes, for example depth = [18, 34]"


def _cases(study: Study) -> Problems:
    names: set[str] = set()
    known: dict[str, str] = {}
    for number, case in enumerate(study.cases):
        same = known.setdefault(repr(case.set), case.name)
        if case.name in names:
            yield f"there are two cases called '{case.name}'", ("cases", number, "name"), "rename one of them"
        elif same != case.name:
            message = f"the cases '{same}' and '{case.name}' have identical settings"
            yield message, ("cases", number, "set"), "remove one"
        names.add(case.name)
        if "seed" in case.set:
            yield f"the case '{case.name}' sets the seed", ("cases", number, "set", "seed"), "use seeds instead"


def _base(study: Study) -> Problems:
    if "seed" in study.base:
        yield "base.seed: every cell uses the seeds of the study", ("base", "seed"), "use seeds = [...] instead"


def _resources(study: Study) -> Problems:
    for number, each in enumerate(study.resources.when):
        for wrong in wrong_condition(each.condition, study.choices_and_cases):
            yield f"resources.when, if: {wrong}", ("resources", "when", number, "if"), None
    for name, overrides in study.profile.items():
        key: Key = ("profile", name, "resources")
        try:
            Resources.model_validate(overrides.resources)
        except pydantic.ValidationError as error:
            for detail in error.errors():
                message = problem(detail, Resources, None, key)
                yield message.message, (*key, *detail["loc"]), message.help


def _profiles(study: Study, profiles: list[str]) -> Problems:
    for name, overrides in study.profile.items():
        if name not in profiles:
            message = f"{name}: there is no such profile{nearest(name, profiles)}"
            yield message, (name,), f"profiles are: {', '.join(profiles)}"
        yield from _axes_of_profile(study, name, overrides.axes)
        for evaluation in overrides.evaluate:
            if evaluation not in study.evaluate:
                near = nearest(evaluation, study.evaluate)
                message = f"{name}.evaluate.{evaluation} is not an evaluation of the study{near}"
                yield message, (name, "evaluate", evaluation), _listed("evaluations", study.evaluate)


def _axes_of_profile(study: Study, name: str, axes: dict[str, Any]) -> Problems:
    for axis in axes:
        if axis not in study.all_axes:
            near = nearest(axis, study.all_axes)
            message = f"{name}.axes.{axis} is not an axis of the study{near}"
            yield message, (name, "axes", axis), _listed("axes", study.all_axes)
    for block in study.zip:
        lengths = {axis: len(axes.get(axis, block[axis].values)) for axis in block}
        if set(block) & set(axes) and len(set(lengths.values())) > 1:
            message = ", ".join(f"{axis} has {length}" for axis, length in lengths.items())
            key: Key = (name, "axes", min(set(block) & set(axes)))
            yield f"{name}.axes: axes of one [[zip]] must have equally many values: {message}", key, None


def _listed(what: str, names: Iterable[str]) -> str:
    found = ", ".join(names)
    return f"{what} are: {found}" if found else f"the study has no {what}"


def _conditions(study: Study) -> Problems:
    """Problems of the conditions of axes, which may only name unconditional axes and axes above."""
    axes = {name: (key, axis) for key, name, axis in axes_of(study)}
    choices = study.choices
    above: set[str] = set()
    for name, (key, axis) in axes.items():
        if axis.when is not None:
            for message in wrong_condition(axis.when, choices):
                yield f"axis '{name}', when: {message}", (*key, "when"), None
            late = {
                other for other in _named(axis.when) & axes.keys()
                if other == name or (axes[other][1].when is not None and other not in above)
            }  # fmt: skip
            if late:
                what = "itself" if name in late else f"'{min(late)}', a conditional axis below it"
                message = f"axis '{name}', when: the condition depends on {what}"
                yield message, (*key, "when"), "a condition may name unconditional axes, and axes above this one"
        above.add(name)


def _named(text: str) -> set[str]:
    try:
        return names_in(text)
    except ValueError:
        return set()


def _excluded(study: Study) -> Problems:
    """Problems of `exclude`: unknown axes and values."""
    choices = study.choices
    for number, rule in enumerate(study.exclude):
        key = ("exclude", number)
        if isinstance(rule, dict):
            yield from _table(rule, key, choices)
        else:
            yield from ((f"exclude: {message}", key, None) for message in wrong_condition(rule, choices))


def _table(rule: dict[str, Any], key: Key, choices: dict[str, list[Scalar]]) -> Problems:
    if not rule:
        yield "exclude: an empty table would exclude every cell", key, None
    for name, value in rule.items():
        if name not in choices:
            message = f"exclude: '{name}' is not an axis{nearest(name, choices)}"
            yield message, (*key, name), f"axes are: {', '.join(choices)}"
            continue
        for each in value if isinstance(value, list) else [value]:
            if not has_value(choices[name], each):
                yield f"exclude: {no_value(name, each, choices[name])}", (*key, name), None
