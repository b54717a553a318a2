"""Pooled statistics: computed from all seeds together, because single-seed values would be mostly noise.

Noise in the cells increases the mean of absolute or squared asymmetries and changes a rank correlation, no matter how
many seeds are averaged. Both are therefore computed from all seeds together. For an asymmetry, a jackknife over seeds
(Tukey 1958; Miller 1974, "The jackknife: a review") gives the t test its one number per seed: the estimate, plus n - 1
times the change when that seed is left out. A rank correlation is tested by the orders that simultaneous intervals of
the means allow.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ablate.judge.statistics.formula import Pooled
from ablate.judge.statistics.paired import LEAST_SEEDS, Floats


def asymmetry(rows: Sequence[Any], margin: float) -> Pooled:
    """margin^2 minus the mean squared change over pairs of cells; displayed as margin minus its root.

    rows: changes [seed, pair, ...] in points, with at least two pairs.
    """
    return Pooled(tuple(rows), partial(_asymmetry, margin=margin), lambda excess: margin - _root(margin**2 - excess))


def _root(square: float) -> float:
    return math.sqrt(max(0.0, square))  # an unbiased estimate of a square may be below zero


def _asymmetry(rows: Sequence[Any], margin: float) -> Floats:
    """Unbiased (a U-statistic: Hoeffding 1948), because seeds have independent noise: E[d_s d_t] = delta^2 for s != t.

    With few pairs the jackknife alone can be too narrow by chance. It is therefore kept at least as wide as it would be
    for changes of the margin's size that are the same in all pairs, so that no independence of the pairs is assumed.
    With one seed, the squares are used directly.
    """
    changes = np.asarray(rows, dtype=np.float64)  # [seed, pair, ...]
    seeds = len(changes)
    if seeds == 1:
        return np.asarray(margin**2 - (changes**2).mean(axis=1))
    if seeds < LEAST_SEEDS:
        return np.broadcast_to(margin**2 - _squared(changes), (seeds, *changes.shape[2:]))
    found = jackknifed(_squared, changes)
    variance = changes.var(axis=0, ddof=1)
    linear, quadratic = 4 * margin**2 * variance.mean(axis=0) / seeds, 2 * (variance**2).mean(axis=0) / seeds
    least = np.sqrt(linear + quadratic / (seeds - 1))
    return margin**2 - at_least_as_wide(found, least)


def _squared(changes: Floats) -> Floats:
    """The mean over pairs of products of two seeds' changes: [seed, pair, ...] -> [...]."""
    seeds = len(changes)
    products = (changes.sum(axis=0) ** 2 - (changes**2).sum(axis=0)) / (seeds * (seeds - 1))
    return np.asarray(products.mean(axis=0))


def rank_correlation(rows: Sequence[Any], published: Sequence[float], errors: Sequence[float] = ()) -> Pooled:
    """Spearman's correlation of means over seeds with the published values, which are single runs.

    rows: [seed, value, ...]. errors: by how much each published value may have been misread from a figure.
    """
    statistic = partial(_rank_correlation, published=published)
    limits = partial(correlation_limits, published=published, errors=errors)
    return Pooled(tuple(rows), statistic, lambda value: min(1.0, max(-1.0, value)), limits)


def _rank_correlation(rows: Sequence[Any], published: Sequence[float]) -> Floats:
    values = np.asarray(rows, dtype=np.float64)  # [seed, value, ...]
    if len(values) == 1:
        return _spearman(values, published)[None]
    return jackknifed(partial(_spearman, published=published), values)


def _spearman(values: Floats, published: Sequence[float]) -> Floats:
    """[seed, value, ...] -> [...]; ties share their mean rank; 0 without variation."""
    from scipy.stats import rankdata

    ranks, paper = rankdata(_rounded(values), axis=0), rankdata(published)
    ranks, paper = ranks - ranks.mean(axis=0), paper - paper.mean()
    spread = np.sqrt((ranks**2).sum(axis=0) * (paper**2).sum())
    together = np.tensordot(paper, ranks, axes=(0, 0))
    return np.asarray(np.where(spread > 0, together / np.where(spread > 0, spread, 1.0), 0.0))


