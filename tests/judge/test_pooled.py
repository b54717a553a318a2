"""Numbers of all seeds together, against loops."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from ablate.judge.decide import decide
from ablate.judge.formula import Leaf, effect, first, negated, pooled
from ablate.judge.pooled import asymmetry, jackknifed, rank_correlation

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


def test_to_refute_an_order_its_noise_counts_for_it() -> None:
    noise = RANDOM.normal(0.0, 5.0, size=(4, 6)).tolist()
    leaf = pooled("", rank_correlation(noise, PAPER), 0.5)
    against = negated(leaf)
    assert isinstance(against, Leaf)
    assert -effect(against) > effect(leaf)
    assert negated(against) == leaf


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_point_to_a_symmetry_without_an_interval(seeds: int) -> None:
    decision = decide({"A6": pooled("", asymmetry(CHANGES[:seeds], 2.0))})["A6"]
    assert (decision.state, decision.leaning, decision.interval, decision.p) == ("undecided", "supports", None, None)


def test_an_interval_of_an_asymmetry_is_in_points() -> None:
    decision = decide({"A6": pooled("", asymmetry(CHANGES, 2.0))})["A6"]
    low, high = decision.interval or (0.0, 0.0)
    assert decision.effect == pytest.approx(2.0 - products(CHANGES) ** 0.5)
    assert 0.5 < low < decision.effect < high < 1.5


def test_one_seed_does_not_point_against_what_its_noise_alone_may_have_hidden() -> None:
    far, reverse = asymmetry([[9.0, -9.0]], 2.0), rank_correlation([PAPER[::-1]], PAPER)
    for pool in (far, reverse):
        assert decide({"A": pooled("", pool)})["A"].leaning == "neither"
        twice = replace(pool, rows=pool.rows * 2)
        assert decide({"A": pooled("", twice)})["A"].leaning == "refutes"
