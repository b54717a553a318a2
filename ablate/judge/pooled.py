"""Pooled: numbers that all seeds give together, since one seed's would be mostly noise.

The mean of absolute or squared asymmetries grows with the noise of a cell, and a rank correlation shrinks with it,
however many seeds are averaged. So both are of the seeds together here, and a jackknife over seeds (Tukey 1958; Miller
1974, "The jackknife: a review") gives the one number a seed that the t test asks for: the estimate, plus by how much
it would change without that seed, n - 1 times.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ablate.judge.formula import Pool

Floats = NDArray[np.float64]

LEAST_SEEDS = 3
"""Below, nothing is known of how far such a number scatters."""


def asymmetry(rows: Sequence[Any], margin: float) -> Pool:
    """By how much margin^2 exceeds the mean squared change over pairs of cells; shown as margin - its root.

    rows: changes [seed, pair, ...] in points, of two pairs at least.
    """
    return Pool(tuple(rows), partial(_asymmetry, margin=margin), lambda excess: margin - _root(margin**2 - excess))


def _root(square: float) -> float:
    return math.sqrt(max(0.0, square))  # an unbiased estimate of a square may be below zero


def _asymmetry(rows: Sequence[Any], refuting: bool, margin: float) -> Floats:
    """Unbiased (a U-statistic: Hoeffding 1948), as seeds have independent noise: E[d_s d_t] = delta^2 for s != t.

    The jackknife alone comes out too narrow by chance where pairs are few. It is held to be no narrower than changes of
    the margin's size would make it if pairs were independent, divided by the root of their number: what simulations
    show to be enough (tests/judge/test_calibration.py). One seed gives its squares.
    """
    changes = np.asarray(rows, dtype=np.float64)  # [seed, pair, ...]
    seeds, pairs = changes.shape[:2]
    if seeds == 1:
        return np.asarray(margin**2 - (changes**2).mean(axis=1))
    if seeds < LEAST_SEEDS:
        return np.broadcast_to(margin**2 - _squared(changes), (seeds, *changes.shape[2:]))
    found = jackknifed(_squared, changes)
    variance = changes.var(axis=0, ddof=1)
    linear, quadratic = 4 * margin**2 * variance.mean(axis=0) / seeds, 2 * (variance**2).mean(axis=0) / seeds
    least = np.sqrt((linear + quadratic / (seeds - 1)) / pairs**1.5)
    return margin**2 - at_least_as_wide(found, least)


def _squared(changes: Floats) -> Floats:
    """The mean over pairs of the products of two seeds' changes: [seed, pair, ...] -> [...]."""
    seeds = len(changes)
    products = (changes.sum(axis=0) ** 2 - (changes**2).sum(axis=0)) / (seeds * (seeds - 1))
    return np.asarray(products.mean(axis=0))


def rank_correlation(rows: Sequence[Any], published: Sequence[float]) -> Pool:
    """Spearman's correlation of the means over seeds with the published numbers. rows: [seed, value, ...]."""
    return Pool(tuple(rows), partial(_rank_correlation, published=published), lambda value: min(1.0, max(-1.0, value)))


def _rank_correlation(rows: Sequence[Any], refuting: bool, published: Sequence[float]) -> Floats:
    """Of the means; to refute it the part of their order that may be noise counts as the paper's.

    Where no seed matters to the order, its error is taken to be that of two neighbours that change places.
    Noise makes any order look less like another. Of reliability r (the share of the means' variance that is not noise)
    the correlation may be 1 / sqrt(r) times as large (Spearman 1904), and without any reliability it may be 1.
    """
    values = np.asarray(rows, dtype=np.float64)  # [seed, value, ...]
    seeds = len(values)
    if seeds == 1:
        return _spearman(values, published)[None]
    found = at_least_as_wide(jackknifed(partial(_spearman, published=published), values), _swap(values.shape[1]))
    if not refuting:
        return found
    noise = values.var(axis=0, ddof=1).mean(axis=0) / seeds
    between = values.mean(axis=0).var(axis=0, ddof=1)
    reliability = np.clip(1 - noise / np.where(between > 0, between, 1.0), 1e-9, 1.0)
    mean = found.mean(axis=0)
    likely = np.maximum(mean / np.sqrt(reliability), mean + (1 - reliability) * (1 - mean))
    return np.asarray(found - mean + np.minimum(1.0, likely))


def _spearman(values: Floats, published: Sequence[float]) -> Floats:
    """[seed, value, ...] -> [...]; ties share their mean rank, and without variation it is 0."""
    from scipy.stats import rankdata

    ranks, paper = rankdata(np.round(values.mean(axis=0), 9), axis=0), rankdata(published)
    ranks, paper = ranks - ranks.mean(axis=0), paper - paper.mean()
    spread = np.sqrt((ranks**2).sum(axis=0) * (paper**2).sum())
    together = np.tensordot(paper, ranks, axes=(0, 0))
    return np.asarray(np.where(spread > 0, together / np.where(spread > 0, spread, 1.0), 0.0))


def _swap(values: int) -> float:
    """By how much the correlation of so many values changes where two neighbours change places."""
    return 12 / (values**3 - values)


def at_least_as_wide(found: Floats, error: Any) -> Floats:
    """Numbers of the same mean, spread so that its standard error is no less than this one."""
    seeds, mean = len(found), found.mean(axis=0)
    apart = found - mean
    flat = np.ptp(found, axis=0) <= 1e-12
    ramp = (np.arange(seeds) - (seeds - 1) / 2).reshape(-1, *[1] * (found.ndim - 1))
    apart = np.where(flat, ramp, apart)
    own = apart.std(axis=0, ddof=1) / np.sqrt(seeds)
    return np.asarray(mean + apart * np.where(flat, error / own, np.maximum(1.0, error / own)))


def jackknifed(statistic: Callable[[Floats], Floats], rows: Floats) -> Floats:
    """One number a seed [seed, ...] with the mean of the statistic of all, and the spread of leaving each one out."""
    without = np.stack([statistic(np.delete(rows, seed, axis=0)) for seed in range(len(rows))])
    return np.asarray(statistic(rows) + (len(rows) - 1) * (without.mean(axis=0) - without))
