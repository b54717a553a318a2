from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from ablate.judge.statistics import paired
from ablate.judge.statistics.combine import deciding, holm, levels, permutation_sides, sides
from ablate.judge.statistics.formula import Formula, Joint, Leaf, negated
from ablate.judge.statistics.paired import t_limits
from tests.judge.claimed import every, some

CROP = Leaf("crop", (1.0, 2.5, 2.0))
BLUR = Leaf("blur", (-0.2, 0.9, 0.4))


def above(leaf: Formula) -> float:
    assert isinstance(leaf, Leaf)
    return float(ttest_1samp(leaf.differences, leaf.bound, alternative="greater").pvalue)


def test_all_are_as_sure_as_the_least_sure_of_them() -> None:
    assert sides(every((CROP, BLUR))).supports == pytest.approx(max(above(CROP), above(BLUR)))


def test_that_one_of_several_holds_pays_for_having_tried_them_all() -> None:
    assert sides(some((CROP, BLUR, BLUR))).supports == pytest.approx(3 * above(CROP))
    assert sides(some((BLUR,) * 30)).supports == 1.0


def test_that_two_of_four_hold_takes_the_second_smallest_p_thrice() -> None:
    leaves = [Leaf(str(place), (place + 0.1, place + 0.9, place + 0.4)) for place in range(-1, 3)]
    p = sorted(above(leaf) for leaf in leaves)
    two = Joint(tuple(leaves), needed=2)
    assert sides(two).supports == pytest.approx(min(1.0, 3 * p[1]))
    against = sorted(above(negated(leaf)) for leaf in leaves)  # three of the four must not hold
    assert sides(two).refutes == pytest.approx(min(1.0, 2 * against[2]))
    assert deciding(two).label == "1"


def test_what_is_not_measured_supports_and_refutes_nothing_and_is_paid_for() -> None:
    one_of_three = Joint((CROP, BLUR), needed=1, unknown=1)
    assert sides(one_of_three).supports == pytest.approx(3 * above(CROP))
    assert sides(one_of_three).refutes == 1.0
    against = Joint((negated(CROP), negated(BLUR)), needed=2, unknown=2)
    assert sides(against).supports == pytest.approx(min(1.0, 3 * above(negated(BLUR))))
    assert sides(Joint((CROP,), needed=2, unknown=2)) == (1.0, 1.0)


def test_a_claim_is_refuted_as_its_opposite_is_supported() -> None:
    claim = every((CROP, some((BLUR, CROP))))
    assert sides(claim).refutes == sides(negated(claim)).supports
    assert sides(CROP).refutes == pytest.approx(1 - above(CROP))


def test_each_side_of_a_claim_may_use_the_whole_level() -> None:
    assert sides(CROP).p == pytest.approx(above(CROP))
    assert sides(negated(CROP)).p == pytest.approx(above(CROP))


def test_many_small_failures_refute_together_what_none_refutes_alone() -> None:
    """Against scipy: the mean of the comparisons, at half the level."""
    steps = [(-0.2, -1.6, 0.3), (-0.9, -0.1, -1.0), (-1.1, -0.2, -0.9)]
    mean = Leaf("mean", tuple(float(np.mean(each)) for each in zip(*steps, strict=True)))
    alone = every(tuple(Leaf(str(number), step) for number, step in enumerate(steps)))
    together = replace(alone, contrast=mean)
    below = float(ttest_1samp(mean.differences, 0.0, alternative="less").pvalue)
    assert sides(together).refutes == pytest.approx(2 * below)
    assert sides(together).refutes < sides(alone).refutes / 3
    assert sides(together).supports == sides(alone).supports
    assert sides(negated(together)).supports == sides(together).refutes
    assert deciding(together) == mean


def test_a_mean_that_points_the_other_way_does_not_decide_that_the_one_exception_refutes() -> None:
    """Found on 49 cells: `probably not: +4.4 points for mean of the 40 comparisons`."""
    far = tuple(Leaf(f"far {number}", (5.0, 4.0 + number, 6.0)) for number in range(3))
    near = Leaf("near", (-2.4, 1.5, -0.6))
    mean = Leaf(
        "mean", tuple(float(np.mean(each)) for each in zip(*(leaf.differences for leaf in (*far, near)), strict=True))
    )
    claim = replace(every((*far, near)), contrast=mean)
    assert 4 * above(negated(near)) > 1 > above(negated(mean)) > 0.5
    assert deciding(claim) == near


