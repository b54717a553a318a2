"""Main effects: the mean over all cells with each value of an axis, which says which part matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from ablate.judge.statistics.paired import t_interval
from ablate.study.cells.cell import Scalar, axis_text

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence, MeasuredCell

_Others = tuple[str | tuple[str, str] | None, ...]
"""The case of a cell, and its other axes with their values as text: of one study, these identify the cell."""


@dataclass(frozen=True)
class MainEffect:
    """The cells with one value of an axis."""

    value: Scalar
    mean: float
    """Mean over these cells, in the unit of the metric."""
    interval: tuple[float, float] | None
    """95 % interval over the seeds that all these cells have, by Student's t; None below 2 of them."""
    seeds: int
    cells: int


@dataclass(frozen=True)
class AxisEffects:
    """The main effects of one axis, in the order of the study."""

    axis: str
    """Its label, or its name without one."""
    effects: tuple[MainEffect, ...]

    @property
    def spread(self) -> float:
        """The largest mean minus the smallest."""
        means = [each.mean for each in self.effects]
        return max(means) - min(means)


def main_effects(evidence: Evidence) -> list[AxisEffects]:
    """The main effects of each axis whose values are all combined with the same values of the other axes.

    Only then does a difference between two means come from the axis itself. Empty for fewer than two axes.
    """
    done = [cell for cell in evidence.grid if cell.mean is not None]
    texts = [{name: axis_text(value) for name, value in cell.axes.items()} for cell in done]
    found = []
    for axis in evidence.plan.axes if len(evidence.axes) > 1 else ():
        groups = _groups(axis.name, done, texts)
        met = {frozenset(group) for group in groups.values()}
        if len(groups) < 2 or len(met) != 1 or len(next(iter(met))) < 2:
            continue
        values = [value for value in axis.values if axis_text(value) in groups]
        effects = tuple(_effect(value, list(groups[axis_text(value)].values())) for value in values)
        found.append(AxisEffects(axis.label or axis.name, effects))
    return found


def _groups(
    axis: str, done: Sequence[MeasuredCell], texts: Sequence[Mapping[str, str]]
) -> dict[str, dict[_Others, MeasuredCell]]:
    """Value of an axis -> values of the other axes -> cell. texts: the values of each cell as text, by axis."""
    groups: dict[str, dict[_Others, MeasuredCell]] = {}
    for cell, own in zip(done, texts, strict=True):
        if axis in own:
            others = sorted(each for each in own.items() if each[0] != axis)
            groups.setdefault(own[axis], {})[cell.case, *others] = cell
    return groups


def _effect(value: Scalar, cells: Sequence[MeasuredCell]) -> MainEffect:
    values = [cell.values(cell.metric) for cell in cells]
    shared = sorted(set(values[0]).intersection(*values[1:]))
    of_seeds = tuple(fmean(each[seed] for each in values) for seed in shared)
    mean = fmean(cell.mean for cell in cells if cell.mean is not None)
    whole = len(shared) == max(map(len, values))  # else the interval would be about another mean
    return MainEffect(value, mean, t_interval(of_seeds) if whole else None, len(shared), len(cells))
