"""Claims as a page shows them: a pill for the verdict, an interval plot for the effect, and the rest to unfold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.judge import wording
from ablate.report.render.html import pill
from ablate.report.render.names import Names

if TYPE_CHECKING:
    from ablate.judge.statistics.decide import Decision
    from ablate.judge.study import Judged
    from ablate.judge.verdict import Verdict

_WIDTH, _MARGIN = 200.0, 8.0


@dataclass(frozen=True)
class IntervalPlot:
    """Where an effect, its limits, zero and the margin of the claim are drawn, from 0 to 200."""

    effect: float
    limits: tuple[float, float] | None
    """None below 2 seeds."""
    zero: float
    margins: tuple[float, ...]
    """What the claim requires, where that is not zero: one line, or two for an equivalence."""
    text: str
    """The same in words."""


@dataclass(frozen=True)
class ClaimCard:
    """One claim with its verdict."""

    verdict: Verdict
    pill: str
    """The class of its pill: `supported`, `to-supported`, `refuted`, `to-refuted` or `open`."""
    compared: str
    """What was compared, in the names of the page."""
    plot: IntervalPlot | None
    """None for a claim that was not judged."""
    settled: str
    """What would settle an undecided claim, unless the section says it once for all."""
    paper: str
    """Whether it holds on the published numbers; empty for a study without any."""


@dataclass(frozen=True)
class ClaimCards:
    """The claims of a study."""

    cards: tuple[ClaimCard, ...]
    shared: str
    """What would settle every undecided claim, if it is the same for several."""


def claim_cards(judged: Judged) -> ClaimCards:
    """The claims of a study in its order."""
    names = Names(judged.evidence)
    settled = {each.claim.id: wording.settled_by(each) for each in judged.verdicts if each.state == "undecided"}
    often = [text for text in settled.values() if list(settled.values()).count(text) > 1]
    shared = max(often, key=often.count, default="")
    cards = tuple(
        _card(verdict, names, "" if settled.get(verdict.claim.id) == shared else settled.get(verdict.claim.id, ""))
        for verdict in judged.verdicts
    )
    return ClaimCards(cards, shared)


def _card(verdict: Verdict, names: Names, settled: str) -> ClaimCard:
    decision = verdict.decision
    return ClaimCard(
        verdict,
        pill(_leaning(verdict)),
        names.comparison(decision.compared) if decision else "",
        _plot(decision) if decision else None,
        settled,
        _paper(verdict, names) if verdict.paper or verdict.claim.with_paper else "",
    )


def _leaning(verdict: Verdict) -> str:
    """The kind; an undecided test that leans to a side counts as pointing there."""
    leaning = verdict.decision.leaning if verdict.decision and verdict.state == "undecided" else ""
    return {"supports": "points to supported", "refutes": "points to refuted"}.get(leaning, verdict.kind)


def _paper(verdict: Verdict, names: Names) -> str:
    text = wording.on_paper(verdict)
    compared = verdict.paper.compared if verdict.paper else ""
    return text.replace(compared, names.comparison(compared)) if compared else text


def _plot(decision: Decision) -> IntervalPlot:
    margins = () if not decision.bound else (decision.bound, -decision.bound) if decision.within else (decision.bound,)
    drawn = [decision.effect, 0.0, *margins, *(decision.interval or ())]
    low, high = min(drawn), max(drawn)

    def place(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(_MARGIN + share * (_WIDTH - 2 * _MARGIN), 1)

    limits = (place(decision.interval[0]), place(decision.interval[1])) if decision.interval else None
    within = f", claimed within \u00b1{-decision.bound:.3g}" if decision.within else ""
    text = f"Effect {wording.effect(decision)}{within}; the vertical line is zero"
    return IntervalPlot(place(decision.effect), limits, place(0.0), tuple(map(place, margins)), text)
