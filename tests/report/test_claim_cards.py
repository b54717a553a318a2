"""Claims as a page shows them."""

from dataclasses import replace

import pytest

from ablate.judge.evidence import Evidence
from ablate.judge.study import Judged
from ablate.judge.verdict import Verdict
from ablate.report.claim_cards import claim_cards
from tests.report.test_headline import decided, measured  # noqa: F401 - a fixture


def cards(measured: Evidence, *verdicts: Verdict) -> list[str]:  # noqa: F811
    return [each.pill for each in claim_cards(Judged(measured, verdicts, False, (), None)).cards]


def test_a_pill_is_filled_where_decided_and_outlined_where_seeds_only_point(measured: Evidence) -> None:  # noqa: F811
    verdicts = [
        decided("supported", "supports", 1.0),
        decided("refuted", "refutes", -1.0),
        decided("undecided", "supports", 1.0, p=None),
        decided("undecided", "refutes", -1.0),
        decided("undecided", "neither", 0.0),
        decided("withheld", "supports", 1.0),
    ]
    assert cards(measured, *verdicts) == ["supported", "refuted", "to-supported", "to-refuted", "open", "open"]


def test_the_plot_has_effect_limits_zero_and_margin_in_order(measured: Evidence) -> None:  # noqa: F811
    verdict = decided("refuted", "refutes", 3.0, interval=(-1.0, 7.0), bound=9.0)
    (card,) = claim_cards(Judged(measured, (verdict,), False, (), None)).cards
    plot = card.plot
    assert plot is not None
    assert plot.limits == (8.0, pytest.approx(8 + 184 * 0.8))
    assert (plot.effect, plot.zero, plot.margins) == (pytest.approx(8 + 184 * 0.4), pytest.approx(8 + 18.4), (192.0,))
    assert card.compared == "(crop + color) \u2212 (color + crop)"
    within = decided("supported", "supports", 1.0, bound=-2.0, within=True)
    (card,) = claim_cards(Judged(measured, (within,), False, (), None)).cards
    assert card.plot is not None
    assert card.plot.margins == (8.0, 192.0)


def test_what_several_claims_need_is_said_once(measured: Evidence) -> None:  # noqa: F811
    one = decided("undecided", "supports", 1.0, p=None, more_seeds=(2, 2))
    other = decided("undecided", "supports", 1.0, p=None, more_seeds=(1, 1))
    claims = [one.claim.model_copy(update={"id": name}) for name in ("A1", "A2", "A3")]
    verdicts = tuple(replace(each, claim=claim) for each, claim in zip((one, one, other), claims, strict=True))
    found = claim_cards(Judged(measured, verdicts, False, (), None))
    assert found.shared == "a verdict needs 2 more seeds"
    assert [each.settled for each in found.cards] == ["", "", "a verdict needs 1 more seed"]


def test_a_study_without_published_numbers_says_nothing_of_a_paper(measured: Evidence) -> None:  # noqa: F811
    verdict = replace(decided("supported", "supports", 1.0), paper=None)
    (card,) = claim_cards(Judged(measured, (verdict,), False, (), None)).cards
    assert card.paper == ""
