"""Numbers of all seeds together, against loops."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr, t

from ablate.judge.statistics.combine import sides
from ablate.judge.statistics.decide import decide
from ablate.judge.statistics.formula import Leaf, effect, first, negated, pooled
from ablate.judge.statistics.pooled import asymmetry, correlation_limits, jackknifed, rank_correlation

RANDOM = np.random.default_rng(11)
CHANGES = RANDOM.normal(1.0, 0.3, size=(5, 8)).tolist()
ORDERS = (np.arange(6.0) + RANDOM.normal(0.0, 2.0, size=(5, 6))).tolist()
PAPER = [1.0, 3.0, 2.0, 5.0, 4.0, 9.0]


def products(changes: list[list[float]]) -> float:
    """The mean over pairs of cells and of different seeds, by loops."""
    seeds = list(itertools.permutations(range(len(changes)), 2))
    found = [sum(changes[one][pair] * changes[two][pair] for one, two in seeds) for pair in range(len(changes[0]))]
    return sum(found) / len(found) / len(seeds)


def test_the_squared_asymmetry_is_of_products_of_different_seeds() -> None:
    for seeds in (2, 3, 5):
        leaf = pooled("", asymmetry(CHANGES[:seeds], 2.0))
        assert effect(leaf) == pytest.approx(4.0 - products(CHANGES[:seeds]))
        assert leaf.shown(effect(leaf)) == pytest.approx(2.0 - products(CHANGES[:seeds]) ** 0.5)


def test_an_asymmetry_below_zero_is_shown_as_none() -> None:
    leaf = pooled("", asymmetry([[1.0, 1.0], [-1.0, -1.0]], 2.0))
    assert effect(leaf) == pytest.approx(5.0)
    assert leaf.shown(effect(leaf)) == 2.0


def test_a_seeds_number_is_the_estimate_and_what_it_changes_without_it() -> None:
    found = jackknifed(lambda rows: np.asarray(rows.mean(axis=0) ** 2), np.array(CHANGES))
    mean = np.mean(CHANGES, axis=0)
    without = [np.mean([row for other, row in enumerate(CHANGES) if other != seed], axis=0) ** 2 for seed in range(5)]
    for seed in range(5):
        assert found[seed] == pytest.approx(mean**2 + 4 * (np.mean(without, axis=0) - without[seed]))


def test_rank_correlation_is_that_of_the_means_by_scipy() -> None:
    for seeds in (1, 2, 5):
        leaf = pooled("", rank_correlation(ORDERS[:seeds], PAPER), 0.5)
        assert effect(leaf) == pytest.approx(spearmanr(np.mean(ORDERS[:seeds], axis=0), PAPER).statistic)


def test_values_without_order_have_no_rank_correlation() -> None:
    assert effect(pooled("", rank_correlation([[3.0] * 6] * 3, PAPER))) == 0.0


def test_with_fewer_seeds_they_are_computed_anew_and_not_cut() -> None:
    whole = pooled("", asymmetry(CHANGES, 2.0))
    assert first(whole, 3) == pooled("", asymmetry(CHANGES[:3], 2.0))
    assert first(whole, 3) != Leaf("", whole.differences[:3])


def orders(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Every order in which values that are clearly apart keep theirs, as centred ranks [order, value]."""
    pairs = list(itertools.permutations(range(len(low)), 2))
    found = [
        ranks
        for ranks in itertools.permutations(range(len(low)))
        if all(ranks[one] < ranks[two] for one, two in pairs if high[one] < low[two])
    ]
    return np.array(found) - (len(low) - 1) / 2


def limits_by_hand(rows: np.ndarray, level: float, paper: list[float], errors: list[float]) -> tuple[float, float]:
    """The extremes of Spearman's correlation over all orders of both that intervals at half of the level allow.

    A published value has the noise of one run: the standard deviation of a seed, not that of the mean.
    """
    seeds, count = rows.shape
    deviations = rows.std(axis=0, ddof=1) * t.ppf(1 - level / 2 / (2 * count), seeds - 1)
    half, wide, published = deviations / seeds**0.5, deviations + np.array(errors), np.array(paper)
    ours = orders(rows.mean(axis=0) - half, rows.mean(axis=0) + half)
    found = ours @ orders(published - wide, published + wide).T / float((ours[0] ** 2).sum())
    return float(found.min()), float(found.max())


