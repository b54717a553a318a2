from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from ablate.judge import wording
from ablate.judge.statistics.combine import holm, sides
from ablate.judge.statistics.decide import decide, decide_sequentially
from ablate.judge.statistics.formula import Formula, Joint, Leaf, Seeds, first
from ablate.judge.statistics.sequential import overall_p
from ablate.judge.verdict import Verdict
from tests.judge.claimed import claim, every, some

CLEAR = Leaf("crop, color - blur", (4.1, 4.6, 4.3, 4.4, 4.2))
AGAINST = Leaf("z - h", (-4.1, -4.6, -4.3, -4.4, -4.2))
OPEN = Leaf("cosine - dot", (0.4, -0.3, 0.9, 0.1, -0.2))


def test_a_clear_effect_is_supported_its_reverse_refuted_and_noise_is_neither() -> None:
    found = decide({"A1": CLEAR, "A2": AGAINST, "A3": OPEN})
    assert {name: decision.state for name, decision in found.items()} == {
        "A1": "supported",
        "A2": "refuted",
        "A3": "undecided",
    }
    assert [decision.leaning for decision in found.values()] == ["supports", "refutes", "supports"]


def test_p_values_are_those_of_both_sides_adjusted_over_the_study() -> None:
    claims = {"A1": CLEAR, "A2": AGAINST, "A3": OPEN}
    found = decide(claims)
    p = [float(sides(claim).p) for claim in claims.values()]
    assert [decision.p for decision in found.values()] == pytest.approx(p)
    assert [decision.adjusted_p for decision in found.values()] == pytest.approx(holm(p).tolist())
    assert found["A1"].permutation_p == pytest.approx(1 / 32)


def test_the_numbers_told_are_those_of_the_comparison_that_decides() -> None:
    near = Leaf("crop - flip", (1.0, 1.4, 1.2, 1.1, 1.3), bound=1.0)
    decision = decide({"A1": every((CLEAR, near))})["A1"]
    assert (decision.compared, decision.bound, decision.seeds) == ("crop - flip", 1.0, 5)
    assert decision.effect == pytest.approx(1.2)
    # t(4) is 2.1318 at 5 % for the claim; at 2.5 % against it, where either comparison may fail, 2.7764; times 0.070711
    assert decision.interval == pytest.approx((1.2 - 0.15074, 1.2 + 0.19632), abs=1e-4)
    assert [each.label for each in decision.comparisons if each.decides] == ["crop - flip"]


def test_every_comparison_is_kept_with_its_own_numbers() -> None:
    near = Leaf("crop - flip", (1.0, 1.4, 1.2), 1.0, seeds=Seeds((0, 1, 3), (0, 1, 3), 4, left_out=(2,)))
    first_one, second = decide({"A1": every((CLEAR, near))})["A1"].comparisons
    assert (first_one.label, first_one.seeds, first_one.left_out) == ("crop, color - blur", (0, 1, 2, 3, 4), ())
    assert (second.seeds, second.left_out, second.values) == ((0, 1, 3), (2,), near.differences)
    assert second.sd == pytest.approx(0.2)
    assert second.supports == pytest.approx(float(sides(near).supports))
    assert second.refutes == pytest.approx(1 - float(sides(near).supports))


def test_an_equivalence_is_one_comparison_with_the_limits_of_both_tests() -> None:
    differences = (0.3, -0.4, 0.2, 0.1, -0.1)
    above = Leaf("a - b", differences, -1.0, within=True)
    below = Leaf("a - b", tuple(-each for each in differences), -1.0, within=True, turned=True)
    decision = decide({"A1": every((above, below))})["A1"]
    (both,) = decision.comparisons
    expected = ttest_1samp(differences, 0.0).confidence_interval(0.90)
    assert both.interval == decision.interval == pytest.approx((expected.low, expected.high))
    assert (decision.state, decision.within, both.effect) == ("supported", True, pytest.approx(0.02))
    verdict = Verdict(claim("at_least", value=1), decision.state, decision, "", frozenset(), None)
    assert wording.numbers(verdict).startswith("|a - b| < 1: +0.02 [-0.")


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_only_point_to_a_verdict_however_large_the_effect(seeds: int) -> None:
    for found in (decide({"A1": first(CLEAR, seeds)}), decide_sequentially({"A1": first(CLEAR, seeds)})):
        decision = found["A1"]
        assert (decision.state, decision.leaning) == ("undecided", "supports")
        assert (decision.p, decision.adjusted_p, decision.permutation_p, decision.look) == (None, None, None, None)
        assert decision.more_seeds == (3 - seeds, 3 - seeds)


def test_claims_with_too_few_seeds_share_the_level_with_the_others() -> None:
    alone = decide({"A1": CLEAR})["A1"].adjusted_p
    beside = decide({"A1": CLEAR, "A2": first(CLEAR, 1)})["A1"].adjusted_p
    assert alone is not None
    assert beside == pytest.approx(2 * alone)


