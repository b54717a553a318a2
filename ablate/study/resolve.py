"""One cell with one seed to one config: layers of settings merged, mistakes told where they stand."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from ablate.errors import Place, Problem, UserError
from ablate.simclr.config import Config
from ablate.simclr.data.listing import Listing
from ablate.study.load import Source, problem
from ablate.study.schema import Scalar

_HELP = {
    ("folder", "packed"): "pack it with `ablate data pack SRC DST`, or set data.name = 'folder'",
    ("packed", "folder"): "set data.name = 'packed'",
}
_Settings = TypeVar("_Settings", bound=pydantic.BaseModel)


@dataclass(frozen=True)
class Layer:
    """Settings from one source, below the key `prefix` of its file; later layers win."""

    settings: dict[str, Any]
    source: Source | None = None
    prefix: tuple[str | int, ...] = ()
    exact: bool = False
    """Whether `prefix` itself is the place of every setting, as it is for an axis."""

    def place(self, key: tuple[str | int, ...]) -> Place | None:
        """Where a setting of this layer stands; nowhere when it came from the command line."""
        return self.source.place(self.prefix if self.exact else (*self.prefix, *key)) if self.source else None


@dataclass(frozen=True)
class Cell:
    """One combination of axis values, or a case, with the layers of its own."""

    axes: dict[str, Scalar]
    case: str | None
    layers: list[Layer]


class Resolver:
    """Merges layers over the trainer's defaults, and tells which layer a mistake came from."""

    def __init__(self, layers: list[Layer], look: Callable[[Path], Listing] | None) -> None:
        self._layers = layers
        self._look = functools.cache(look) if look else None

    def __call__(self, cell: Cell, seed: int) -> Config:
        """The config of a cell. Raises UserError with every setting that is unknown or out of range."""
        layers = [*self._layers, *cell.layers]
        settings: dict[str, Any] = {}
        for layer in layers:
            settings = _merged(settings, layer.settings)
        try:
            config = Config.model_validate(_numbered_lists({**settings, "seed": seed}))
        except pydantic.ValidationError as error:
            raise UserError(*(_problem(detail, layers) for detail in error.errors())) from error
        return config if self._look is None else self._with_fingerprints(config, layers)

    def _with_fingerprints(self, config: Config, layers: list[Layer]) -> Config:
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
        self, setting: str, path: Path | None, needed_by: tuple[str, ...], layers: list[Layer], kind: str
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


def _problem(detail: Any, layers: list[Layer]) -> Problem:
    """A mistake in the merged settings, with the place of the layer that set it."""
    key: tuple[str | int, ...] = tuple(detail["loc"])
    if detail["type"] == "value_error" and (
        (named := str(detail["ctx"]["error"]).split()[0]).replace(".", "").replace("_", "").isalpha()
    ):
        key = tuple(named.split("."))
    return problem(detail, Config, _place(key, layers))


def _place(key: tuple[str | int, ...], layers: list[Layer]) -> Place | None:
    for layer in reversed(layers):
        at: Any = layer.settings
        for part in key:
            at = at.get(str(part)) if isinstance(at, dict) else None
        if at is not None:
            return layer.place(key)
    return None


def nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
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
