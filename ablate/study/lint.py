"""Warnings about a study that is allowed, and likely not what its author means."""

from typing import Any

import pydantic

from ablate.errors import Problem
from ablate.study.cells import design, idle_rules
from ablate.study.load import LoadedStudy
from ablate.study.schema import ProfileOverrides
from ablate.study.trial import Expansion

_MOST_CELLS = 5000


def lint(loaded: LoadedStudy, expansion: Expansion) -> list[Problem]:
    """What looks wrong: axes that vary nothing, cases that differ in several settings, cells that are one trial."""
    found = _axes(loaded, expansion) + _excluded(loaded) + _cases(loaded) + _twins(loaded, expansion)
    settings = {name: axis.setting for name, axis in expansion.axes.items()}
    first_seed = {str((trial.case, trial.axes)): trial for trial in reversed(expansion.trials)}
    configs = [flat(trial.config) for trial in list(first_seed.values())[:_MOST_CELLS]]
    for axis, told in expansion.trainer.advice(configs, settings):
        found.append(_warning(f"axis '{axis}': {told}", loaded, axis))
    return found


def flat(config: pydantic.BaseModel, prefix: str = "") -> dict[str, Any]:
    """Every setting of a config by its dotted path."""
    found: dict[str, Any] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        found |= (
            flat(value, f"{prefix}{name}.") if isinstance(value, pydantic.BaseModel) else {f"{prefix}{name}": value}
        )
    return found


def _warning(message: str, loaded: LoadedStudy, axis: str | None = None, key: tuple[Any, ...] = ()) -> Problem:
    if axis is not None:
        blocks = [number for number, block in enumerate(loaded.study.zip) if axis in block]
        key = ("zip", blocks[0], axis) if blocks else ("axes", axis)
    return Problem(message, loaded.source.place(key), kind="warning")


def _axes(loaded: LoadedStudy, expansion: Expansion) -> list[Problem]:
    """Axes with one value; a profile may leave one of several, where the others are too large for it."""
    in_file = loaded.study.all_axes
    return [
        _warning(f"axis '{name}' has one value: it varies nothing", loaded, name)
        for name, axis in expansion.axes.items()
        if len(axis.values) == 1 and (name not in in_file or len(in_file[name].values) == 1)
    ]


def _excluded(loaded: LoadedStudy) -> list[Problem]:
    """An exclude that leaves no cell out, at any profile."""
    study = loaded.study
    every = [ProfileOverrides(), *study.profile.values()] if study.exclude else []
    idle = set.intersection(*(idle_rules(study, design(study, each)) for each in every)) if every else set()
    return [
        _warning("exclude leaves no cell out: no cell is like this", loaded, key=("exclude", number))
        for number in sorted(idle)
    ]


def _cases(loaded: LoadedStudy) -> list[Problem]:
    """A case that differs from the base in several settings is no comparison of one factor."""
    found = []
    for number, case in enumerate(loaded.study.cases):
        changed = _paths(case.set)
        if len(changed) > 1:
            told = f"case '{case.name}' differs from the base in {len(changed)} settings: {', '.join(changed)}"
            found.append(_warning(f"{told}; what it shows is not owed to one of them", loaded, key=("cases", number)))
    return found


def _paths(settings: dict[str, Any], prefix: str = "") -> list[str]:
    paths: list[str] = []
    for name, value in settings.items():
        paths += _paths(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]
    return paths


def _twins(loaded: LoadedStudy, expansion: Expansion) -> list[Problem]:
    """Cells that resolve to one trial: their comparison compares a number with itself."""
    by_key: dict[str, list[str]] = {}
    for trial in expansion.trials:
        by_key.setdefault(trial.key, []).append(trial.label)
    twins = [labels for labels in by_key.values() if len(labels) > 1]
    if not twins:
        return []
    more = f", and {len(twins) - 1} more such groups" if len(twins) > 1 else ""
    told = f"these cells are one and the same trial: {'; '.join(twins[0][:3])}{more}"
    return [_warning(f"{told}. They are trained once and show the same number", loaded, key=("axes",))]
