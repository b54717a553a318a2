"""Runs that collapsed or stand apart from the others of their cell, and how often the runs of each cell fail.

Verdicts are about runs that train. One run that collapses can decide a comparison of three, and no test of means can
be valid if that may happen unseen (Bahadur and Savage 1956, "The nonexistence of certain statistical procedures in
nonparametric problems"). Such runs are therefore named, a verdict that they decide is withheld, and failures are
compared by a test of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median, median_low
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ablate.judge.answer import Run, Wanted
    from ablate.judge.evidence import MeasuredCell

FAR = 8.0
"""A run stands apart if it is farther from its cell's median than this many standard deviations."""
_OF_NORMAL = 1.4826
"""A standard deviation over the median absolute deviation of normal values."""


class Apart(NamedTuple):
    """A run that stands apart, by the metric in which it does."""

    metric: str
    value: float


def outliers(cells: Sequence[MeasuredCell], wanted: Iterable[Wanted]) -> dict[Run, Apart]:
    """The runs that stand apart.

    The standard deviation is estimated by the median absolute deviation from the cells' medians: that of the run's own
    cell or that of all cells with the metric, whichever is larger, because three runs say little about theirs. Cells
    need three runs. If most runs equal their cell's median, the smallest difference counts as the standard deviation;
    if less than a quarter differ, all of these stand apart.
    """
    wanted = set(wanted)
    found: dict[Run, Apart] = {}
    for metric in sorted({metric for _, metric in wanted}):
        values = {number: cell.values(metric) for number, cell in enumerate(cells)}
        apart = {number: _apart(each) for number, each in values.items() if len(each) >= 3}
        overall = _deviation([value for each in apart.values() for value in _without_median(each)])
        for number, each in apart.items():
            scale = max(overall, _deviation(_without_median(each))) or _smallest_step(each)
            if (number, metric) in wanted:
                far = [seed for seed, distance in each.items() if distance > FAR * scale]
                found |= {(number, seed): Apart(metric, values[number][seed]) for seed in far}
    return found


def _apart(values: Mapping[int, float]) -> dict[int, float]:
    middle = median(values.values())
    return {seed: abs(value - middle) for seed, value in values.items()}


def _without_median(apart: Mapping[int, float]) -> list[float]:
    """The distances of a cell's runs to their median, without the run that is the median of an odd number."""
    return sorted(apart.values())[len(apart) % 2 :]


def _smallest_step(apart: Mapping[int, float]) -> float:
    """A scale for values most of which are equal, such as rounded ones; 0 if less than a quarter differ at all."""
    steps = [each for each in apart.values() if each > 0]
    return _OF_NORMAL * min(steps) if 4 * len(steps) > len(apart) else 0.0


def _deviation(apart: Sequence[float]) -> float:
    """A standard deviation from distances to medians.

    The lower median, so that of three runs one that collapsed does not widen the scale by which it is measured.
    """
    return _OF_NORMAL * median_low(apart) if apart else 0.0


def named_runs(cells: Sequence[MeasuredCell], runs: Mapping[Run, Apart]) -> str:
    """`seed 1 of 'crop' (12; its other seeds 61.2 to 62)`, and how many more there are."""
    (number, seed), (metric, value) = next(iter(sorted(runs.items())))
    cell = cells[number]
    others = [own for other, own in cell.values(metric).items() if (number, other) not in runs]
    beside = f"; its other seeds {min(others):.4g} to {max(others):.4g}" if others else ""
    more = f", and {len(runs) - 1} more" if len(runs) > 1 else ""
    return f"seed {seed} of '{cell.label}' ({value:.4g}{beside}){more}"


def failure_note(cells: Sequence[MeasuredCell], compared: Iterable[int], runs: Iterable[Run]) -> str | None:
    """A sentence if runs of the compared cells diverged or stand apart; with a test if others did not.

    Fisher's exact test, one-sided: the cell with the most such runs against all others of the claim, times the number
    of cells because that one was chosen.
    """
    from scipy.stats import fisher_exact

    collapsed = set(runs)
    bad, ran = {}, {}
    for number in sorted(set(compared)):
        cell = cells[number]
        failed = {seed for seed, cause in cell.failed.items() if cause == "diverged"}
        bad[number] = len(failed | {seed for own, seed in collapsed if own == number})
        ran[number] = len(failed | set(cell.numbers))
    if not any(bad.values()):
        return None
    worst = max(bad, key=lambda number: bad[number] / max(1, ran[number]))
    others = sum(bad.values()) - bad[worst], sum(ran.values()) - ran[worst]
    text = f"{bad[worst]} of {ran[worst]} runs of '{cells[worst].label}' diverged or stand apart"
    if not others[1]:
        return text
    table = [[bad[worst], ran[worst] - bad[worst]], [others[0], others[1] - others[0]]]
    p = min(1.0, len(bad) * float(fisher_exact(table, alternative="greater").pvalue))
    return f"{text}, and {others[0]} of {others[1]} of the claim's other cells (Fisher's exact test: p {p:.2g})"
