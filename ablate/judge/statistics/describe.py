"""What is shown beside a verdict: descriptions of one comparison, and p values under stronger assumptions.

None of these decide a claim. Intervals are 95 % percentile intervals of a bootstrap over seeds. With three seeds no
resampled mean leaves the range of the values, so such an interval is too narrow.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ablate.judge.statistics.formula import ROUNDING, unit_of

Values = Sequence[float]
Floats = NDArray[np.float64]

_RESAMPLES = 2_000
_CONFIDENCE = 0.95
_SIDE = 0.05
"""The level of each side of a claim."""


class Estimate(NamedTuple):
    """A number with its bootstrap interval."""

    value: float
    low: float
    high: float


def improvement(left: Values, right: Values) -> Estimate:
    """The probability that a run on the left exceeds one on the right; ties count half.

    Over all pairs of runs, also those with different seeds: the Mann-Whitney U statistic divided by their number. The
    bootstrap resamples the runs of each side separately (Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge
    of the Statistical Precipice").
    """
    one, two = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    wins = (one[:, None] > two) + 0.5 * (one[:, None] == two)  # [left, right]
    first, second = _shares(len(one), 0), _shares(len(two), 1)
    return _estimate(float(wins.mean()), ((first @ wins) * second).sum(axis=1))


def interquartile_mean(values: Values) -> Estimate:
    """The mean without the lowest and the highest quarter of the values; below four values, their mean.

    Agarwal et al. 2021: as robust as a median, with less variance.
    """
    drawn = np.asarray(values, dtype=np.float64)[_draws(len(values), 0)]  # [resample, seed]
    return _estimate(float(_trimmed(np.asarray(values, dtype=np.float64))), _trimmed(drawn))


def _trimmed(values: Floats) -> Floats:
    """[..., value] -> [...]."""
    count = values.shape[-1]
    out = count // 4
    return np.asarray(np.sort(values, axis=-1)[..., out : count - out].mean(axis=-1))


def standardized(values: Values, bound: float = 0.0, unit: float = 1.0) -> float | None:
    """The distance of the mean from the bound in standard deviations of the differences, with Hedges' correction.

    Cohen's d_z (Cohen 1988) times the factor that removes its bias with few seeds (Hedges 1981). None below 2 seeds or
    without spread beyond rounding, which is relative to the unit.
    """
    deviation = _deviation(values, unit)
    if not deviation:
        return None
    freedom = len(values) - 1
    if freedom == 1:  # the correction is 0: two values say nothing about the size of an effect
        return None
    log_factor = math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2) - math.log(freedom / 2) / 2
    return (float(np.mean(values)) - bound) / deviation * math.exp(log_factor)


def correlation(left: Values, right: Values) -> float | None:
    """Pearson's correlation over seeds of the two sides, one value each per seed; None below 3 seeds or without spread.

    It is why seeds are paired: a positive one makes differences vary less than independent values would.
    """
    if len(left) < 3 or not _deviation(left, unit_of([left])) or not _deviation(right, unit_of([right])):
        return None
    return float(np.clip(np.corrcoef(left, right)[0, 1], -1.0, 1.0))


def paired_width(left: Values, right: Values) -> float | None:
    """How wide the paired t interval is, as a multiple of the unpaired one; None below 2 seeds or without spread.

    Below 1, pairing gains; above 1, it costs. Pairing uses the correlation but halves the degrees of freedom.
    """
    from scipy.special import stdtrit

    count = len(left)
    unit = unit_of([left, right])
    if count < 2 or not (apart := math.hypot(_deviation(left, unit), _deviation(right, unit))):
        return None
    together = _deviation([one - two for one, two in zip(left, right, strict=True)], unit)
    return float(together * stdtrit(count - 1, 1 - _SIDE) / (apart * stdtrit(2 * count - 2, 1 - _SIDE)))


def posterior(values: Values, rope: float, unit: float = 1.0) -> tuple[float, float, float] | None:
    """The probabilities that the true mean is below -rope, within it, and above rope; None below 2 seeds.

    With the Jeffreys prior the posterior of a mean is Student's t with n - 1 degrees of freedom around the measured
    mean: the correlated t test of Benavoli et al. 2017, "Time for a Change", without correlation, since seeds train on
    the same images but are not overlapping folds. rope: half the region of practical equivalence, in displayed units.
    unit: what rounding is relative to.
    """
    from scipy.special import stdtr

    count = len(values)
    if count < 2:
        return None
    mean, error = float(np.mean(values)), _deviation(values, unit) / math.sqrt(count)
    if not error:
        return float(mean < -rope), float(abs(mean) <= rope), float(mean > rope)
    below = float(stdtr(count - 1, (-rope - mean) / error))
    above = float(stdtr(count - 1, (mean - rope) / error))
    return below, max(0.0, 1 - below - above), above


class Sensitivity(NamedTuple):
    """One-sided p values of "the mean is above the bound" under stronger assumptions than the verdict's.

    They gain power from the other comparisons of the claim and are wrong if its cells do not vary alike. Comparisons
    that share a cell share its noise, so the degrees of freedom are too many. They never decide.
    """

    pooled: float | None
    """If all comparisons have the same variance."""
    moderated: float | None
    """If their variances come from one scaled inverse chi-squared distribution."""


def sensitivities(rows: Sequence[Values], bounds: Values) -> list[Sensitivity]:
    """Pooled and moderated p of each comparison of a claim; None if fewer than two have a variance to share.

    rows: the differences of each comparison, one per seed. A comparison and its reverse count once.
    """
    from scipy.special import stdtr

    distinct = {max(tuple(row), tuple(-value for value in row)) for row in rows if len(row) > 1}
    variances = np.array([np.var(row, ddof=1) for row in sorted(distinct)])
    freedoms = np.array([len(row) - 1.0 for row in sorted(distinct)])
    if len(distinct) < 2 or not np.median(variances) > 0:
        return [Sensitivity(None, None)] * len(rows)
    pooled, total = float(freedoms @ variances / freedoms.sum()), float(freedoms.sum())
    prior, usual = prior_variance(variances, freedoms)

    def p(row: Values, bound: float) -> Sensitivity:
        if len(row) < 2:
            return Sensitivity(None, None)
        count, excess = len(row), float(np.mean(row)) - bound
        own = float(np.var(row, ddof=1))
        squeezed = usual if math.isinf(prior) else (prior * usual + (count - 1) * own) / (prior + count - 1)
        likely = (stdtr(total, -excess * math.sqrt(count / pooled)),
                  stdtr(min(total, prior + count - 1), -excess * math.sqrt(count / squeezed)))  # fmt: skip
        return Sensitivity(*map(float, likely))

    return [p(row, bound) for row, bound in zip(rows, bounds, strict=True)]


def prior_variance(variances: Floats, freedoms: Floats) -> tuple[float, float]:
    """Degrees of freedom and location of the distribution of variances, from the moments of their logarithms.

    Smyth 2004, "Linear Models and Empirical Bayes Methods", section 6.2 (the R package limma). The degrees of freedom
    are infinite if the variances differ by no more than chance. Variances near zero are raised to 1e-5 of the median,
    as limma does.
    """
    from scipy.special import digamma, polygamma

    raised = np.maximum(variances, 1e-5 * np.median(variances))
    logs = np.log(raised) - digamma(freedoms / 2) + np.log(freedoms / 2)
    mean, count = float(logs.mean()), len(logs)
    excess = float(np.sum((logs - mean) ** 2) / (count - 1) - np.mean(polygamma(1, freedoms / 2)))
    if excess <= 0:
        return math.inf, math.exp(mean)
    half = _inverse_trigamma(excess)
    return 2 * half, math.exp(mean + float(digamma(half)) - math.log(half))


def _inverse_trigamma(value: float) -> float:
    """The y with trigamma(y) = value > 0, by Newton's method on 1 / trigamma (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    if value > 1e7:
        return 1 / math.sqrt(value)
    if value < 1e-6:
        return 1 / value
    y = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, y))
        change = trigamma * (1 - trigamma / value) / float(polygamma(2, y))
        y += change
        if -change / y < 1e-8:
            break
    return y


def _deviation(values: Values, unit: float) -> float:
    """The standard deviation; 0 below 2 values, or if rounding alone makes them differ."""
    if len(values) < 2 or np.ptp(values) <= ROUNDING * max(unit, float(np.max(np.abs(values)))):
        return 0.0
    return float(np.std(values, ddof=1))


def _estimate(value: float, resampled: Floats) -> Estimate:
    low, high = np.quantile(resampled, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high))


@cache
def _draws(count: int, stream: int) -> NDArray[Any]:
    """Indices of resampled runs [resample, run], the same at each call."""
    return np.random.default_rng([stream, count]).integers(0, count, (_RESAMPLES, count))


@cache
def _shares(count: int, stream: int) -> Floats:
    """The share of each run in each resample [resample, run]."""
    return np.asarray((_draws(count, stream)[:, :, None] == np.arange(count)).mean(axis=1))
