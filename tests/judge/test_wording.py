"""Verdicts in words."""

import math
from dataclasses import replace
from typing import Any

import pytest

from ablate.judge import wording
from ablate.judge.evidence import Evidence
from ablate.judge.on_paper import OnPaper
from ablate.judge.statistics.decide import decide, decide_sequentially
from ablate.judge.statistics.formula import Leaf
from ablate.judge.statistics.paired import estimate
from ablate.judge.study import Judged
from ablate.judge.verdict import Verdict
from ablate.records.plan_file import PlanFile
from tests.judge.claimed import claim


def test_a_verdict_of_an_earlier_look_says_of_how_many_seeds_its_p_is() -> None:
    differences = (5.0, 5.1, 4.9, 5.2, 5.0, 4.8)
    for seeds, ending in ((6, "6 seeds; decided at 3 seeds (p as of then)"), (3, "3 seeds")):
        verdict = verdict_of(differences[:seeds])
        assert verdict.state == "supported"
        assert wording.numbers(verdict).endswith(f"; {ending}")


def verdict_of(differences: tuple[float, ...]) -> Verdict:
    (decision,) = decide_sequentially({"A1": Leaf("a - b", differences)}).values()
    return Verdict(claim("at_least", value=1), decision.state, decision, "", frozenset(), None)


def judged_once(differences: tuple[float, ...], **keys: Any) -> Verdict:
    (decision,) = decide({"A1": Leaf("a - b", differences)}).values()
    named = keys or {"kind": "at_least", "value": 0}
    return Verdict(claim(**named), decision.state, decision, "", frozenset(), None)


def test_where_a_hundred_seeds_are_not_enough_no_number_is_named() -> None:
    noise, effect = judged_once((1.0, -1.0, 0.2)), judged_once((2.0, 0.2, 1.4))
    assert noise.decision is not None
    assert noise.decision.more_seeds is None
    assert wording.settled_by(noise).startswith("no practical number of seeds would settle it (up to 100 more): ")
    assert wording.numbers(noise).endswith("3 seeds; no practical number of seeds would settle it")
    assert wording.numbers(effect).endswith("3 seeds; about 1 to 33 more seeds would settle it")
    correlation = {"kind": "correlates", "right_metric": "other"}
    for keys in (correlation, {"kind": "all", "parts": [correlation]}):
        unknown = judged_once((1.0, -1.0, 0.2), **keys)
        assert wording.settled_by(unknown) == "how many seeds would settle a rank correlation is not estimated"
        assert wording.numbers(unknown).endswith("3 seeds")


def test_a_verdict_says_where_the_seeds_since_lean_the_other_way() -> None:
    clear = (5.0, 5.1, 4.9)
    assert verdict_of(clear).label == "supported"
    turned = verdict_of((*clear, -30.0, -31.0))
    assert turned.label == "supported at 3 seeds, but all 5 lean to refuted"
    assert (turned.state, turned.kind) == ("supported", "supported")


def test_the_method_says_over_how_many_claims_the_level_is_shared() -> None:
    measured = verdict_of((1.0, 2.0, 3.0))
    missing = replace(measured, state="not measured", decision=None)
    judged = Judged(
        Evidence(PlanFile("mine", "embedded", "d", (), ()), ()),
        (measured, measured),
        most_seeds=None,
        cautions=(),
        text=None,
    )
    assert "over all claims (paired t tests, Holm correction)" in wording.method(judged)
    judged = replace(judged, verdicts=(measured, measured, missing))
    assert "over the 2 measured claims of 3 (paired t tests, Holm correction)" in wording.method(judged)


def test_equal_values_point_to_neither() -> None:
    assert verdict_of((0.0,)).label == "points to neither"
    assert verdict_of((0.0,) * 5).label == "undecided, leans to neither"
    assert verdict_of((0.0,) * 5).kind == "undecided"


def test_what_a_figures_error_could_turn_is_told() -> None:
    for holds, sure, words in (
        (True, True, "holds on the paper's numbers: a - b"),
        (True, False, "holds on the paper's numbers, though the figure's reading error could reverse it: a - b"),
        (
            False,
            False,
            "does not hold on the paper's numbers, though the figure's reading error could reverse it: a - b",
        ),
    ):
        verdict = replace(verdict_of((1.0,)), paper=OnPaper(holds, 0.2, 0.0, "a - b", sure))
        assert wording.on_paper(verdict).startswith(words)


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        ((12.7, (9.93, 18.5)), "+12.7 [9.9, 18.5]"),
        ((-0.663, (-1.57, 0.849)), "-0.7 [-1.6, 0.8]"),
        ((1.58, (-0.0795, 2.0)), "+1.6 [-0.1, 2.0]"),
        ((0.0123, (0.0119, 0.0131)), "+0.0123 [0.0119, 0.0131]"),
        ((5.0, (0.02, 10.0)), "+5.00 [0.02, 10.00]"),
        ((0.5, (-0.0004, 1.0)), "+0.5000 [-0.0004, 1.0000]"),
        ((-0.04, (-3.0, 4.0)), "-0.04 [-3.00, 4.00]"),
        ((1e-12, (-3.0, 4.0)), "+0.0 [-3.0, 4.0]"),
        ((5.6, (5.03, 9.0), 5.0), "+5.60 [5.03, 9.00]"),
        ((0.46, (-1.0, 1.0), 0.5), "+0.46 [-1.00, 1.00]"),
        ((-0.98, (-2.0, 4.2), -1.0), "-0.98 [-2.00, 4.20]"),
        ((1234.0, (900.0, 2300.0)), "+1234 [900, 2300]"),
        ((2.5e9, (1e9, 4e9)), "+2.5e+09 [1e+09, 4e+09]"),
        ((1e-9, (0.9e-9, 1.2e-9)), "+1e-09 [9e-10, 1.2e-09]"),
        ((0.5, (0.5, 0.5)), "+0.5 [0.5, 0.5]"),
        ((0.5, (0.2, math.inf)), "+0.5 [0.2, inf]"),
        ((0.12345, None), "+0.123"),
    ],
)
def test_an_effect_has_the_digits_that_its_interval_gives_it(numbers: tuple[Any, ...], shown: str) -> None:
    assert estimate(*numbers) == shown


@pytest.mark.parametrize(
    ("range", "said"),
    [
        ((1, 1), "about 1 more seed"),
        ((1, 2), "about 1 to 2 more seeds"),
        ((22, None), "about 22 to over 100 more seeds"),
    ],
)
def test_how_many_more_seeds_would_settle_a_claim_is_said_as_a_range(range: tuple[int, int | None], said: str) -> None:
    assert wording.more_seeds(range) == said
