"""Comparisons of cells that are not yet numbers: what a claim asks, before it is asked of measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ablate.errors import nearest
from ablate.judge.cells import AbsentError, Measured
from ablate.judge.formula import Every, Formula, Leaf, Some

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
class AllHold:
    """All of the parts hold."""

    parts: tuple[Asked, ...]


@dataclass(frozen=True)
class OneHolds:
    """One of the parts holds."""

    parts: tuple[Asked, ...]


Asked = Comparison | AllHold | OneHolds


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


def answered(asked: Asked, cells: Mapping[int, Measured]) -> Formula:
    """The formula of the seeds that all cells have. Raises AbsentError where results are missing."""
    seeds = _seeds(asked, cells)
    return _formula(asked, cells, seeds)


def _formula(asked: Asked, cells: Mapping[int, Measured], seeds: Sequence[int]) -> Formula:
    if isinstance(asked, Comparison):
        values = [cells[number].values(metric) for number, metric in asked.wanted]
        at_seeds = [[each[seed] for each in values] for seed in seeds]
        return Leaf(asked.label, tuple(map(asked.value, at_seeds)), asked.bound)
    parts = tuple(_formula(part, cells, seeds) for part in asked.parts)
    if len(parts) == 1:
        return parts[0]
    return Every(parts) if isinstance(asked, AllHold) else Some(parts)


def _seeds(asked: Asked, cells: Mapping[int, Measured]) -> list[int]:
    """The seeds at which every cell has the number that it is asked for."""
    wanted = dict.fromkeys(pair for each in comparisons(asked) for pair in each.wanted)
    found = {each: set(cells[each[0]].values(each[1])) for each in wanted}
    if missing := [each for each, seeds in found.items() if not seeds]:
        raise AbsentError(_missing(missing, [cells[number] for number, _ in wanted]))
    common = set.intersection(*found.values())
    if not common:
        raise AbsentError(f"its {len(found)} cells have no seed in common")
    return sorted(common)


def _missing(missing: Sequence[tuple[int, str]], cells: Sequence[Measured]) -> str:
    """That results are missing; a number that no trial returned is told with those that they did."""
    returned = {name for cell in cells for numbers in cell.numbers.values() for name in numbers}
    if returned and (unknown := next((metric for _, metric in missing if metric not in returned), None)):
        return f"no trial returned '{unknown}'{nearest(unknown, sorted(returned))}"
    return f"{len(missing)} of its {len(cells)} cells {'has' if len(missing) == 1 else 'have'} no result"


def comparisons(asked: Asked) -> Iterator[Comparison]:
    """All comparisons, from left to right."""
    if isinstance(asked, Comparison):
        yield asked
        return
    for part in asked.parts:
        yield from comparisons(part)
