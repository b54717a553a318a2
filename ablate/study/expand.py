"""Axes to cells to trials, in a stable order: pure, and without torch."""

import functools
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from ablate.errors import Place, Problem, UserError, nearest
from ablate.simclr.config import RECIPE_VERSION, Config
from ablate.simclr.data.listing import Listing
from ablate.study.identity import digest, identity, pretrain_key, trial_key
from ablate.study.load import LoadedProfile, LoadedStudy, Source, problem
from ablate.study.schema import Axis, Scalar, Study

TRAINER = "ablate.simclr.trainer:train"


_HELP = {
    ("folder", "packed"): "pack it with `ablate data pack SRC DST`, or set data.name = 'folder'",
    ("packed", "folder"): "set data.name = 'packed'",
}
_Settings = TypeVar("_Settings", bound=pydantic.BaseModel)


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


@dataclass(frozen=True)
class _Layer:
    """Settings from one source, below the key `prefix` of its file; later layers win."""

    settings: dict[str, Any]
    source: Source | None = None
    prefix: tuple[str | int, ...] = ()
    exact: bool = False
    """Whether `prefix` itself is the place of every setting, as it is for an axis."""

    def place(self, key: tuple[str | int, ...]) -> Place | None:
        """Where a setting of this layer stands; nowhere when it came from the command line."""
        return self.source.place(self.prefix if self.exact else (*self.prefix, *key)) if self.source else None


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
        _Layer(profile.profile.base, profile.source, ("base",)),
        _Layer(study.base, loaded.source, ("base",)),
        _Layer(changes.base if changes else {}, loaded.source, ("profile", profile.name, "base")),
        _Layer(_nested(overrides or {})),
    ]
    wanted = _wanted(study, axes, only or {})
    cells = [cell for cell in _cells(study, axes, loaded) if wanted(cell)]
    seeds = list(seeds) if seeds is not None else _seeds(changes.seeds if changes and changes.seeds else study.seeds)
    resolve = _Resolver(layers, look)
    trials = []
    for cell in cells:
        for seed in seeds:
            config = resolve(cell, seed)
            keys = (function(config, TRAINER, RECIPE_VERSION) for function in (trial_key, pretrain_key))
            trials.append(Trial(cell.axes, cell.case, seed, config, *keys))
    varied = {name: axis.model_dump(mode="json", include={"setting", "values"}) for name, axis in axes.items()}
    base = identity(resolve(_Cell({}, None, []), 0))
    cases = [case.model_dump(mode="json") for case in study.cases]
    design = digest({"base": base, "axes": varied, "cases": cases, "recipe_version": RECIPE_VERSION})
    return Expansion(axes, tuple(trials), design)


@dataclass(frozen=True)
class _Cell:
    axes: dict[str, Scalar]
    case: str | None
    layers: list[_Layer]


def _cells(study: Study, axes: dict[str, Axis], loaded: LoadedStudy) -> list[_Cell]:
    cells = []
    for values in itertools.product(*(axis.values for axis in axes.values())):
        point = dict(zip(axes, values, strict=True))
        layers = [
            _Layer(_nested({axes[name].setting: value}), loaded.source, ("axes", name), exact=True)
            for name, value in point.items()
        ]
        cells.append(_Cell(point, None, layers))
    for number, case in enumerate(study.cases):
        cells.append(_Cell({}, case.name, [_Layer(case.set, loaded.source, ("cases", number, "set"))]))
    return cells


def _seeds(seeds: int | list[int]) -> list[int]:
    return list(range(seeds)) if isinstance(seeds, int) else seeds


