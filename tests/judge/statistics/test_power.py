import numpy as np
import pytest
from scipy.stats import chi2

from ablate.judge.statistics.combine import joint_power, more_seeds, power, sides
from ablate.judge.statistics.formula import Joint, Leaf, negated
from ablate.judge.statistics.paired import t_test
from tests.judge.claimed import every, some


@pytest.mark.parametrize(
    ("standardized", "seeds", "level"), [(1.5, 5, 0.025), (3.0, 5, 0.025 / 6), (0.5, 30, 0.025), (0.0, 8, 0.05)]
)
def test_the_power_is_how_often_a_simulated_effect_is_found(standardized: float, seeds: int, level: float) -> None:
    studies = np.random.default_rng(seeds).normal(standardized, 1.0, size=(seeds, 20_000))
    found = (t_test(tuple(studies), 0.0) <= level).mean()
    assert power(standardized, seeds, level) == pytest.approx(found, abs=0.015)


def test_the_power_grows_with_seeds_up_to_a_thousand_and_an_effect_as_large_as_may_be() -> None:
    seeds = np.arange(2, 1_001)
    for standardized in (0.01, 0.5, 3.0, 1e6):
        found = power(standardized, seeds, 0.025 / 50)
        assert np.isfinite(found).all()
        assert (np.diff(found) > -1e-9).all()


def test_with_the_seeds_that_are_asked_for_the_power_is_enough_and_with_one_less_it_is_not() -> None:
    leaf = Leaf("", (0.2, 1.6, -0.3, 0.9))
    standardized = float(np.mean(leaf.differences) / np.std(leaf.differences, ddof=1))
    ends = more_seeds(leaf, 0.05, claims=3) or (0, 0)
    for end, tail in zip(ends, (0.9, 0.1), strict=True):
        scale = float(np.sqrt(3 / chi2.ppf(tail, 3)))  # the deviation is smaller, or larger, with 10 %
        seeds = 4 + (end or 0)
        assert power(standardized / scale, seeds, 0.05 / 3) >= 0.8 > power(standardized / scale, seeds - 1, 0.05 / 3)


def test_more_seeds_are_counted_from_the_bound_whichever_side_of_it() -> None:
    above, below = Leaf("", (1.2, 2.6, 0.7), bound=0.5), Leaf("", (0.8, -0.6, 1.3), bound=1.5)
    assert more_seeds(above, 0.05, 1) == more_seeds(below, 0.05, 1)
    ten, one = more_seeds(above, 0.05, 10), more_seeds(above, 0.05, 1)
    assert ten is not None
    assert one is not None
    assert ten[0] > one[0] > 0


def test_one_more_seed_is_asked_for_where_the_ones_there_should_have_been_enough() -> None:
    assert more_seeds(Leaf("", (5.0, 5.1, 5.2)), 0.05, 1) == (1, 1)


def test_no_number_of_seeds_is_named_for_no_effect_or_one_that_a_hundred_would_not_show() -> None:
    assert more_seeds(Leaf("", (1.0, -1.0, 0.0)), 0.05, 1) is None
    assert more_seeds(Leaf("", (1.0, -1.0, 0.2)), 0.05, 1) is None
    (least, most) = more_seeds(Leaf("", (1.0, -1.0, 0.6)), 0.05, 1) or (0, 0)
    assert 10 < least <= 100
    assert most is None


def test_fewer_than_two_seeds_need_three_first() -> None:
    assert more_seeds(Leaf("", (1.0,)), 0.05, 1) == (2, 2)


def test_equal_differences_need_the_seeds_that_their_signs_do() -> None:
    leaf = Leaf("", (2.0, 2.0, 2.0))
    assert more_seeds(leaf, 0.05, 1) == (2, 2)  # 1 / 2^5 is below 0.05, 1 / 2^4 above
    assert t_test((2.0,) * 5, 0.0) < 0.05 < t_test((2.0,) * 4, 0.0)


def test_many_steps_of_one_size_need_more_seeds_than_one_of_them() -> None:
    step = Leaf("", (0.2, 1.6, -0.3, 0.9))
    one, nine = more_seeds(step, 0.05, 1) or (0, 0), more_seeds(every((step,) * 9), 0.05, 1) or (0, 0)
    assert nine[0] > 1.5 * one[0] > 0


@pytest.mark.parametrize("needed", [1, 4, 6])
def test_with_the_seeds_asked_for_a_claim_of_six_comparisons_is_supported_in_most_simulated_studies(
    needed: int,
) -> None:
    step = Leaf("", (0.2, 1.6, -0.3, 0.9))
    claim = Joint((step,) * 6, needed)
    power_with = joint_power(claim, 0.05)
    seeds = 4 + next(count for count in range(1, 1_000) if power_with(count) >= 0.8)
    random = np.random.default_rng(needed)
    mean, deviation = np.mean(step.differences), np.std(step.differences, ddof=1)
    parts = tuple(Leaf("", tuple(random.normal(mean, deviation, size=(seeds, 4_000)))) for _ in range(6))
    found = (sides(Joint(parts, needed)).supports <= 0.05).mean()
    assert found >= 0.78


def test_seeds_to_refute_a_claim_are_those_of_its_opposite() -> None:
    below = Leaf("", (-0.2, -1.6, 0.3, -0.9))
    claim = every((below, Leaf("", (1.0, 1.2, 0.9, 1.1))))
    assert more_seeds(claim, 0.05, 1) == more_seeds(some((negated(below), Leaf("", (-1.0, -1.2, -0.9, -1.1)))), 0.05, 1)
    assert joint_power(claim, 0.025)(50) == 0.0


def test_no_seeds_are_named_where_what_is_not_measured_would_decide() -> None:
    assert more_seeds(Joint((Leaf("", (-1.0, -1.1, -0.8)),), needed=1, unknown=1), 0.05, 1) is None
