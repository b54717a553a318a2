"""What the schema cannot say of a study: names that must agree, conditions, what is published."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pydantic

from ablate.errors import Problem, UserError, nearest
from ablate.paper.reader import published
from ablate.study.expression import condition, names_in
from ablate.study.locate import Key
from ablate.study.mistakes import problem
from ablate.study.schema import COLUMNS, EVALUATION, Axis, Resources, Study
from ablate.study.source import Source
from ablate.study.words import value_text


def check_study(study: Study, source: Source, profiles: list[str]) -> list[Problem]:
    """All such mistakes, with their places. profiles: names of those that there are."""
    checks = (_axis_names, _settings, _zips, _conditions, _excluded, _cases, _reference, _resources)
    found = [Problem(told, source.place(key), help) for check in checks for told, key, help in check(study)]
    found += [
        Problem(f"profile.{told}", source.place(("profile", *key)), help)
        for told, key, help in _profiles(study, profiles)
    ]
    return found


Mistakes = Iterator[tuple[str, Key, str | None]]


def _axis_names(study: Study) -> Mistakes:
    seen: set[str] = set()
    for key, name in _keys(study):
        if name in COLUMNS:
            yield f"{'.'.join(map(str, key))} is a column of every study; give the axis another name", key, None
        if name in seen or (name == EVALUATION and study.evaluate):
            taken = "[evaluate] makes it" if name == EVALUATION else "[axes] or a [[zip]] has it"
            yield f"there are two axes called '{name}'", key, f"{taken} already; give this one another name"
        seen.add(name)


def _keys(study: Study) -> Iterator[tuple[Key, str]]:
    """Where each axis stands, and its name."""
    yield from ((("axes", name), name) for name in study.axes)
    yield from ((("zip", number, name), name) for number, block in enumerate(study.zip) for name in block)


def _axes(study: Study) -> Iterator[tuple[Key, str, Axis]]:
    for key, name in _keys(study):
        yield key, name, study.axes[name] if key[0] == "axes" else study.zip[int(key[1])][name]


def _settings(study: Study) -> Mistakes:
    for (_, first, one), (key, second, two) in combinations(_axes(study), 2):
        if (
            one.setting == two.setting
            or f"{one.setting}.".startswith(f"{two.setting}.")
            or two.setting.startswith(f"{one.setting}.")
        ):
            yield (
                f"the axes '{first}' and '{second}' set the same setting: {one.setting}, {two.setting}",
                key,
                "one of them would undo the other; let them vary in one axis with named values",
            )
    for key, name, axis in _axes(study):
        if axis.setting == "seed":
            yield f"the axis '{name}' varies seed", key, "that is what seeds = [...] is for"
        if not all(axis.setting.split(".")):
            yield f"the axis '{name}': setting = {axis.setting!r} is no dotted path", key, "as in loss.temperature"
        if study.evaluate and (axis.setting == "evaluate" or axis.setting.startswith("evaluate.")):
            yield f"the axis '{name}' varies {axis.setting}, and [evaluate] does too", key, "keep one of them"


def _zips(study: Study) -> Mistakes:
    for number, block in enumerate(study.zip):
        lengths = {name: len(axis.names) for name, axis in block.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            yield f"axes of one [[zip]] move together, and their lengths differ: {told}", ("zip", number), None
        rows = list(zip(*(axis.names for axis in block.values()), strict=False))
        if len(set(rows)) < len(rows):
            twice = next(row for row in rows if rows.count(row) > 1)
            yield f"the combination {', '.join(map(value_text, twice))} stands twice in a [[zip]]", ("zip", number), None
        if not block:
            yield "an empty [[zip]]", ("zip", number), "give it axes, as in depth = [18, 34]"


def _conditions(study: Study) -> Mistakes:
    """Conditions of axes: on others, which have no condition or stand above."""
    axes = {name: (key, axis) for key, name, axis in _axes(study)}
    above: set[str] = set()
    for name, (key, axis) in axes.items():
        if axis.when is not None:
            try:
                condition(axis.when, axes)
                late = {
                    other for other in names_in(axis.when)
                    if other == name or (axes[other][1].when is not None and other not in above)
                }  # fmt: skip
                if late:
                    yield (
                        f"when of '{name}' depends on '{min(late)}', which depends on a condition itself",
                        (*key, "when"),
                        "a condition names axes without one, or those above it",
                    )
            except ValueError as error:
                yield f"when of the axis '{name}': {error}", (*key, "when"), None
        above.add(name)


def _excluded(study: Study) -> Mistakes:
    axes = study.all_axes
    choices = {name: axis.names for name, axis in axes.items()}
    if study.evaluate:
        choices[EVALUATION] = list(study.evaluate)
    for number, rule in enumerate(study.exclude):
        key = ("exclude", number)
        if isinstance(rule, str):
            try:
                condition(rule, choices)
            except ValueError as error:
                yield f"exclude: {error}", key, None
            continue
        for name, value in rule.items():
            if name not in choices:
                told = f"exclude: '{name}' is no axis{nearest(name, choices)}"
                yield told, (*key, name), f"axes are: {', '.join(choices)}"
                continue
            for each in value if isinstance(value, list) else [value]:
                if each not in choices[name]:
                    valid = [str(one) for one in choices[name]]
                    told = f"exclude: {name} has no value {value_text(each)}{nearest(str(each), valid)}"
                    yield told, (*key, name), f"values are: {', '.join(valid)}"
        if not rule:
            yield "exclude: an empty table would leave every cell out", key, None


def _cases(study: Study) -> Mistakes:
    for (_, one), (number, two) in combinations(enumerate(study.cases), 2):
        if one.name == two.name:
            yield f"there are two cases called '{one.name}'", ("cases", number, "name"), None
        elif one.set == two.set:
            yield f"the cases '{one.name}' and '{two.name}' set the same", ("cases", number), "keep one of them"
    for number, case in enumerate(study.cases):
        if "seed" in case.set:
            yield f"the case '{case.name}' sets seed", ("cases", number, "set", "seed"), "that is what seeds is for"


def _reference(study: Study) -> Mistakes:
    if "seed" in study.base:
        yield "base.seed: each cell has the seeds of the study", ("base", "seed"), "that is what seeds = [...] is for"
    if study.reference is None:
        return
    try:
        rows = published(study.reference.table)
    except UserError as error:
        yield error.problems[0].message, ("reference", "table"), error.problems[0].help
        return
    if study.reference.value not in rows[0]:
        value, columns = study.reference.value, list(rows[0])
        told = f"the paper's table '{study.reference.table}' has no column {value}{nearest(value, columns)}"
        yield told, ("reference", "value"), f"its columns are: {', '.join(columns)}"
    if missing := [name for name in study.all_axes if name not in rows[0]]:
        told = f"the paper's table '{study.reference.table}' has no column {', '.join(missing)}"
        yield told, ("reference",), f"axes are called like its columns, which are: {', '.join(rows[0])}"


def _resources(study: Study) -> Mistakes:
    for name, overrides in study.profile.items():
        key: Key = ("profile", name, "resources")
        try:
            Resources.model_validate(overrides.resources)
        except pydantic.ValidationError as error:
            for detail in error.errors():
                told = problem(detail, Resources, None, key)
                yield told.message, (*key, *detail["loc"]), told.help


def _profiles(study: Study, profiles: list[str]) -> Mistakes:
    for name, overrides in study.profile.items():
        if name not in profiles:
            yield (
                f"{name}: there is no such profile{nearest(name, profiles)}",
                (name,),
                (f"profiles are: {', '.join(profiles)}"),
            )
        yield from _axes_of_profile(study, name, overrides.axes)
        for evaluation in overrides.evaluate:
            if evaluation not in study.evaluate:
                near = nearest(evaluation, study.evaluate)
                yield f"{name}.evaluate.{evaluation} is no evaluation of the study{near}", (
                    name, "evaluate", evaluation,
                ), None  # fmt: skip


def _axes_of_profile(study: Study, name: str, axes: dict[str, Any]) -> Mistakes:
    for axis in axes:
        if axis not in study.all_axes:
            near = nearest(axis, study.all_axes)
            yield f"{name}.axes.{axis} is not an axis of the study{near}", (name, "axes", axis), None
    for block in study.zip:
        lengths = {axis: len(axes.get(axis, block[axis].values)) for axis in block}
        if set(block) & set(axes) and len(set(lengths.values())) > 1:
            told = ", ".join(f"{axis} has {length}" for axis, length in lengths.items())
            key: Key = (name, "axes", min(set(block) & set(axes)))
            yield f"{name}.axes: axes of one [[zip]] move together, and their lengths differ: {told}", key, None
