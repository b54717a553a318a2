"""Warnings about a study that is valid but probably not as intended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pydantic

from ablate.errors import Problem
from ablate.study.cells.cell import Cell, as_seen
from ablate.study.claims.scene import AbsentError, Scene
from ablate.study.expansion.design import design, idle_rules
from ablate.study.expansion.trial import Expansion
from ablate.study.schema.study import LoadedStudy, axes_of

_MOST_CELLS = 5000
_Parts = dict[tuple[str, int], dict[str, Any]]
"""Path and id of a part of a config -> the settings in it."""


def lint(loaded: LoadedStudy, expansion: Expansion) -> list[Problem]:
    """Warnings: axes that vary nothing, values that look alike, cases that change much, cells with equal settings."""
    found = _axes(loaded, expansion) + _lookalikes(loaded, expansion) + _excluded(loaded) + _cases(loaded)
    found += _twins(loaded, expansion)
    settings = {name: axis.setting for name, axis in expansion.axes.items()}
    first_seed = {trial.cell: trial for trial in reversed(expansion.trials)}
    shared: _Parts = {}
    configs = [flat(trial.config, shared=shared) for trial in list(first_seed.values())[:_MOST_CELLS]]
    for axis, message in expansion.trainer.advice(configs, settings):
        found.append(_warning(f"axis '{axis}': {message}", loaded, axis))
    return found


@dataclass(frozen=True)
class _Planned:
    """A cell as claims see it before it is trained."""

    cell: Cell
    planned: int = 1

    @property
    def axes(self) -> Mapping[str, Any]:
        return self.cell.axes

    @property
    def case(self) -> str | None:
        return self.cell.case

    @property
    def label(self) -> str:
        return self.cell.label

    def values(self, metric: str) -> Mapping[int, float]:
        """None, before training."""
        return {}


def unanswerable(loaded: LoadedStudy, expansion: Expansion) -> set[Problem]:
    """Warnings: claims that no result of these trials can answer. Those about published numbers are left out."""
    if len(expansion.trials) > _MOST_CELLS:
        return set()
    cells = dict.fromkeys(trial.cell for trial in expansion.trials)
    axes = {name: axis.names for name, axis in expansion.axes.items()}
    scene = Scene(dict(enumerate(map(_Planned, cells))), axes, loaded.study.metric, at_paper_scale=True)
    found = set()
    for number, claim in enumerate(loaded.study.claims):
        if not any(each.with_paper for each in (claim, *claim.inner())):
            try:
                claim.asked(scene)
            except AbsentError as error:
                message = f"claim '{claim.id}' cannot be measured: {error}"
                found.add(_warning(message, loaded, key=("claims", number)))
    return found


def flat(config: pydantic.BaseModel, prefix: str = "", shared: "_Parts | None" = None) -> dict[str, Any]:
    """Every setting of a config by its dotted path.

    shared: what was found in parts of other configs, which configs of many cells share.
    """
    shared = {} if shared is None else shared
    found: dict[str, Any] = {}
    for name in type(config).model_fields:
        value, path = getattr(config, name), f"{prefix}{name}"
        if not isinstance(value, pydantic.BaseModel):
            found[path] = value
            continue
        if (path, id(value)) not in shared:
            shared[path, id(value)] = flat(value, f"{path}.", shared)
        found |= shared[path, id(value)]
    return found


def _warning(message: str, loaded: LoadedStudy, axis: str | None = None, key: tuple[Any, ...] = ()) -> Problem:
    if axis is not None:
        key = next((at for at, name, _ in axes_of(loaded.study) if name == axis), ("axes", axis))
    return Problem(message, loaded.source.locate(key), kind="warning")


def _axes(loaded: LoadedStudy, expansion: Expansion) -> list[Problem]:
    """Axes with a single value, unless just a profile reduces them to it."""
    in_file = loaded.study.all_axes
    return [
        _warning(f"axis '{name}' has only one value, so it varies nothing", loaded, name)
        for name, axis in expansion.axes.items()
        if len(axis.values) == 1 and (name not in in_file or len(in_file[name].values) == 1)
    ]


def _lookalikes(loaded: LoadedStudy, expansion: Expansion) -> list[Problem]:
    """Values of an axis that differ only in what cannot be seen: an accent in two forms, spaces, hidden characters."""
    found = []
    for name, axis in expansion.axes.items():
        seen: dict[str, str] = {}
        for value in axis.names:
            if isinstance(value, str):
                other = seen.setdefault(as_seen(value), value)
                if other != value:
                    message = f"axis '{name}' has two values that look alike: {other!a} and {value!a}"
                    found.append(_warning(message, loaded, name))
    return found


def _excluded(loaded: LoadedStudy) -> list[Problem]:
    """Entries of `exclude` that match no cell at any profile."""
    study = loaded.study
    at = ["", *study.profile] if study.exclude else []
    idle = set.intersection(*(idle_rules(study, design(study, profile)) for profile in at)) if at else set()
    return [_warning("this exclude matches no cell", loaded, key=("exclude", number)) for number in sorted(idle)]


def _cases(loaded: LoadedStudy) -> list[Problem]:
    """Cases that change several settings, and so do not isolate one factor."""
    found = []
    for number, case in enumerate(loaded.study.cases):
        changed = _paths(case.set)
        if len(changed) > 1:
            message = f"case '{case.name}' changes {len(changed)} settings at once ({', '.join(changed)})"
            message += ", so its effect cannot be attributed to one of them"
            found.append(_warning(message, loaded, key=("cases", number)))
    return found


def _paths(settings: dict[str, Any], prefix: str = "") -> list[str]:
    paths: list[str] = []
    for name, value in settings.items():
        paths += _paths(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]
    return paths


def _twins(loaded: LoadedStudy, expansion: Expansion) -> list[Problem]:
    """Cells that resolve to the same trial: comparing them compares a number with itself."""
    by_key: dict[str, list[str]] = {}
    for trial in expansion.trials:
        by_key.setdefault(trial.key, []).append(trial.label)
    twins = [labels for labels in by_key.values() if len(labels) > 1]
    if not twins:
        return []
    more = f", and {len(twins) - 1} more such groups" if len(twins) > 1 else ""
    message = f"these cells have identical settings: {'; '.join(twins[0][:3])}{more}"
    return [_warning(f"{message}. They are trained once and share one result", loaded, key=("axes",))]
