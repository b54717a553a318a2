from itertools import product

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from ablate.judge.statistics.formula import Leaf
from ablate.judge.statistics.paired import sign_flip_tests, t_interval, t_limits, t_test, t_tests

NOISE = np.random.default_rng(7)
SAMPLES = [tuple(NOISE.normal(0.7, 1.0, size=seeds).tolist()) for seeds in (2, 3, 5, 10, 30)]


@pytest.mark.parametrize("differences", SAMPLES, ids=len)
@pytest.mark.parametrize("bound", [0.0, 0.5, -1.0])
def test_the_t_test_is_that_of_scipy(differences: tuple[float, ...], bound: float) -> None:
    expected = ttest_1samp(differences, bound, alternative="greater").pvalue
    assert t_test(differences, bound) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("differences", SAMPLES, ids=len)
def test_the_t_interval_is_that_of_scipy(differences: tuple[float, ...]) -> None:
    expected = ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert t_interval(differences) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_many_studies_are_tested_at_once_as_one_by_one() -> None:
    studies = NOISE.normal(size=(5, 20))
    one_by_one = [float(t_test(studies[:, study].tolist(), 0.2)) for study in range(20)]
    assert t_test(tuple(studies), 0.2) == pytest.approx(one_by_one, rel=1e-12)


@pytest.mark.parametrize(("bound", "p"), [(1.0, 1 / 16), (2.0, 1.0), (3.0, 1.0)])
def test_equal_differences_count_no_more_than_their_signs(bound: float, p: float) -> None:
    assert t_test((2.0, 2.0, 2.0, 2.0), bound) == p


def test_equal_differences_are_seen_through_rounding() -> None:
    rounded = (70.1 - 60.1, 50.3 - 40.3, 10.1 - 0.1)
    assert len(set(rounded)) > 1
    assert t_test(rounded, 0.0) == 1 / 8
    assert t_test(rounded, 10.0) == 1.0


def flipped_by_hand(differences: tuple[float, ...], bound: float) -> float:
    """The share of all flips of signs whose mean is not below the measured one."""
    excesses = [difference - bound for difference in differences]
    means = [
        sum(sign * one for sign, one in zip(signs, excesses, strict=True))
        for signs in product((1, -1), repeat=len(excesses))
    ]
    return sum(mean >= sum(excesses) - 1e-12 for mean in means) / len(means)


@pytest.mark.parametrize("seeds", [3, 4, 7])
def test_the_permutation_p_is_exact_when_seeds_are_few(seeds: int) -> None:
    leaves = [Leaf("", tuple(NOISE.normal(0.4, 1.0, size=seeds).tolist()), bound) for bound in (0.0, 0.3, -0.5)]
    expected = [flipped_by_hand(leaf.differences, leaf.bound) for leaf in leaves]
    assert sign_flip_tests(leaves) == pytest.approx(expected, rel=1e-12)


def test_three_seeds_never_get_a_permutation_p_below_one_eighth() -> None:
    assert sign_flip_tests([Leaf("", (50.0, 50.1, 50.2))]) == pytest.approx([1 / 8])


def test_the_permutation_p_of_many_seeds_is_near_that_of_t_and_the_same_each_time() -> None:
    leaf = Leaf("", tuple(NOISE.normal(0.25, 1.0, size=40).tolist()))
    found = sign_flip_tests([leaf])
    assert found == sign_flip_tests([leaf])
    assert found[0] == pytest.approx(float(t_test(leaf.differences, 0.0)), abs=0.01)


def test_comparisons_with_different_numbers_of_seeds_are_each_tested_with_their_own() -> None:
    leaves = [Leaf("", SAMPLES[at]) for at in (1, 3, 2, 1)]
    expected = [ttest_1samp(leaf.differences, 0.0, alternative="greater").pvalue for leaf in leaves]
    assert t_tests(leaves) == pytest.approx(expected, rel=1e-12)
    assert t_tests([Leaf("", SAMPLES[0]), Leaf("", ())]) == [1.0, 1.0]  # below three seeds


@pytest.mark.parametrize("differences", SAMPLES, ids=len)
def test_one_sided_limits_are_those_of_scipy_and_exclude_the_bound_where_the_test_does(
    differences: tuple[float, ...],
) -> None:
    low, high = t_limits(Leaf("", differences), 0.05, 0.01) or (0.0, 0.0)
    assert low == pytest.approx(ttest_1samp(differences, 0.0).confidence_interval(0.90).low, rel=1e-12)
    assert high == pytest.approx(ttest_1samp(differences, 0.0).confidence_interval(0.98).high, rel=1e-12)
    assert t_test(differences, low) == pytest.approx(0.05)


def test_a_single_run_of_the_paper_has_the_noise_of_a_seed() -> None:
    """Against a loop: a published number drawn like one more seed exceeds the mean as often as the p says."""
    random, seeds, studies = np.random.default_rng(5), 4, 40_000
    values = random.normal(size=(seeds, studies))
    published = random.normal(size=studies)
    found = t_test(tuple(values - published), 0.0, 1.0)
    assert (found <= 0.05).mean() == pytest.approx(0.05, abs=0.004)
    assert (t_test(tuple(values - published), 0.0) <= 0.05).mean() > 0.15


def test_intervals_need_two_seeds() -> None:
    assert t_interval((1.0,)) is None
    assert t_limits(Leaf("", (1.0,)), 0.05, 0.05) is None


def test_equal_differences_have_an_interval_without_width() -> None:
    assert t_interval((2.0, 2.0, 2.0)) == (2.0, 2.0)


@pytest.mark.parametrize("count", [*range(2, 33), 1000])
def test_the_t_interval_of_every_number_of_seeds_is_that_of_scipy(count: int) -> None:
    values = [((7 * place) % 11) / 3.0 for place in range(count)]
    expected = ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert t_interval(values) == pytest.approx((expected.low, expected.high), rel=1e-12)
