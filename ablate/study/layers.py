"""Settings from one source over settings from another: what a cell is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ablate.errors import Place, UserError
from ablate.study.locate import Key
from ablate.study.source import Source
from ablate.study.values import Scalar, is_number


@dataclass(frozen=True, eq=False)
class Layer:
    """Settings from one source, below the key `prefix` of its file; later layers win. Equal to itself only."""

    settings: dict[str, Any]
    source: Source | None = None
    prefix: Key = ()
    below: int = 0
    """How many parts of a setting's path the file leaves out, as `[evaluate.NAME]` leaves out `evaluate`."""
    name: Key = ()
    """Where those parts stand instead, as in `setting` of an axis."""
    first: Key = ()
    """Where to look before `prefix`, as a profile's part of an evaluation."""

    def place(self, key: Key, by_name: bool = False) -> Place | None:
        """Where a setting of this layer stands; nowhere when it came from the command line.

        by_name: its name rather than its value, where they are apart.
        """
        if self.source is None:
            return None
        if self.name and (len(key) < self.below or (by_name and len(key) == self.below)):
            return self.source.place(self.name)
        inner = key[self.below :]
        if self.first:
            depth, place = self.source.find((*self.first, *inner))
            if depth == len(self.first) + len(inner):
                return place
        return self.source.place((*self.prefix, *inner))

    def sets(self, key: Key) -> bool:
        """Whether the layer has a value, or values, at a key."""
        at: Any = self.settings
        for part in key:
            at = at.get(str(part)) if isinstance(at, dict) else None
            if isinstance(at, list):
                return True
        return at is not None


@dataclass(frozen=True)
class Cell:
    """One combination of axis values, or a case, with the layers of its own."""

    axes: dict[str, Scalar]
    case: str | None
    layers: list[Layer]


def nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} -> {"a": {"b": 1}}. Raises UserError where one is set below another."""
    nested: dict[str, Any] = {}
    for path, value in dotted.items():
        *parents, leaf = path.split(".")
        at = nested
        for parent in parents:
            at = at.setdefault(parent, {})
            if not isinstance(at, dict):
                raise UserError(f"{path} is set, and {path.rpartition('.')[0]} too: one is below the other")
        if isinstance(at.get(leaf), dict):
            raise UserError(f"{path} is set, and settings below it too")
        at[leaf] = value
    return nested


def merge(layers: list[Layer]) -> dict[str, Any]:
    """All settings of some layers, the last on top."""
    settings: dict[str, Any] = {}
    for layer in layers:
        settings = over(settings, layer.settings)
    return settings


def over(below: Any, above: Any) -> Any:
    """Tables key by key. A table of numbers over a list replaces those items; anything else replaces the whole."""
    if not isinstance(above, dict):
        return above
    if isinstance(below, list) and above and all(map(is_number, above)):
        below = {str(index): item for index, item in enumerate(below)}
    result = dict(below) if isinstance(below, dict) else {}
    for key, value in above.items():
        result[key] = over(result.get(key), value) if isinstance(value, dict) else value
    return result