class _Resolver:
    """Merges layers over the trainer's defaults, and tells which layer a mistake came from."""

    def __init__(self, layers: list[_Layer], look: Callable[[Path], Listing] | None) -> None:
        self._layers = layers
        self._look = functools.cache(look) if look else None

    def __call__(self, cell: _Cell, seed: int) -> Config:
        layers = [*self._layers, *cell.layers]
        settings: dict[str, Any] = {}
        for layer in layers:
            settings = _merged(settings, layer.settings)
        try:
            config = Config.model_validate(_numbered_lists({**settings, "seed": seed}))
        except pydantic.ValidationError as error:
            raise UserError(*(_problem(detail, layers) for detail in error.errors())) from error
        return config if self._look is None else self._with_fingerprints(config, layers)

    def _with_fingerprints(self, config: Config, layers: list[_Layer]) -> Config:
        """The config with what its folders and files hold, which is part of a trial's identity."""
        evaluate = config.evaluate
        if config.data.name != "textures":
            listing = self._list("data.root", config.data.root, ("data", "name"), layers, config.data.name)
            if config.batch_size > listing.train_images:
                told = f"batch_size = {config.batch_size} is more than the {listing.train_images} training images"
                raise UserError(f"{told} in {config.data.root}", place=_place(("batch_size",), layers))
            config = _changed(config, "data", fingerprint=listing.fingerprint)
        if "transfer" in evaluate.parts:
            root = evaluate.transfer.root
            listing = self._list("evaluate.transfer.root", root, ("evaluate", "parts"), layers, "packed")
            evaluate = _changed(evaluate, "transfer", fingerprint=listing.fingerprint)
        if "finetune" in evaluate.parts and evaluate.finetune.subset is not None:
            subset = evaluate.finetune.subset
            listing = self._list("evaluate.finetune.subset", subset, ("evaluate",), layers, "list")
            evaluate = _changed(evaluate, "finetune", subset_fingerprint=listing.fingerprint)
        return config.model_copy(update={"evaluate": evaluate})

    def _list(
        self, setting: str, path: Path | None, needed_by: tuple[str, ...], layers: list[_Layer], kind: str
    ) -> Listing:
        """What lies at a path. Raises UserError where nothing does, or something else than the setting needs."""
        assert self._look is not None
        if path is None:
            place = _place(needed_by, layers)
            raise UserError(f"{setting} is not set: which folder?", place=place, help=f"add --set {setting}=DIR")
        place = _place(tuple(setting.split(".")), layers)
        try:
            listing = self._look(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{setting}: {error}", place=place) from error
        if listing.kind != kind:
            what = {"packed": "a pack", "folder": "an image folder", "list": "a list of images"}
            told = f"{setting}: {path} is {what[listing.kind]}, and {what[kind]} is needed"
            raise UserError(told, place=place, help=_HELP.get((listing.kind, kind)))
        return listing


def _changed(settings: _Settings, part: str, **values: Any) -> _Settings:
    """Settings with some values of one part changed."""
    return settings.model_copy(update={part: getattr(settings, part).model_copy(update=values)})


def _problem(detail: Any, layers: list[_Layer]) -> Problem:
    """A mistake in the merged settings, with the place of the layer that set it."""
    key: tuple[str | int, ...] = tuple(detail["loc"])
    if detail["type"] == "value_error" and (
        (named := str(detail["ctx"]["error"]).split()[0]).replace(".", "").replace("_", "").isalpha()
    ):
        key = tuple(named.split("."))
    return problem(detail, Config, _place(key, layers))


def _place(key: tuple[str | int, ...], layers: list[_Layer]) -> Place | None:
    for layer in reversed(layers):
        at: Any = layer.settings
        for part in key:
            at = at.get(str(part)) if isinstance(at, dict) else None
        if at is not None:
            return layer.place(key)
    return None


def _nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} -> {"a": {"b": 1}}."""
    nested: dict[str, Any] = {}
    for path, value in dotted.items():
        *parents, leaf = path.split(".")
        at = nested
        for parent in parents:
            at = at.setdefault(parent, {})
        at[leaf] = value
    return nested


def _merged(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        inner = result.get(key)
        result[key] = _merged(inner if isinstance(inner, dict) else {}, value) if isinstance(value, dict) else value
    return result


def _numbered_lists(value: Any) -> Any:
    """{"0": a, "1": b} -> [a, b]: how axes set the items of a list."""
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_numbered_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _numbered_lists(inner) for key, inner in value.items()}


def _check_overrides(overrides: Mapping[str, Any], axes: dict[str, Axis]) -> None:
    for path in overrides:
        for name, axis in axes.items():
            if axis.setting == path or axis.setting.startswith(f"{path}.") or path == "seed":
                what = "seeds" if path == "seed" else f"the axis '{name}'"
                instead = "--seeds" if path == "seed" else f"--only {name}=VALUE"
                raise UserError(f"--set {path}=...: {what} of the study would replace it", help=f"use {instead}")


def _wanted(study: Study, axes: dict[str, Axis], only: Mapping[str, Iterable[str]]) -> Callable[[_Cell], bool]:
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

    def wanted(cell: _Cell) -> bool:
        if cell.case is not None:
            return cell.case in chosen["case"] if "case" in chosen else not chosen
        on_axes = {name: values for name, values in chosen.items() if name != "case"}
        if "case" in chosen and not on_axes:
            return False
        return all(_text(cell.axes[name]) in values for name, values in on_axes.items())

    return wanted


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)
