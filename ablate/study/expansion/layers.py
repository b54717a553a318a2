"""Layers: settings from several sources, merged into those of a cell."""

import functools
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pydantic

from ablate.errors import Location, UserError
from ablate.study.cells.cell import Cell
from ablate.study.schema.removal import Removal
from ablate.study.schema.values import is_number
from ablate.study.toml.positions import Key, Source

NOTHING = "none"
"""What a study writes for None, which TOML lacks: text, for settings that accept None but no text."""
_NO_TEXT = (bool, int, float, list, tuple, set, frozenset, dict, pydantic.BaseModel)


@dataclass(frozen=True, eq=False)
class Layer:
    """Settings from one source, below the key `prefix` of its file; later layers override. Equal only to itself."""

    settings: dict[str, Any]
    source: Source | None = None
    prefix: Key = ()
    below: int = 0
    """How many leading parts of a setting's path the file omits, as `[evaluate.NAME]` omits `evaluate`."""
    name: Key = ()
    """The key that has those parts instead, such as `setting` of an axis."""
    first: Key = ()
    """A key to search before `prefix`, such as a profile's part of an evaluation."""

    def locate(self, key: Key, by_name: bool = False) -> Location | None:
        """The location of a setting of this layer; None if it came from the command line.

        by_name: the location of its name, if that is apart from its value.
        """
        if self.source is None:
            return None
        if self.name and (len(key) < self.below or (by_name and len(key) == self.below)):
            return self.source.locate(self.name)
        inner = key[self.below :]
        if self.first:
            depth, place = self.source.find((*self.first, *inner))
            if depth == len(self.first) + len(inner):
                return place
        return self.source.locate((*self.prefix, *inner))

    def sets(self, key: Key) -> bool:
        """Whether the layer sets a key, or a key below it."""
        at: Any = self.settings
        for part in key:
            at = at.get(str(part)) if isinstance(at, dict) else None
            if isinstance(at, list):
                return True
        return at is not None


@dataclass(frozen=True)
class CellSettings:
    """A cell with the layers that it adds to those of all cells."""

    cell: Cell
    layers: list[Layer]


def nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} -> {"a": {"b": 1}}. Raises UserError if one key contains another."""
    nested: dict[str, Any] = {}
    for path, value in dotted.items():
        *parents, leaf = path.split(".")
        at = nested
        for parent in parents:
            at = at.setdefault(parent, {})
            if not isinstance(at, dict):
                raise UserError(f"{path} and {path.rpartition('.')[0]} are both set, but one contains the other")
        if isinstance(at.get(leaf), dict):
            raise UserError(f"{path} is set, and so are settings that it contains")
        at[leaf] = value
    return nested


def merge(layers: list[Layer]) -> dict[str, Any]:
    """The settings of several layers, where later ones override."""
    return functools.reduce(over, (layer.settings for layer in layers), {})


def over(below: Any, above: Any) -> Any:
    """Merges tables key by key. A table of indices over a list replaces these items; other values replace the whole.

    Raises ValueError if an item is to be removed from what is not a list, or lacks it.
    """
    if isinstance(above, Removal):
        return above.of(below)
    if not isinstance(above, dict):
        return above
    if isinstance(below, list) and above and all(map(is_number, above)):
        below = {str(index): item for index, item in enumerate(below)}
    result = dict(below) if isinstance(below, dict) else {}
    for key, value in above.items():
        result[key] = over(result.get(key), value) if isinstance(value, dict | Removal) else value
    return result


def default_at(config: type[pydantic.BaseModel], path: str) -> Any:
    """The plain default of the setting at a dotted path; None if there is none."""
    at: Any = config
    for part in path.split("."):
        field = at.model_fields.get(part) if hasattr(at, "model_fields") else None
        if field is None:
            return None
        default = field.get_default(call_default_factory=True)
        at = type(default) if isinstance(default, pydantic.BaseModel) else default
    return list(at) if isinstance(at, (list, tuple)) else None


class ListError(ValueError):
    """A list item is set by its index but an earlier one is missing; `key` is that of the list."""

    def __init__(self, message: str, key: Key) -> None:
        super().__init__(message)
        self.key = key


def numbered(value: Any, annotation: Any, key: Key = ()) -> Any:
    """Settings with tables of indices turned into lists, and "none" into None, if `annotation` accepts these.

    Raises ListError if an item is set but an earlier one is missing.
    """
    if value == NOTHING and _may_be_none(annotation):
        return None
    if not isinstance(value, dict):
        return value
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        fields = annotation.model_fields
        return {
            name: numbered(inner, fields[name].annotation, (*key, name)) if name in fields else inner
            for name, inner in value.items()
        }
    if value and all(map(is_number, value)) and _is_list(annotation):
        numbers = {int(name) for name in value}
        if missing := set(range(max(numbers) + 1)) - numbers:
            message = f"item {max(numbers)} is set but item {min(missing)} is missing (items count from 0)"
            raise ListError(message, key)
        return [value[name] for name in sorted(value, key=int)]
    return value


def _may_be_none(annotation: Any) -> bool:
    """Whether a field accepts None and otherwise only numbers, truth values, lists or tables: no text."""
    kinds = set(_kinds(annotation))
    others = kinds - {type(None)}
    return kinds > others and all(isinstance(kind, type) and issubclass(kind, _NO_TEXT) for kind in others)


def _kinds(annotation: Any) -> Iterator[Any]:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _kinds(argument)
    elif origin is typing.Annotated:
        yield from _kinds(typing.get_args(annotation)[0])
    else:
        yield origin or annotation


def _is_list(annotation: Any) -> bool:
    """Whether a field accepts a list: a list, tuple or other collection, but not a table."""
    origin = typing.get_origin(annotation) or annotation
    if origin in (typing.Union, types.UnionType):
        return any(map(_is_list, typing.get_args(annotation)))
    if origin is typing.Annotated:
        return _is_list(typing.get_args(annotation)[0])
    listed = isinstance(origin, type) and issubclass(origin, Collection)
    return listed and not issubclass(origin, (str, bytes, dict, typing.Mapping))
