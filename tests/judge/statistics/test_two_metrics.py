"""The rank correlation of two metrics: against scipy's, and its limits against all orders that intervals allow."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import spearmanr, t

from ablate.judge.statistics.combine import sides
from ablate.judge.statistics.formula import pooled
from ablate.judge.statistics.pooled import correlation_of_two


def test_the_estimate_of_one_seed_is_scipys_correlation() -> None:
    random = np.random.default_rng(3)
    one, other = random.normal(size=8), np.round(random.normal(size=8))  # with ties
    assert correlation_of_two([[*one, *other]]).differences == pytest.approx([spearmanr(one, other).statistic])


def allowed(rows: np.ndarray, level: float) -> list[tuple[int, ...]]:
    """Every order of the true means that simultaneous t intervals allow, as the rank of each mean."""
    seeds, count = rows.shape
    half = t.ppf(1 - level / (2 * count), seeds - 1) * rows.std(axis=0, ddof=1) / math.sqrt(seeds)
    low, high = rows.mean(axis=0) - half, rows.mean(axis=0) + half
    return [
        ranks
        for ranks in itertools.permutations(range(count))
        if all(not (ranks[a] < ranks[b] and low[a] > high[b]) for a in range(count) for b in range(count))
    ]


def test_the_limits_hold_for_all_orders_of_both_metrics_that_their_intervals_allow() -> None:
    random = np.random.default_rng(4)
    narrower = 0
    for noise in (0.05, 0.1, 0.3):
        one = np.arange(5.0) + noise * random.normal(size=(6, 5))
        other = np.array([0.0, 2, 1, 3, 4]) + noise * random.normal(size=(6, 5))
        pool = correlation_of_two(np.hstack([one, other]).tolist())
        assert pool.limits is not None
        low, high = pool.limits(np.hstack([one, other]), 0.05)
        found = [np.corrcoef(a, b)[0, 1] for a in allowed(one, 0.025) for b in allowed(other, 0.025)]
        assert low <= min(found) + 1e-9
        assert high >= max(found) - 1e-9
        narrower += low > 0
    assert narrower >= 1


def test_a_clear_correlation_is_supported_and_its_reverse_refuted() -> None:
    random = np.random.default_rng(5)
    rows = np.hstack([np.arange(7.0), np.arange(7.0)]) + 0.05 * random.normal(size=(5, 14))
    turned = np.hstack([rows[:, :7], rows[:, 7:][:, ::-1]])
    assert sides(pooled("", correlation_of_two(rows.tolist()), 0.5)).supports <= 0.05
    assert sides(pooled("", correlation_of_two(turned.tolist()), 0.5)).refutes <= 0.05


def test_a_constant_metric_allows_every_correlation() -> None:
    rows = np.hstack([np.arange(4.0) + np.zeros((4, 4)), np.ones((4, 4))])
    for series in (rows, rows[:, ::-1], np.ones((4, 8))):
        pool = correlation_of_two(series.tolist())
        assert pool.limits is not None
        assert pool.limits(series, 0.05) == (-1.0, 1.0)
        assert sides(pooled("", pool, 0.5)) == (1.0, 1.0)
