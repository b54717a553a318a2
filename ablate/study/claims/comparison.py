"""Comparisons of cells: what a claim asks of their values, before any value is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

Numbers = Mapping[int, float]
"""Number of a cell -> its value at one seed."""


@dataclass(frozen=True)
class Comparison:
    """Asserts that a function of some cells' values is above a bound, on average over seeds."""

    label: str
    wanted: tuple[tuple[int, str], ...]
    """The values: number of a cell, and metric."""
    value: Callable[[Sequence[float]], float]
    """The function of these values at one seed."""
    bound: float = 0.0
    within: bool = False
    """Whether it is one side of an equivalence: the absolute difference is below `-bound`."""
    turned: bool = False
    """Whether it is the side on which the difference has the opposite sign of its label."""
    single_runs: float = 0.0
    """How many single runs of the paper are part of it, each with the noise of one seed."""


@dataclass(frozen=True)
class Pooling:
    """Asserts that a statistic of some cells' values, computed over all seeds together, is above a bound."""

    label: str
    wanted: tuple[tuple[int, str], ...]
    values: Callable[[Sequence[float]], Sequence[float]]
    """From the wanted values at one seed to those that the statistic takes."""
    statistic: str
    """Its name among ablate.judge.statistics.pooled.STATISTICS."""
    options: Mapping[str, Any]
    """Further arguments of the statistic."""
    bound: float = 0.0


@dataclass(frozen=True)
class Hold:
    """Asserts that at least `needed` of the parts hold; `unknown` more parts are not measured."""

    parts: tuple[Requirement, ...]
    needed: int
    unknown: int = 0


Requirement = Comparison | Pooling | Hold


def labelled(asked: Requirement, text: str) -> Requirement:
    """The same with a text, such as the name of the metric, in each label."""
    if isinstance(asked, Hold):
        return replace(asked, parts=tuple(labelled(part, text) for part in asked.parts))
    return replace(asked, label=f"{asked.label} ({text})")


def labels(asked: Requirement) -> frozenset[str]:
    """The labels of all comparisons."""
    return frozenset().union(*map(labels, asked.parts)) if isinstance(asked, Hold) else frozenset({asked.label})


def all_hold(parts: Sequence[Requirement]) -> Hold:
    """All of the parts hold."""
    return Hold(tuple(parts), len(parts))


def one_holds(parts: Sequence[Requirement]) -> Hold:
    """At least one of the parts holds."""
    return Hold(tuple(parts), 1)


def more_than(share: float, parts: Sequence[Requirement]) -> Hold:
    """More than this share of the parts hold; 1 means all of them."""
    # Rounded because 0.1 * 30 is slightly more than 3 in binary.
    return Hold(tuple(parts), min(len(parts), math.floor(round(share * len(parts), 9)) + 1))


def of_cells(
    label: str, metric: str, cells: Sequence[int], value: Callable[[Numbers], float], bound: float = 0.0
) -> Comparison:
    """Asserts that a function of one metric of some cells is above a bound."""
    wanted = tuple((cell, metric) for cell in cells)
    return Comparison(label, wanted, lambda values: value(dict(zip(cells, values, strict=True))), bound)


@dataclass(frozen=True)
class Side:
    """One side of a difference: the mean of a metric over some cells."""

    name: str
    metric: str
    cells: Sequence[int]


def difference(left: Side, right: Side, bound: float, suffix: str = "") -> Comparison:
    """Asserts that the left side exceeds the right one by more than a bound."""
    names = f"{left.name} - {right.name}"
    if left.metric != right.metric:
        names = f"{left.name}, {left.metric} - {right.name}, {right.metric}"
    if left.metric != right.metric and left.name == right.name:
        names = f"{left.name}: {left.metric} - {right.metric}"
    wanted = tuple((cell, side.metric) for side in (left, right) for cell in side.cells)
    middle = len(left.cells)
    return Comparison(names + suffix, wanted, lambda at: fmean(at[:middle]) - fmean(at[middle:]), bound)


def within(one: Side, two: Side, margin: float, suffix: str = "") -> list[Comparison]:
    """Asserts that two sides differ by less than a margin, in both directions."""
    above, below = (difference(left, right, -margin, suffix) for left, right in ((one, two), (two, one)))
    return [replace(above, within=True), replace(below, label=above.label, within=True, turned=True)]


def mean_of(asked: Hold) -> Comparison | None:
    """A comparison that holds if all parts do: their mean is above that of their bounds.

    None for fewer than three parts, for parts that are not comparisons of their own, and if not all must hold.
    """
    parts = [part for part in asked.parts if isinstance(part, Comparison) and not part.within]
    if len(parts) < max(3, len(asked.parts)) or asked.unknown or asked.needed < len(parts):
        return None
    wanted = tuple(dict.fromkeys(each for part in parts for each in part.wanted))
    places = [[wanted.index(each) for each in part.wanted] for part in parts]

    def mean(at: Sequence[float]) -> float:
        own = zip(parts, places, strict=True)
        return fmean(part.value([at[place] for place in ends]) - part.bound for part, ends in own)

    return Comparison(f"mean of the {len(parts)} comparisons", wanted, mean)


def comparisons(asked: Requirement) -> Iterator[Comparison | Pooling]:
    """All comparisons, from left to right."""
    if not isinstance(asked, Hold):
        yield asked
        return
    for part in asked.parts:
        yield from comparisons(part)
