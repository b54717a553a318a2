import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import multivariate_normal

from ablate.judge.statistics.decide import decide_sequentially
from ablate.judge.statistics.formula import Leaf, Seeds, first
from ablate.judge.statistics.paired import t_test
from ablate.judge.statistics.sequential import looks, nominal_level, open_leaves, overall_p, sequential_sides, spent
from tests.judge.claimed import every, some


def test_looks_get_rarer_and_the_last_is_at_the_limit() -> None:
    assert looks(30) == (3, 5, 8, 12, 17, 23, 30)
    assert looks(10) == (3, 5, 8, 10)
    assert looks(3) == (3,)


def test_the_next_look_is_given_in_seeds_from_now() -> None:
    noise = Leaf("", tuple(np.random.default_rng(3).normal(size=30).tolist()))
    found = [decide_sequentially({"A1": first(noise, seeds)})["A1"] for seeds in (1, 2, 3, 4, 5, 11, 12, 30)]
    assert [each.more_seeds and each.more_seeds[0] for each in found] == [2, 1, 2, 1, 3, 1, 5, None]
    assert [each.look_at for each in found] == [3, 3, 5, 5, 8, 12, 17, None]


def test_the_whole_level_is_spent_at_the_last_look() -> None:
    assert spent(np.array([0.0, 1.0])) == pytest.approx([0.0, 1.0])
    assert (np.diff(spent(np.linspace(0, 1, 20))) > 0).all()


@pytest.mark.parametrize("most", [5, 8])
def test_the_levels_of_looks_are_those_of_the_joint_normal_distribution(most: int) -> None:
    """Against scipy's multivariate normal distribution: what each look adds is what it may spend."""
    fractions = np.array(looks(most)) / most
    correlations = np.sqrt(np.minimum.outer(fractions, fractions) / np.maximum.outer(fractions, fractions))
    bounds = [-ndtri(nominal_level(0.05 * 1.13, look, most)) for look in range(len(fractions))]
    for count in range(2, len(fractions) + 1):
        none = multivariate_normal(np.zeros(count), correlations[:count, :count]).cdf(np.array(bounds[:count]))
        assert 1 - none == pytest.approx(0.05 * spent(fractions[count - 1]), rel=2e-3)


@pytest.mark.parametrize("most", [5, 12, 30])
def test_looking_at_every_look_is_wrong_at_the_level(most: int) -> None:
    """t tests of noise: the first of all looks that decides, in simulated studies without an effect."""
    studies = 40_000
    noise = np.random.default_rng(most).normal(size=(most, studies))
    best = np.ones(studies)
    for number, count in enumerate(looks(most)):
        best = np.minimum(best, overall_p(t_test(noise[:count], 0.0), number, most))
    for level in (0.05, 0.01):
        error = 3.1 * np.sqrt(level * (1 - level) / studies)
        assert 0.9 * level - error < (best <= level).mean() < level + error


def test_a_p_at_its_nominal_level_is_worth_the_level_over_all_looks() -> None:
    for look in range(7):
        for level in (0.05, 1e-4):
            assert overall_p(nominal_level(level, look, 30), look, 30) == pytest.approx(level, rel=1e-6)
    assert overall_p(0.9, 0, 30) == 1.0


def test_a_look_sees_the_first_seeds_only_and_is_not_taken_back_by_a_later_one() -> None:
    claim = Leaf("", (1.0, 1.1, 0.9, -8.0, 9.0))
    found = sequential_sides(claim, 30)
    expected = overall_p(t_test((1.0, 1.1, 0.9), 0.0), 0, 30)
    assert [float(each.supports) for each in found] == pytest.approx([float(expected)] * 7)


def cells_in(leaves: list[Leaf]) -> set[str]:
    return {leaf.label for leaf in leaves}


CLEAR, NOISE = (5.0, 5.1, 4.9), (0.4, -0.3, 0.9)


def test_decided_comparisons_leave_the_race_and_the_others_stay() -> None:
    claim = every((Leaf("clear", CLEAR), Leaf("noise", NOISE)))
    assert cells_in(open_leaves(claim, 0.05)) == {"noise"}
    assert open_leaves(every((Leaf("clear", CLEAR),) * 2), 0.05) == []
    reverse = Leaf("reverse", tuple(-each for each in CLEAR))
    assert open_leaves(every((reverse, Leaf("noise", NOISE))), 0.05) == []  # refuted by one of two
    candidates = some((every((reverse, Leaf("noise", NOISE))), every((Leaf("clear", CLEAR), Leaf("other", NOISE)))))
    assert cells_in(open_leaves(candidates, 0.05)) == {"other"}  # the first candidate is out


def test_a_comparison_whose_seeds_are_missing_stays_open() -> None:
    waiting = Leaf("waiting", (*CLEAR, 5.0), seeds=Seeds((0, 1, 3, 4), (0, 1, 3, 4), 2))
    assert cells_in(open_leaves(waiting, 0.05)) == {"waiting"}


def test_claims_that_are_decided_leave_their_level_to_the_others() -> None:
    near, noise = (
        Leaf("near", (2.0, 2.3, 1.9), wanted=frozenset({(1, "top1")})),
        Leaf("noise", NOISE, wanted=frozenset({(2, "top1")})),
    )
    formulas = {"A1": Leaf("clear", CLEAR), "A2": every((near, noise))}
    assert decide_sequentially(formulas)["A2"].open_cells == {2}
    assert decide_sequentially(formulas, claims=40)["A2"].open_cells == {1, 2}


def test_the_next_look_is_that_of_the_comparisons_that_are_still_open() -> None:
    longer = tuple(np.random.default_rng(8).normal(size=12).tolist())
    claim = every((Leaf("clear", CLEAR), Leaf("noise", longer)))  # the first left the race at three seeds
    decision = decide_sequentially({"A1": claim})["A1"]
    assert (decision.look_at, decision.more_seeds) == (17, (5, 5))