def correlation_limits(
    rows: Floats, level: float, published: Sequence[float], errors: Sequence[float] = ()
) -> tuple[float, float]:
    """The least and the greatest correlation over all orders of both true means that their intervals allow.

    rows: [seed, value]. A published value is a single run, whose noise is not known: each is assumed to vary as one
    seed of the same cell does here. The interval of what it estimates is therefore sqrt(seeds) times as wide as that
    of the mean over seeds, plus its reading error. Each side uses half of the level.
    """
    own, single = _half_widths(rows, level / 2), _half_widths(rows, level / 2) * math.sqrt(len(rows))
    wide = single + np.asarray(errors) if len(errors) else single
    return _allowed(rows.mean(axis=0), own, np.asarray(published), wide)


def _allowed(means: Floats, half: Floats, others: Floats, wide: Floats) -> tuple[float, float]:
    """The least and the greatest rank correlation of two series [value] within means +- half and others +- wide.

    Two values of a series may have either order if their intervals overlap (Klein, Wright and Wieczorek 2020, "A joint
    confidence region for an overall ranking of populations"). The intervals of the other series widen the limits by the
    greatest change of order that they allow, as a distance between ranks (triangle inequality).
    """
    published = others.tolist()
    low, high = _extremes(means - half, means + half, published)
    if wide.any():
        changed = _apart(_extremes(others - wide, others + wide, published)[0])
        low, high = _correlated(_apart(low) + changed), _correlated(max(0.0, _apart(high) - changed))
    return low, high


