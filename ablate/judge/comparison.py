"""Comparisons of cells that are not yet numbers: what a claim asks, before it is asked of measurements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ablate.judge.cells import Measured
from ablate.judge.formula import Pool, effect, pooled

Numbers = Mapping[int, float]
"""Number of a cell -> its value at one seed."""


@dataclass(frozen=True)
class Comparison:
    """That something computed from some values of cells is above a bound."""

    label: str
    wanted: tuple[tuple[int, str], ...]
    """The values: number of a cell, and metric."""
    value: Callable[[Sequence[float]], float]
    """From these values, at one seed."""
    bound: float = 0.0


@dataclass(frozen=True)
class Pooling:
    """That something computed from some values of cells at all seeds together is above a bound."""

    label: str
    wanted: tuple[tuple[int, str], ...]
    pool: Callable[[Sequence[Sequence[float]]], Pool]
    """From these values at each seed."""
    bound: float = 0.0

    def value(self, at: Sequence[float]) -> float:
        """From these values, at one seed."""
        return effect(pooled(self.label, self.pool([at])))


@dataclass(frozen=True)
class Hold:
    """At least so many of the parts hold, and of others that are not measured."""

    parts: tuple[Asked, ...]
    needed: int
    unknown: int = 0


Asked = Comparison | Pooling | Hold


def all_hold(parts: Sequence[Asked]) -> Hold:
    """All of the parts hold."""
    return Hold(tuple(parts), len(parts))


def one_holds(parts: Sequence[Asked]) -> Hold:
    """One of the parts holds."""
    return Hold(tuple(parts), 1)


def more_than(share: float, parts: Sequence[Asked]) -> Hold:
    """More than this share of the parts hold; 1: all of them."""
    # 0.1 * 30 is no more than 3: rounded, since a share is a decimal number
    return Hold(tuple(parts), min(len(parts), math.floor(round(share * len(parts), 9)) + 1))


def of_cells(
    label: str, metric: str, cells: Sequence[int], value: Callable[[Numbers], float], bound: float = 0.0
) -> Comparison:
    """That something computed from one metric of some cells is above a bound."""
    wanted = tuple((cell, metric) for cell in cells)
    return Comparison(label, wanted, lambda values: value(dict(zip(cells, values, strict=True))), bound)


@dataclass(frozen=True)
class Side:
    """One side of a difference: the mean of a metric over some cells."""

    name: str
    metric: str
    cells: Sequence[int]


def difference(left: Side, right: Side, bound: float, suffix: str = "") -> Comparison:
    """That one side is above another by more than a bound."""
    names = f"{left.name} - {right.name}"
    if left.metric != right.metric:
        names = f"{left.name}, {left.metric} - {right.name}, {right.metric}"
    if left.metric != right.metric and left.name == right.name:
        names = f"{left.name}: {left.metric} - {right.metric}"
    wanted = tuple((cell, side.metric) for side in (left, right) for cell in side.cells)
    middle = len(left.cells)
    return Comparison(names + suffix, wanted, lambda at: fmean(at[:middle]) - fmean(at[middle:]), bound)


def pair(metric: str, cells: Mapping[int, Measured], left: int, right: int, bound: float) -> Comparison:
    """That one cell is above another by more than a bound."""
    one, two = (Side(cells[each].label, metric, [each]) for each in (left, right))
    return difference(one, two, bound)


def within(one: Side, two: Side, margin: float, suffix: str = "") -> list[Comparison]:
    """That two sides are less than a margin apart, either way."""
    return [difference(left, right, -margin, suffix) for left, right in ((one, two), (two, one))]


def comparisons(asked: Asked) -> Iterator[Comparison | Pooling]:
    """All comparisons, from left to right."""
    if not isinstance(asked, Hold):
        yield asked
        return
    for part in asked.parts:
        yield from comparisons(part)