def test_a_limit_at_its_level_excludes_the_bound_if_and_only_if_the_comparison_counts() -> None:
    claim = Joint(tuple(Leaf(str(place), (place + 0.1, place + 0.9, place + 0.4)) for place in range(-1, 3)), needed=2)
    for leaf, supports, refutes in levels(claim, 0.05, 0.05):
        low, high = t_limits(leaf, supports, refutes) or (0.0, 0.0)
        assert (supports, refutes) == (0.05 / 3, 0.05 / 2)
        assert (low > 0) == (above(leaf) < 0.05 / 3)
        assert (high < 0) == (above(negated(leaf)) < 0.05 / 2)


def test_equivalence_is_two_one_sided_tests() -> None:
    differences = (0.3, -0.4, 0.2, 0.1, -0.1)
    claim = every((Leaf("a - b", differences, -1.0), Leaf("b - a", tuple(-d for d in differences), -1.0)))
    lower = ttest_1samp(differences, -1.0, alternative="greater").pvalue
    upper = ttest_1samp(differences, 1.0, alternative="less").pvalue
    assert sides(claim).supports == pytest.approx(max(lower, upper))
    assert sides(claim).supports < 0.01


def test_flips_of_signs_are_joined_in_the_order_of_the_leaves() -> None:
    unlike = Leaf("unlike", (-3.0, -2.0, -2.5))  # no flip has a lower mean: p is 1, and 1/8 for the opposite
    like = Leaf("like", (3.0, 2.0, 2.5))
    assert permutation_sides(every((like, like))).supports == pytest.approx(1 / 8)
    assert permutation_sides(every((like, unlike))).supports == pytest.approx(1.0)
    assert permutation_sides(every((like, unlike))).refutes == pytest.approx(2 / 8)
    assert permutation_sides(some((every((unlike, like)), like))).supports == pytest.approx(2 / 8)


def test_holm_gives_a_worked_example() -> None:
    # Ordered 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1 are 0.02, 0.03, 0.06, 0.04; the last is raised to 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2]) == pytest.approx([0.2])
    assert holm([]).size == 0


def test_holm_gives_the_numbers_of_r_that_statsmodels_tests_against() -> None:
    p = [0.838541367553, 0.642193923795, 0.680845947633, 0.967833824309, 0.71626938238, 0.177096952723]
    p += [5.23656777208e-05, 0.0202732688798, 0.00028140506198, 0.0149877310796]
    expected = [1.0] * 6 + [5.23656777208e-04, 0.1419128821586, 2.53264555782e-03, 0.1199018486368]
    assert holm(p) == pytest.approx(expected, rel=1e-9)


def test_holm_adjusts_many_studies_at_once_as_one_by_one() -> None:
    studies = np.random.default_rng(0).uniform(size=(6, 50))
    together = holm(list(studies))
    assert all(together[:, study] == pytest.approx(holm(studies[:, study].tolist())) for study in range(50))


def test_the_comparison_that_decides_is_the_most_doubtful_of_all_and_the_surest_of_some() -> None:
    sure = Leaf("sure", (1.0, 1.1, 0.9))
    scattered = Leaf("scattered", (9.0, -4.0, 8.0))
    assert deciding(every((sure, scattered))) == scattered
    assert deciding(some((sure, scattered))) == sure
    below = negated(every((sure, scattered)))  # neither holds: refuting it takes both
    assert deciding(below).label == "scattered"
    refuted = every((negated(sure), negated(scattered)))  # refuting it takes one of the two
    assert deciding(refuted).label == "sure"
    one_seed = every((Leaf("small", (1.0,)), Leaf("large", (4.0,))))
    assert deciding(one_seed).label == "small"


def test_of_ten_thousands_of_comparisons_the_tests_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, whole = [], paired.t_test
    monkeypatch.setattr(paired, "t_test", lambda *given: calls.append(given) or whole(*given))
    claim = every((CROP, some((BLUR, CROP, Leaf("noise", (3.0, 2.0, 4.0), 2.0)))))
    assert float(sides(claim).supports) == pytest.approx(max(above(CROP), 3 * above(CROP)))
    deciding(claim)
    assert len(calls) == 3  # of the claim, of its opposite, and of the side to which it leans
