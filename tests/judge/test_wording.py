"""Verdicts in words."""

from dataclasses import replace

from ablate.judge import wording
from ablate.judge.evidence import Evidence
from ablate.judge.on_paper import OnPaper
from ablate.judge.statistics.decide import decide_sequentially
from ablate.judge.statistics.formula import Leaf
from ablate.judge.study import Judged
from ablate.judge.verdict import Verdict
from ablate.records.plan_file import PlanFile
from tests.judge.claimed import claim


def test_a_verdict_of_an_earlier_look_says_of_how_many_seeds_its_p_is() -> None:
    differences = (5.0, 5.1, 4.9, 5.2, 5.0, 4.8)
    for seeds, ending in ((6, "6 seeds; decided at 3 seeds (p as of then)"), (3, "3 seeds")):
        (decision,) = decide_sequentially({"A1": Leaf("a - b", differences[:seeds])}).values()
        assert decision.state == "supported"
        assert wording.numbers(decision).endswith(f"; {ending}")


def verdict_of(differences: tuple[float, ...]) -> Verdict:
    (decision,) = decide_sequentially({"A1": Leaf("a - b", differences)}).values()
    return Verdict(claim("at_least", value=1), decision.state, decision, "", frozenset(), None)


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
