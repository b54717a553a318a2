"""The noise of a study from seed to seed, and the seeds that an effect of a given size needs."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, pairwise
from typing import Any

import numpy as np
from scipy.stats import chi2

from ablate.errors import UserError, nearest
from ablate.judge.evidence import MeasuredCell, read_evidence
from ablate.judge.statistics.combine import power
from ablate.records.files import Results
from ablate.records.plans import newest_plan
from ablate.records.store import store_of

LEVEL, POWER = 0.05, 0.8
"""The level of each side of a claim, and the share of studies that are to find the effect."""
LEAST_SEEDS, MOST_SEEDS = 3, 1000
_MOST_CELLS = 200
"""Up to this number of cells, all pairs of cells are compared; of more cells, only neighbours."""
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Deviation:
    """A standard deviation in units of the metric, pooled over cells or pairs of cells, with its 95 % interval."""

    value: float
    low: float
    high: float
    freedom: int
    """Degrees of freedom: the number of seeds less one, summed over independent cells."""

    @property
    def text(self) -> str:
        """`0.0103 [0.0077, 0.0157]`."""
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True)
class Noise:
    """How far results of one cell differ between seeds, and differences between two cells with the same seeds."""

    metric: str
    cells: int
    """Cells with at least two seeds."""
    of_cell: Deviation
    of_difference: Deviation | None
    """None if no two cells share two seeds."""
    largest: tuple[str, float]
    """The label and the deviation of the cell with the most noise."""

    @property
    def difference(self) -> Deviation:
        """The deviation of a difference; without shared seeds, that of two independent runs."""
        if self.of_difference is not None:
            return self.of_difference
        one, both = self.of_cell, math.sqrt(2)
        return Deviation(both * one.value, both * one.low, both * one.high, one.freedom)

    @property
    def example_effects(self) -> list[float]:
        """Half, once and twice the deviation of a difference, with two digits."""
        return [float(f"{share * self.difference.value:.2g}") for share in (0.5, 1, 2) if self.difference.value]

    @property
    def plain(self) -> dict[str, Any]:
        """The noise as JSON."""
        difference = None if self.of_difference is None else vars(self.of_difference)
        largest = {"cell": self.largest[0], "value": self.largest[1]}
        own = {"metric": self.metric, "cells": self.cells, "of_cell": vars(self.of_cell)}
        return own | {"of_difference": difference, "largest": largest}


@dataclass(frozen=True)
class NeededSeeds:
    """The seeds of each cell that an effect needs: by the measured noise, and by the ends of its interval."""

    effect: float
    seeds: int | None
    """None: more than 1,000."""
    least: int | None
    most: int | None

    @property
    def text(self) -> str:
        """The seeds in a sentence."""
        ends = "" if self.least == self.most else f" ({_count(self.least)} to {_count(self.most)} by the interval)"
        return f"an effect of {self.effect:g} needs {_count(self.seeds)} seeds of each cell{ends}"


def _count(seeds: int | None) -> str:
    return f"over {MOST_SEEDS:,}" if seeds is None else str(seeds)


def seeds_for(effect: float, noise: Noise) -> NeededSeeds:
    """The seeds that an effect needs. Raises UserError for an effect of 0, which no seeds can find."""
    if not effect or not math.isfinite(effect):
        raise UserError(f"--effect {effect:g} is not a size", help="give a difference that would matter: --effect 0.5")
    deviation = noise.difference
    ends = (seeds_needed(effect, each) for each in (deviation.value, deviation.low, deviation.high))
    return NeededSeeds(effect, *ends)


def noise_of_study(results: Results, study: str, profile: str | None, metric: str | None = None) -> Noise:
    """The noise of a recorded study. Raises UserError if it has no cell with two finished seeds."""
    plan = newest_plan(results, study, profile)
    with store_of(results, None, curves=False) as store:
        evidence = read_evidence(store, plan)
    name = metric or plan.metric
    known = sorted({each for cell in evidence.cells for numbers in cell.numbers.values() for each in numbers})
    if metric is not None and metric not in known:
        raise UserError(
            f"--metric {metric}: no such metric{nearest(metric, known)}", help=f"metrics: {', '.join(known)}"
        )
    if (noise := read_noise(evidence.cells, name)) is None:
        message = f"'{plan.study}' has no cell with two finished seeds, so nothing is known of its noise"
        raise UserError(message, help=f"ablate run {plan.study} --seeds 3")
    return noise


def read_noise(cells: Iterable[MeasuredCell], metric: str) -> Noise | None:
    """The noise of a metric; None if no cell has two seeds.

    The deviation of a cell is the root of the mean of the cells' variances, weighted by their degrees of freedom. Seeds
    are paired where a verdict pairs them: what a seed does to both cells alike cancels in their difference.
    """
    values = {cell.label: cell.values(metric) for cell in cells}
    several = {label: of_seed for label, of_seed in values.items() if len(of_seed) >= 2}
    if not several:
        return None
    variances = {label: float(np.var([*of_seed.values()], ddof=1)) for label, of_seed in several.items()}
    freedoms = [len(of_seed) - 1 for of_seed in several.values()]
    largest = max(variances, key=variances.__getitem__)
    return Noise(
        metric,
        len(several),
        _pooled([*variances.values()], freedoms, sum(freedoms)),
        _of_differences([*several.values()], sum(freedoms)),
        (largest, math.sqrt(variances[largest])),
    )


def _of_differences(cells: Sequence[dict[int, float]], of_cells: int) -> Deviation | None:
    """The deviation of paired differences. Pairs overlap, so only as many degrees count as independent cells have."""
    variances, freedoms = [], []
    for one, two in combinations(cells, 2) if len(cells) <= _MOST_CELLS else pairwise(cells):
        shared = sorted(one.keys() & two.keys())
        if len(shared) >= 2:
            variances.append(float(np.var([one[seed] - two[seed] for seed in shared], ddof=1)))
            freedoms.append(len(shared) - 1)
    if not freedoms:
        return None
    seeds = max(freedoms)
    return _pooled(variances, freedoms, max(seeds, min(sum(freedoms), of_cells - seeds)))


def _pooled(variances: Sequence[float], freedoms: Sequence[int], freedom: int) -> Deviation:
    variance = float(np.average(variances, weights=freedoms))
    tail = (1 - _CONFIDENCE) / 2
    low, high = (math.sqrt(variance * freedom / chi2.ppf(p, freedom)) for p in (1 - tail, tail))
    return Deviation(math.sqrt(variance), low, high, freedom)


def seeds_needed(effect: float, deviation: float) -> int | None:
    """The fewest seeds of each cell with which a one-sided paired t test at 5 % finds an effect in 80 % of studies.

    effect, deviation: the mean and the standard deviation of the differences. At least 3, which a verdict needs; None
    if 1,000 are too few.
    """
    if deviation == 0:
        return LEAST_SEEDS
    counts = np.arange(LEAST_SEEDS, MOST_SEEDS + 1)
    enough = np.flatnonzero(np.asarray(power(abs(effect) / deviation, counts, LEVEL)) >= POWER)
    return next((int(counts[at]) for at in islice(enough, 1)), None)
