"""Axes to cells to trials, in a stable order: pure, and without torch."""

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.errors import UserError, nearest
from ablate.simclr.config import RECIPE_VERSION, Config
from ablate.simclr.data.listing import Listing
from ablate.study.identity import digest, identity, pretrain_key, trial_key
from ablate.study.load import LoadedProfile, LoadedStudy
from ablate.study.resolve import Cell, Layer, Resolver, nested
from ablate.study.schema import Axis, Scalar, Study

TRAINER = "ablate.simclr.trainer:train"


@dataclass(frozen=True)
class Trial:
    """One cell with one seed, every setting resolved."""

    axes: dict[str, Scalar]
    """The cell's value on each axis; empty for a case."""
    case: str | None
    seed: int
    config: Config
    key: str
    pretrain_key: str

    @property
    def label(self) -> str:
        """What people call it: `first=crop second=color seed=0`."""
        cell = [f"{name}={value}" for name, value in self.axes.items()] or [str(self.case)]
        return " ".join([*cell, f"seed={self.seed}"])


@dataclass(frozen=True)
class Expansion:
    """All trials of a study at a profile."""

    axes: dict[str, Axis]
    trials: tuple[Trial, ...]
    design: str
    """Digest of everything but seeds: trials of one design may stand in one table."""


def expand(
    loaded: LoadedStudy,
    profile: LoadedProfile,
    overrides: Mapping[str, Any] | None = None,
    seeds: Iterable[int] | None = None,
    only: Mapping[str, Iterable[str]] | None = None,
    look: Callable[[Path], Listing] | None = None,
) -> Expansion:
    """The trials of a study, seeds within cells, cells in the order of the axes, cases last.

    overrides: dotted settings that win over both files (`--set`). only: axis name -> values to keep, as
    text; cases are kept where `only` names them under `case`, or names nothing. look: lists a data folder;
    without it, folders are not looked into and their trials have no true key.

    Raises UserError with every setting that is unknown or out of range.
    """
    study = loaded.study
    changes = study.profile.get(profile.name)
    axes = {
        name: axis.model_copy(update={"values": changes.axes[name]}) if changes and name in changes.axes else axis
        for name, axis in study.axes.items()
    }
    _check_overrides(overrides or {}, axes)
    layers = [
        Layer(profile.profile.base, profile.source, ("base",)),
        Layer(study.base, loaded.source, ("base",)),
        Layer(changes.base if changes else {}, loaded.source, ("profile", profile.name, "base")),
        Layer(nested(overrides or {})),
    ]
    wanted = _wanted(study, axes, only or {})
    cells = [cell for cell in _cells(study, axes, loaded) if wanted(cell)]
    seeds = list(seeds) if seeds is not None else _seeds(changes.seeds if changes and changes.seeds else study.seeds)
    resolve = Resolver(layers, look)
    trials = []
    for cell in cells:
        for seed in seeds:
            config = resolve(cell, seed)
            keys = (function(config, TRAINER, RECIPE_VERSION) for function in (trial_key, pretrain_key))
            trials.append(Trial(cell.axes, cell.case, seed, config, *keys))
    varied = {name: axis.model_dump(mode="json", include={"setting", "values"}) for name, axis in axes.items()}
    base = identity(resolve(Cell({}, None, []), 0))
    cases = [case.model_dump(mode="json") for case in study.cases]
    design = digest({"base": base, "axes": varied, "cases": cases, "recipe_version": RECIPE_VERSION})
    return Expansion(axes, tuple(trials), design)


def _cells(study: Study, axes: dict[str, Axis], loaded: LoadedStudy) -> list[Cell]:
    cells = []
    for values in itertools.product(*(axis.values for axis in axes.values())):
        point = dict(zip(axes, values, strict=True))
        layers = [
            Layer(nested({axes[name].setting: value}), loaded.source, ("axes", name), exact=True)
            for name, value in point.items()
        ]
        cells.append(Cell(point, None, layers))
    for number, case in enumerate(study.cases):
        cells.append(Cell({}, case.name, [Layer(case.set, loaded.source, ("cases", number, "set"))]))
    return cells


def _seeds(seeds: int | list[int]) -> list[int]:
    return list(range(seeds)) if isinstance(seeds, int) else seeds


def _check_overrides(overrides: Mapping[str, Any], axes: dict[str, Axis]) -> None:
    for path in overrides:
        for name, axis in axes.items():
            if axis.setting == path or axis.setting.startswith(f"{path}.") or path == "seed":
                what = "seeds" if path == "seed" else f"the axis '{name}'"
                instead = "--seeds" if path == "seed" else f"--only {name}=VALUE"
                raise UserError(f"--set {path}=...: {what} of the study would replace it", help=f"use {instead}")


def _wanted(study: Study, axes: dict[str, Axis], only: Mapping[str, Iterable[str]]) -> Callable[[Cell], bool]:
    choices = {name: [_text(value) for value in axis.values] for name, axis in axes.items()}
    choices["case"] = [case.name for case in study.cases]
    chosen = {name: set(values) for name, values in only.items()}
    for name, values in chosen.items():
        if name not in choices:
            raise UserError(
                f"--only {name}=...: unknown axis{nearest(name, choices)}", help=f"axes are: {', '.join(choices)}"
            )
        for value in sorted(values - set(choices[name])):
            valid = choices[name]
            raise UserError(
                f"--only {name}={value}: unknown value{nearest(value, valid)}", help=f"values are: {', '.join(valid)}"
            )

    def wanted(cell: Cell) -> bool:
        if cell.case is not None:
            return cell.case in chosen["case"] if "case" in chosen else not chosen
        on_axes = {name: values for name, values in chosen.items() if name != "case"}
        if "case" in chosen and not on_axes:
            return False
        return all(_text(cell.axes[name]) in values for name, values in on_axes.items())

    return wanted


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)