def _extremes(lows: Floats, highs: Floats, published: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest rank correlation over all orders in which no value leaves its range of ranks."""
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import rankdata

    count = len(lows)
    first = (highs[None, :] < lows[:, None]).sum(axis=1)  # how many are certainly below each value
    last = count - 1 - (lows[None, :] > highs[:, None]).sum(axis=1)
    ranks, paper = np.arange(count) - (count - 1) / 2, rankdata(published)
    paper = paper - paper.mean()
    cost = np.outer(paper, ranks)
    allowed = (np.arange(count) >= first[:, None]) & (np.arange(count) <= last[:, None])
    scale = math.sqrt(float((ranks**2).sum() * (paper**2).sum()))
    if scale == 0:  # equal numbers, whose true order is not known
        return -1.0, 1.0
    # Values that are published as equal may be equal: then the correlation is larger than that of any strict order.
    tied = float((paper**2).sum()) / scale
    found = []
    for sign in (1, -1):
        chosen = linear_sum_assignment(np.where(allowed, sign * cost, 1e9))
        extreme = float(cost[chosen].sum()) / scale
        found.append(extreme / tied if extreme * sign < 0 else extreme)
    return max(-1.0, found[0]), min(1.0, found[1])


def _apart(correlation: float) -> float:
    """The distance of two orders, as unit vectors of centred ranks."""
    return math.sqrt(max(0.0, 2 - 2 * correlation))


def _correlated(apart: float) -> float:
    return max(-1.0, 1 - apart**2 / 2)


def correlation_of_two(rows: Sequence[Any]) -> Pooled:
    """Spearman's correlation of the means over seeds of two metrics of the same cells.

    rows: [seed, value, ...], first one metric of all cells, then the other.
    """
    return Pooled(tuple(rows), _correlation_of_two, lambda value: min(1.0, max(-1.0, value)), _limits_of_two)


def _correlation_of_two(rows: Sequence[Any]) -> Floats:
    values = np.asarray(rows, dtype=np.float64)  # [seed, value, ...]
    return _spearman_of_two(values)[None] if len(values) == 1 else jackknifed(_spearman_of_two, values)


def _spearman_of_two(values: Floats) -> Floats:
    """[seed, value, ...] -> [...]; ties share their mean rank; 0 without variation."""
    from scipy.stats import rankdata

    ranks = [rankdata(_rounded(half), axis=0) for half in np.split(values, 2, axis=1)]
    one, other = (each - each.mean(axis=0) for each in ranks)
    spread = np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))
    return np.asarray(np.where(spread > 0, (one * other).sum(axis=0) / np.where(spread > 0, spread, 1.0), 0.0))


def _limits_of_two(rows: Floats, level: float) -> tuple[float, float]:
    """The limits over all orders of both metrics that their simultaneous intervals allow.

    Each metric uses half of the level, so that no assumption is made on how they depend on each other.
    """
    one, other = np.split(rows, 2, axis=1)
    return _allowed(one.mean(axis=0), _half_widths(one, level / 2), other.mean(axis=0), _half_widths(other, level / 2))


def _half_widths(rows: Floats, level: float) -> Floats:
    """Of simultaneous intervals of means: [seed, value] -> [value].

    They hold together with a probability of at least 1 - level (Bonferroni, t quantiles), without an assumption on how
    the values depend on each other or on equal variances.
    """
    from scipy.special import stdtrit

    seeds, count = rows.shape
    quantile = float(stdtrit(seeds - 1, 1 - min(level, 1.0) / (2 * count)))
    return np.asarray(quantile * rows.std(axis=0, ddof=1) / math.sqrt(seeds))


def undefined(pool: Pooled) -> str | None:
    """Why a rank correlation is not defined: means over seeds that are the same in all cells. None if it is."""
    if pool.limits is None:
        return None
    values = np.asarray(pool.rows, dtype=np.float64)
    if pool.limits is not _limits_of_two:
        return "the measured values are the same in all cells" if np.ptp(_rounded(values)) == 0 else None
    for name, half in zip(("first", "second"), np.split(values, 2, axis=1), strict=True):
        if np.ptp(_rounded(half)) == 0:
            return f"the {name} metric is the same in all cells"
    return None


def _rounded(values: Floats) -> Floats:
    """The means over seeds, without the differences that rounding makes: [seed, value, ...] -> [value, ...]."""
    means = values.mean(axis=0)
    largest = np.minimum(1.0, np.abs(means).max(axis=0))
    return np.asarray(np.round(means / np.where(largest > 0, largest, 1.0), 9))


def at_least_as_wide(found: Floats, error: Any) -> Floats:
    """The numbers with the same mean, spread so that its standard error is at least `error`."""
    seeds, mean = len(found), found.mean(axis=0)
    apart = found - mean
    flat = np.ptp(found, axis=0) <= 1e-12 * np.minimum(1.0, np.abs(found).max(axis=0))
    ramp = (np.arange(seeds) - (seeds - 1) / 2).reshape(-1, *[1] * (found.ndim - 1))
    apart = np.where(flat, ramp, apart)
    own = apart.std(axis=0, ddof=1) / np.sqrt(seeds)
    return np.asarray(mean + apart * np.where(flat, error / own, np.maximum(1.0, error / own)))


def jackknifed(statistic: Callable[[Floats], Floats], rows: Floats) -> Floats:
    """One number per seed [seed, ...]: the statistic of all seeds plus the jackknife's deviation for that seed."""
    without = np.stack([statistic(np.delete(rows, seed, axis=0)) for seed in range(len(rows))])
    return np.asarray(statistic(rows) + (len(rows) - 1) * (without.mean(axis=0) - without))


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation; ties share their mean rank. None below 3 pairs or without variation."""
    from scipy.stats import spearmanr

    if len(first) < 3 or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(spearmanr(first, second).statistic)


STATISTICS: dict[str, Callable[..., Pooled]] = {
    "asymmetry": asymmetry,
    "rank_correlation": rank_correlation,
    "correlation_of_two": correlation_of_two,
}
"""The statistics that claims may use, from values [seed, value] and options."""
