"""What the schema cannot say of a study: names that must agree, conditions, what is published."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pydantic

from ablate.errors import Problem, nearest
from ablate.study.chart_check import chart
from ablate.study.claim_check import claims
from ablate.study.conditions import axes_of, conditions, excluded
from ablate.study.locate import Key
from ablate.study.mistakes import Mistakes, problem
from ablate.study.references import references
from ablate.study.schema import COLUMNS, EVALUATION, RESERVED_NAMES, Axis, Resources, Study
from ablate.study.source import Source
from ablate.study.words import value_text

MOST_MISTAKES = 50
"""So many are told at once: what a person can read."""


def check_study(study: Study, source: Source, profiles: list[str]) -> list[Problem]:
    """Such mistakes, with their places: all, or the first fifty. profiles: names of those that there are."""
    checks = (_name, _axis_names, _settings, _zips, conditions, excluded, _cases, _base, references, chart, _resources)
    found = itertools.chain.from_iterable(check(study) for check in checks)
    of_profiles = ((f"profile.{told}", ("profile", *key), help) for told, key, help in _profiles(study, profiles))
    first = itertools.islice(itertools.chain(found, claims(study, profiles), of_profiles), MOST_MISTAKES)
    return [Problem(told, source.place(key), help) for told, key, help in first]


def _name(study: Study) -> Mistakes:
    if study.name in RESERVED_NAMES:
        yield f"name = '{study.name}' is a table of the store", ("name",), "give the study, and its file, another name"


def _axis_names(study: Study) -> Mistakes:
    seen: set[str] = set()
    for key, name, axis in axes_of(study):
        if name in COLUMNS and axis.setting != "seed":
            told = f"'{name}' is a word of every study: an axis cannot be called so"
            yield told, key, f'for example {name}_ = {{ setting = "{axis.setting}", values = ... }}'
        if name in seen or (name == EVALUATION and study.evaluate):
            taken = "[evaluate] makes it" if name == EVALUATION else "[axes] or a [[zip]] has it"
            yield f"there are two axes called '{name}'", key, f"{taken} already; give this one another name"
        seen.add(name)


def _settings(study: Study) -> Mistakes:
    for (_, first, one), (key, second, two) in _overlapping(list(axes_of(study))):
        if first == second:
            continue  # told already
        both = one.setting if one.setting == two.setting else f"{one.setting}, {two.setting}"
        told = f"the axes '{first}' and '{second}' set the same setting: {both}"
        help = "one of them would undo the other; let them vary in one axis with named values"
        yield told, (*key, "setting"), help
    for key, name, axis in axes_of(study):
        if axis.setting == "seed":
            yield f"the axis '{name}' varies seed", (*key, "setting"), "that is what seeds = [...] is for"
        if not all(axis.setting.split(".")):
            yield (
                f"the axis '{name}': setting = {value_text(axis.setting)} is no dotted path",
                (*key, "setting"),
                "as in loss.temperature",
            )
        if study.evaluate and (axis.setting == "evaluate" or axis.setting.startswith("evaluate.")):
            yield f"the axis '{name}' varies {axis.setting}, and [evaluate] does too", key, "keep one of them"


_Placed = tuple[Key, str, Axis]


def _overlapping(axes: list[_Placed]) -> Iterator[tuple[_Placed, _Placed]]:
    """Axes of which one sets what the other does, or a part of it."""
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


def _zips(study: Study) -> Mistakes:
    for number, block in enumerate(study.zip):
        lengths = {name: len(axis.names) for name, axis in block.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            yield f"axes of one [[zip]] move together, and their lengths differ: {told}", ("zip", number), None
        rows = Counter(zip(*(axis.names for axis in block.values()), strict=False))
        if twice := next((row for row, count in rows.items() if count > 1), None):
            yield (
                f"the combination {', '.join(map(value_text, twice))} stands twice in a [[zip]]",
                ("zip", number),
                None,
            )
        if not block:
            yield "an empty [[zip]]", ("zip", number), "give it axes, as in depth = [18, 34]"


def _cases(study: Study) -> Mistakes:
    names: set[str] = set()
    known: dict[str, str] = {}
    for number, case in enumerate(study.cases):
        same = known.setdefault(repr(case.set), case.name)
        if case.name in names:
            yield f"there are two cases called '{case.name}'", ("cases", number, "name"), "give one another name"
        elif same != case.name:
            yield f"the cases '{same}' and '{case.name}' set the same", ("cases", number, "set"), "keep one of them"
        names.add(case.name)
        if "seed" in case.set:
            yield f"the case '{case.name}' sets seed", ("cases", number, "set", "seed"), "that is what seeds is for"


def _base(study: Study) -> Mistakes:
    if "seed" in study.base:
        yield "base.seed: each cell has the seeds of the study", ("base", "seed"), "that is what seeds = [...] is for"


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
                told = f"{name}.evaluate.{evaluation} is no evaluation of the study{near}"
                yield told, (name, "evaluate", evaluation), _listed("evaluations", study.evaluate)


def _axes_of_profile(study: Study, name: str, axes: dict[str, Any]) -> Mistakes:
    for axis in axes:
        if axis not in study.all_axes:
            near = nearest(axis, study.all_axes)
            told = f"{name}.axes.{axis} is not an axis of the study{near}"
            yield told, (name, "axes", axis), _listed("axes", study.all_axes)
    for block in study.zip:
        lengths = {axis: len(axes.get(axis, block[axis].values)) for axis in block}
        if set(block) & set(axes) and len(set(lengths.values())) > 1:
            told = ", ".join(f"{axis} has {length}" for axis, length in lengths.items())
            key: Key = (name, "axes", min(set(block) & set(axes)))
            yield f"{name}.axes: axes of one [[zip]] move together, and their lengths differ: {told}", key, None


def _listed(what: str, names: Iterable[str]) -> str:
    found = ", ".join(names)
    return f"{what} are: {found}" if found else f"it has no {what}"
