"""A cell with what was measured at it: what claims are judged on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any


class AbsentError(Exception):
    """Something that a claim speaks of is not there, or was not measured; the message says what."""


@dataclass(frozen=True)
class Measured:
    """One cell of the grid, or a case, with the numbers of each finished seed."""

    axes: dict[str, Any]
    """Its value on each axis that it has."""
    case: str | None
    label: str
    """What people call it: `crop, color`."""
    planned: int
    """How many trials were asked for. A cell with none, and without the number asked for, is as if it were not."""
    numbers: dict[int, dict[str, float]]
    """Seed -> metric -> value; top-1 in percent."""
    asked: tuple[int, ...] = ()
    """The seeds that were asked for."""

    def values(self, metric: str) -> dict[int, float]:
        """Seed -> value of a metric, for the seeds that have it."""
        return {seed: numbers[metric] for seed, numbers in sorted(self.numbers.items()) if metric in numbers}


def place(cell: Any) -> str:
    """Which cell something is of: the same text for a trial, a cell of a study, and one that was measured."""
    return json.dumps([cell.case, cell.axes], sort_keys=True, default=str)


def shortly_named(cells: Sequence[Measured]) -> list[Measured]:
    """The cells of the grid called by what tells them apart: `crop, color`, `normalize, temperature 0.1`.

    Left out is an axis on which all are alike, and one that moves together with another.
    """
    grid = [cell for cell in cells if cell.case is None]
    telling: dict[tuple[int, ...], str] = {}
    for axis in dict.fromkeys(axis for cell in grid for axis in cell.axes):
        numbers: dict[str, int] = {}
        pattern = tuple(numbers.setdefault(repr(cell.axes.get(axis)), len(numbers)) for cell in grid)
        if len(numbers) > 1:
            telling.setdefault(pattern, axis)

    def name(cell: Measured) -> str:
        return ", ".join(value_named(axis, cell.axes[axis]) for axis in telling.values() if axis in cell.axes)

    return [replace(cell, label=name(cell) or cell.label) if cell.case is None else cell for cell in cells]


def value_named(axis: str, value: object) -> str:
    """A value that says what it is of: text alone, a number with its axis, true and false as the axis or not."""
    if isinstance(value, bool):
        return axis if value else f"not {axis}"
    return value if isinstance(value, str) else f"{axis} {json.dumps(value)}"
