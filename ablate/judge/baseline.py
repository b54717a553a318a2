"""The difference of each cell to the study's baseline, paired by seed, with the interval that verdicts use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from ablate.judge.statistics.paired import t_interval
from ablate.study.cells.baseline import baselines_of
from ablate.study.cells.cell import Cell

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence, MeasuredCell
    from ablate.records.plan_file import PlanFile


@dataclass(frozen=True)
class Difference:
    """A cell minus its baseline, at the seeds that both have."""

    baseline: int
    """The number of the baseline's cell."""
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    """The difference of each of these seeds."""

    @property
    def mean(self) -> float | None:
        """The mean difference; None without a common seed."""
        return fmean(self.values) if self.values else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean, by Student's t; None below 2 seeds."""
        return t_interval(self.values)

    @property
    def sd(self) -> float | None:
        """The standard deviation of the differences over seeds; None below 2 seeds."""
        return stdev(self.values) if len(self.values) > 1 else None

    def texts(self, evidence: Evidence) -> tuple[str, str]:
        """The mean with its sign, and the interval; dashes where there is none."""
        ends = " to ".join(_signed(evidence, end) for end in self.interval or ())
        return _signed(evidence, self.mean), ends or "\u2013"

    def plain(self) -> dict[str, Any]:
        """All its numbers, for exports."""
        low, high = self.interval or (None, None)
        return {"difference": self.mean, "low": low, "high": high, "sd": self.sd, "seeds": len(self.seeds)}


def differences(plan: PlanFile, cells: Sequence[MeasuredCell]) -> tuple[Difference | None, ...]:
    """Of each cell, its difference in the study's metric; None for the baseline, and where none was run."""
    if plan.baseline is None:
        return (None,) * len(cells)
    found: list[Difference | None] = []
    for cell, number in zip(cells, baselines_of([each.cell for each in cells], plan.baseline), strict=True):
        if number is None:
            found.append(None)
            continue
        own, other = cell.values(plan.metric), cells[number].values(plan.metric)
        seeds = tuple(seed for seed in own if seed in other)
        found.append(Difference(number, seeds, tuple(own[seed] - other[seed] for seed in seeds)))
    return tuple(found)


def _signed(evidence: Evidence, value: float | None) -> str:
    if value is None:
        return "\u2013"
    return f"{value:+.1f}" if evidence.percent else f"{value:+.4g}"


def baseline_title(plan: PlanFile) -> str | None:
    """What the baseline is called: `full method`, `head=nonlinear`; None for a study without one."""
    baseline = plan.baseline
    if baseline is None:
        return None
    if baseline.case is not None:
        return plan.cases.get(baseline.case) or baseline.case
    if plan.naming and baseline.axes.keys() == plan.naming.start.keys():
        return plan.naming.name(Cell(baseline.axes))
    return Cell(baseline.axes).label
