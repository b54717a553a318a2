import numpy as np
import pytest
from scipy.stats import ttest_1samp

from ablate.judge import paired
from ablate.judge.combine import deciding, holm, permutation_sides, sides
from ablate.judge.formula import Every, Leaf, Some, negated

CROP = Leaf("crop", (1.0, 2.5, 2.0))
BLUR = Leaf("blur", (-0.2, 0.9, 0.4))


def above(leaf: Leaf) -> float:
    return float(ttest_1samp(leaf.differences, leaf.bound, alternative="greater").pvalue)


def test_all_are_as_sure_as_the_least_sure_of_them() -> None:
    assert sides(Every((CROP, BLUR))).supports == pytest.approx(max(above(CROP), above(BLUR)))


def test_that_one_of_several_holds_pays_for_having_tried_them_all() -> None:
    assert sides(Some((CROP, BLUR, BLUR))).supports == pytest.approx(3 * above(CROP))
    assert sides(Some((BLUR,) * 30)).supports == 1.0


def test_a_claim_is_refuted_as_its_opposite_is_supported() -> None:
    claim = Every((CROP, Some((BLUR, CROP))))
    assert sides(claim).refutes == sides(negated(claim)).supports
    assert sides(CROP).refutes == pytest.approx(1 - above(CROP))


def test_the_surer_side_of_a_claim_counts_twice() -> None:
    assert sides(CROP).p == pytest.approx(ttest_1samp(CROP.differences, 0.0).pvalue)
    assert sides(BLUR).p == pytest.approx(sides(negated(BLUR)).p)


def test_equivalence_is_two_one_sided_tests() -> None:
    differences = (0.3, -0.4, 0.2, 0.1, -0.1)
    claim = Every((Leaf("a - b", differences, -1.0), Leaf("b - a", tuple(-d for d in differences), -1.0)))
    lower = ttest_1samp(differences, -1.0, alternative="greater").pvalue
    upper = ttest_1samp(differences, 1.0, alternative="less").pvalue
    assert sides(claim).supports == pytest.approx(max(lower, upper))
    assert sides(claim).supports < 0.01


def test_flips_of_signs_are_joined_in_the_order_of_the_leaves() -> None:
    unlike = Leaf("unlike", (-3.0, -2.0, -2.5))  # no flip has a lower mean: p is 1, and 1/8 for the opposite
    like = Leaf("like", (3.0, 2.0, 2.5))
    assert permutation_sides(Every((like, like))).supports == pytest.approx(1 / 8)
    assert permutation_sides(Every((like, unlike))).supports == pytest.approx(1.0)
    assert permutation_sides(Every((like, unlike))).refutes == pytest.approx(2 / 8)
    assert permutation_sides(Some((Every((unlike, like)), like))).supports == pytest.approx(2 / 8)


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
    assert deciding(Every((sure, scattered))) == (scattered, 1)
    assert deciding(Some((sure, scattered))) == (sure, 2)
    below = negated(Every((sure, scattered)))  # neither holds: refuting it takes both
    assert deciding(below).leaf.label == "scattered"
    refuted = Every((negated(sure), negated(scattered)))  # refuting it takes one of the two
    assert (deciding(refuted).leaf.label, deciding(refuted).alternatives) == ("sure", 2)
    one_seed = Every((Leaf("small", (1.0,)), Leaf("large", (4.0,))))
    assert deciding(one_seed).leaf.label == "small"


def test_of_ten_thousands_of_comparisons_the_tests_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, whole = [], paired.t_test
    monkeypatch.setattr(paired, "t_test", lambda *given: calls.append(given) or whole(*given))
    claim = Every((CROP, Some((BLUR, CROP, Leaf("noise", (3.0, 2.0, 4.0), 2.0)))))
    assert float(sides(claim).supports) == pytest.approx(max(above(CROP), 3 * above(CROP)))
    deciding(claim)
    assert len(calls) == 3  # of the claim, of its opposite, and of the side to which it leans