@pytest.mark.parametrize("level", [0.9, 0.3, 0.05])
@pytest.mark.parametrize("noise", [0.001, 0.05, 0.1, 1.0])
@pytest.mark.parametrize("error", [0.0, 0.6])
def test_limits_of_a_rank_correlation_are_no_closer_than_the_orders_of_both_that_the_intervals_allow(
    noise: float, level: float, error: float
) -> None:
    rows = np.arange(6.0) + np.random.default_rng(4).normal(0.0, noise, size=(5, 6))
    low, high = correlation_limits(rows, level, PAPER, [error] * 6)
    expected = limits_by_hand(rows, level, PAPER, [error] * 6)
    assert low <= expected[0] + 1e-9
    assert high >= expected[1] - 1e-9
    if noise == 0.001 and not error:
        assert (low, high) == pytest.approx(expected)


def test_a_published_value_has_the_noise_of_one_run_however_many_seeds_there_are_here() -> None:
    noise = np.random.default_rng(4).normal(0.0, 0.3, size=(100, 6))
    rows = np.arange(6.0) + (noise - noise.mean(axis=0)) / noise.std(axis=0, ddof=1) * 0.3
    low, high = correlation_limits(rows, 0.05, np.arange(6.0).tolist())
    assert spearmanr(np.arange(6), [1, 0, 3, 2, 5, 4]).statistic >= low > 0.3  # +- 0.3 is clear for our mean of 100
    assert correlation_limits(rows / 9 * 3, 0.05, (np.arange(6.0) * 3).tolist()) == (1.0, 1.0)
    assert high == 1.0


def test_the_p_of_a_rank_correlation_is_the_level_at_which_its_limit_passes_the_bound() -> None:
    rows = (np.arange(6.0) + np.random.default_rng(4).normal(0.0, 0.02, size=(5, 6))).tolist()
    leaf = pooled("", rank_correlation(rows, PAPER), 0.5)
    p = float(sides(leaf).supports)
    assert 1e-6 < p < 0.5
    assert correlation_limits(np.array(rows), p * 1.01, PAPER)[0] > 0.5
    assert correlation_limits(np.array(rows), p / 1.05, PAPER)[0] <= 0.5
    assert float(sides(negated(leaf)).refutes) == pytest.approx(p)
    assert float(sides(leaf).refutes) == 1.0


def test_values_that_the_paper_gives_as_equal_may_be_equal() -> None:
    """The limits include the correlation of the means themselves, which is 1 with ties."""
    published = [0.0, 0.0, 0.0, 5.0, 5.0, 5.0, 9.0]
    rows = np.array(published) + np.random.default_rng(1).normal(0.0, 0.01, size=(10, 7))
    low, high = correlation_limits(rows, 0.05, published)
    assert high == 1.0
    least = spearmanr(np.arange(7), [2, 1, 0, 5, 4, 3, 6]).statistic  # either order within each three, on both sides
    assert least - 0.02 < low <= least


def test_reading_errors_of_the_paper_widen_the_limits_of_a_rank_correlation() -> None:
    rows = np.arange(6.0) + np.random.default_rng(4).normal(0.0, 0.01, size=(5, 6))
    sharp = correlation_limits(rows, 0.05, PAPER)
    assert correlation_limits(rows, 0.05, PAPER, [0.1] * 6) == sharp  # no two published values are that near
    low, high = correlation_limits(rows, 0.05, PAPER, [0.6] * 6)  # neighbours may be in either order
    assert low < sharp[0] - 0.1
    assert high > sharp[1] + 0.05


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_point_to_a_symmetry_without_an_interval(seeds: int) -> None:
    decision = decide({"A6": pooled("", asymmetry(CHANGES[:seeds], 2.0))})["A6"]
    assert (decision.state, decision.leaning, decision.interval, decision.p) == ("undecided", "supports", None, None)


def test_an_interval_of_an_asymmetry_is_in_points() -> None:
    decision = decide({"A6": pooled("", asymmetry(CHANGES, 2.0))})["A6"]
    low, high = decision.interval or (0.0, 0.0)
    assert decision.effect == pytest.approx(2.0 - products(CHANGES) ** 0.5)
    assert 0.2 < low < decision.effect < high <= 2.0  # the margin less no change at all


def test_one_seed_does_not_point_against_what_its_noise_alone_may_have_hidden() -> None:
    far, reverse = asymmetry([[9.0, -9.0]], 2.0), rank_correlation([PAPER[::-1]], PAPER)
    for pool in (far, reverse):
        assert decide({"A": pooled("", pool)})["A"].leaning == "neither"
        twice = replace(pool, rows=pool.rows * 2)
        assert decide({"A": pooled("", twice)})["A"].leaning == "refutes"
