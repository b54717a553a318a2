"""Removal: a list without some of its items, given ones or random ones."""

import functools
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from ablate.errors import value_text

Scalar = str | bool | int | float
"""An item: `ablate.study.cells.cell` has the same, which imports more."""
CONTROL = re.compile(r"random_(\d+)_\d+")
"""The names of the cases without random items, with their number."""


@dataclass(frozen=True)
class Removed:
    """In place of a list: the list below, without these items."""

    items: tuple[Scalar, ...]

    def of(self, below: Any) -> list[Any]:
        """The list without the items; of a table, its `name` counts. Raises ValueError if it lacks one."""
        names = _item_names(below, value_text(self.items[0]))
        for item in self.items:
            if item not in names:
                raise ValueError(f"the list has no item {value_text(item)}; it has {', '.join(map(value_text, names))}")
        return [each for each, name in zip(below, names, strict=True) if name not in self.items]


@dataclass(frozen=True)
class RandomlyRemoved:
    """In place of a list: the list below, without items drawn at random. The draws are those of `draws`."""

    size: int
    """The number of items."""
    number: int
    """Which of the draws it is, from 0."""
    count: int
    """The number of draws."""
    seed: int
    parts: frozenset[frozenset[Scalar]]
    """The items that each part of the study removes: no draw removes the same."""

    def of(self, below: Any) -> list[Any]:
        """The list without the items."""
        return Removed(self.drawn(below)).of(below)

    def possible(self, below: Any) -> int:
        """The number of sets of so many items that no part removes. Raises ValueError for a list of lists."""
        return math.comb(len(self._names(below)), self.size) - sum(len(each) == self.size for each in self.parts)

    def drawn(self, below: Any) -> tuple[Scalar, ...]:
        """The items, in the order of the list. Raises ValueError if it has fewer draws than there must be."""
        names = self._names(below)
        if (possible := self.possible(below)) < self.count:
            message = f"of its {len(names)} items, {self.size} can be removed in {possible} ways that no part removes"
            raise ValueError(f"{message}, fewer than {self.count}")
        drawn = itertools.islice(draws(names, self.size, self.seed), self.number + 1 + len(self.parts))
        others = [each for each in drawn if each not in self.parts]
        return tuple(name for name in names if name in others[self.number])

    def _names(self, below: Any) -> list[Scalar]:
        """The different items of the list."""
        listed = _item_names(below, f"{self.size} random items")
        if any(isinstance(each, (list, dict)) for each in listed):
            raise ValueError("items can be removed at random only from a list of names, numbers and truth values")
        return list(dict.fromkeys(listed))


Removal = Removed | RandomlyRemoved


def draws(names: Sequence[Scalar], size: int, seed: int) -> Iterator[frozenset[Scalar]]:
    """All sets of so many names, each once, in an order drawn uniformly; the same on every version of Python."""
    draw, seen = Random(seed), set[frozenset[Scalar]]()
    while len(seen) < math.comb(len(names), size):
        ranked = sorted(names, key=lambda _: draw.random())  # of the methods of Random, only random() never changes
        if (found := frozenset(ranked[:size])) not in seen:
            seen.add(found)
            yield found


def _item_names(below: Any, removed: str) -> list[Any]:
    """The items of a list; of a table, its `name`."""
    if not isinstance(below, (list, tuple)):
        raise ValueError(f"{removed} can only be removed from a list, not from {value_text(below)}")
    return [each.get("name") if isinstance(each, dict) else each for each in below]


def control_cases(
    count: int, seed: int, parts: Iterable[tuple[str, tuple[Scalar, ...]]]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, label and settings of the cells without random items: of each number that a part removes, the draws.

    parts: the setting of each part's list, and the items that it removes.
    """
    removing = [(setting, frozenset(items)) for setting, items in parts]
    for setting, size in dict.fromkeys((setting, len(items)) for setting, items in removing if len(items) > 1):
        others = frozenset(items for other, items in removing if other == setting)
        for number in range(count):
            removal: Any = RandomlyRemoved(size, number, count, seed, others)
            settings = functools.reduce(lambda inner, key: {key: inner}, reversed(setting.split(".")), removal)
            yield f"random_{size}_{number + 1}", f"without {size} random items, draw {number + 1}", settings