def test_only_an_undecided_claim_asks_for_more_seeds() -> None:
    found = decide({"A1": CLEAR, "A3": OPEN})
    assert found["A1"].more_seeds is None
    least, most = found["A3"].more_seeds or (0, 0)
    assert least > 5
    assert (most or 1_000) > 3 * least  # five seeds say little about noise


def test_equal_differences_of_three_seeds_are_no_verdict() -> None:
    decision = decide({"A1": Leaf("", (9.0, 9.0, 9.0))})["A1"]
    assert (decision.state, decision.p, decision.more_seeds) == ("undecided", 0.125, (2, 2))


def test_an_effect_at_its_bound_is_undecided_when_nothing_varies() -> None:
    decision = decide({"A1": Leaf("", (0.0,) * 8)})["A1"]
    assert (decision.state, decision.p, decision.more_seeds) == ("undecided", 1.0, None)


def test_a_tie_leans_to_neither_side() -> None:
    for seeds in (1, 2, 4):
        for tie in (Leaf("", (0.0,) * seeds), every((Leaf("", (1.0,) * seeds), Leaf("", (0.0,) * seeds)))):
            decision = decide({"A1": tie})["A1"]
            assert (decision.leaning, decision.more_seeds) == ("neither", (2, 2) if seeds == 1 else None)


def test_where_some_of_several_have_to_hold_it_is_told_how_many_do() -> None:
    two_of_three = Joint((CLEAR, OPEN, AGAINST), needed=2)
    assert decide({"A1": two_of_three})["A1"].compared == "2 of 3 hold (2 needed); cosine - dot"


def test_what_one_claim_pays_for_a_look_does_not_depend_on_which_others_are_measured() -> None:
    alone = decide_sequentially({"A1": CLEAR}, claims=7)["A1"].adjusted_p
    beside = decide_sequentially({"A1": CLEAR, "A2": OPEN}, claims=7)["A1"].adjusted_p
    assert alone is not None
    assert beside == alone <= 0.05  # seven claims share the level


def test_seeds_behind_a_gap_are_not_looked_at() -> None:
    behind = replace(CLEAR, seeds=Seeds((0, 1, 3, 4, 5), (0, 1, 3, 4, 5), 2))
    decision = decide_sequentially({"A1": behind})["A1"]
    assert (decision.state, decision.p, decision.more_seeds, decision.seeds) == ("undecided", None, (1, 1), 5)
    failed = replace(behind, seeds=Seeds((0, 1, 3, 4, 5), (0, 1, 3, 4, 5), 6))  # its run at seed 2 failed for good
    decision = decide_sequentially({"A1": failed})["A1"]
    assert (decision.state, decision.look) == ("supported", 5)  # at three seeds, two have a value


def test_a_study_without_claims_has_no_decisions() -> None:
    assert decide({}) == decide_sequentially({}) == {}


def test_differences_that_are_not_finite_are_refused_by_both() -> None:
    for judge in (decide, decide_sequentially):
        with pytest.raises(ValueError, match="not finite"):
            judge({"A1": Leaf("", (1.0, float("nan"), 2.0))})


def test_a_sequential_verdict_is_that_of_its_first_look_and_stays_when_later_seeds_turn_round() -> None:
    turned = Leaf("", (*CLEAR.differences, *(-30.0,) * 12))
    states = [decide_sequentially({"A1": first(turned, seeds)})["A1"].state for seeds in range(1, 18)]
    assert states == ["undecided"] * 2 + ["supported"] * 15
    decision = decide_sequentially({"A1": turned})["A1"]
    assert (decision.look, decision.seeds, decision.leaning, decision.more_seeds) == (3, 17, "refutes", None)
    assert decision.p == pytest.approx(float(overall_p(sides(first(turned, 3)).p, 0, 30)))


def test_seeds_between_two_looks_change_no_p() -> None:
    noise = Leaf("", tuple(np.random.default_rng(3).normal(0.9, 1.0, size=12).tolist()))
    found = [decide_sequentially({"A1": first(noise, seeds)})["A1"] for seeds in (8, 9, 11, 12)]
    assert found[0].p == found[1].p == found[2].p != found[3].p
    assert [decision.more_seeds for decision in found] == [(4, 4), (3, 3), (1, 1), (5, 5)]
    assert [decision.look_at for decision in found] == [12, 12, 12, 17]


def test_a_sequential_test_asks_more_of_the_same_seeds() -> None:
    claims: dict[str, Formula] = {"A1": CLEAR, "A2": some((OPEN, CLEAR)), "A3": OPEN}
    once, watched = decide(claims), decide_sequentially(claims)
    for name in claims:
        assert (watched[name].adjusted_p or 0) >= (once[name].adjusted_p or 0)
