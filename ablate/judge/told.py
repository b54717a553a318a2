"""Verdicts in words, the same on a terminal and on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ablate.judge.decide import Decision
    from ablate.judge.study import Judged
    from ablate.judge.verdict import Verdict

MARKS = {
    "supported": "\u2713", "refuted": "\u2717", "points to supported": "?", "points to refuted": "?",
    "points to neither": "?", "undecided": "?",
    "not measured": "\u2013", "not judged here": "\u00b7",
}  # fmt: skip
"""Beside the words and colors of each kind of verdict."""


def numbers(decision: Decision) -> str:
    """The comparison that decides, with its effect, interval and p."""
    p = f"; adjusted p {p_value(decision.adjusted_p)}" if decision.adjusted_p is not None else ""
    seeds = f"; {decision.seeds} seed{'s' if decision.seeds > 1 else ''}"
    return f"{decision.compared}: {effect(decision)}{p}{seeds}{more(decision)}"


def effect(decision: Decision) -> str:
    """`+3.1 [1.2, 5.0]`, and what it has to exceed where that is not 0."""
    between = f" [{decision.interval[0]:.3g}, {decision.interval[1]:.3g}]" if decision.interval else ""
    return f"{decision.effect:+.3g}{between}{_against(decision.bound)}"


def more(decision: Decision) -> str:
    """About how many more seeds would settle it, where that can be said, or which ones did, where there are more."""
    if decision.look is not None and decision.look < decision.seeds:
        return f"; decided at {decision.look} seeds, whose p stands here"
    return f"; about {decision.more_seeds} more would settle it" if decision.more_seeds else ""


def settled_by(verdict: Verdict) -> str:
    """What would settle an undecided claim, in words; of others why nothing is asked."""
    decision = verdict.decision
    if decision is None or verdict.state != "undecided":
        return verdict.reason
    if not decision.more_seeds:
        unknown = any(note.endswith("counts as unknown") for note in verdict.notes)
        why = "it takes what is not measured" if unknown else "the effect is too near its bound"
        return f"no number of seeds that one would train settles it: {why}"
    count, cells = decision.more_seeds, len(verdict.cells)
    where = f" in {'its cell' if cells == 1 else f'each of its {cells} cells'}" if cells else ""
    if decision.p is None:
        return f"a verdict needs 3 seeds, {count} more than there are{where}"
    return f"about {count} more seed{'s' if count > 1 else ''}{where} would settle it"


def p_value(value: float | None) -> str:
    """Two digits, and no false precision near zero."""
    if value is None:
        return "\u2013"
    return f"{value:.2g}" if value >= 0.0001 else "under 0.0001"


def on_paper(verdict: Verdict) -> str:
    """Whether a claim holds on the paper's own numbers."""
    if verdict.claim.with_paper:
        return "it compares with the paper's numbers"
    if (paper := verdict.paper) is None:
        return "no numbers of the paper to ask it of"
    told = "holds" if paper.holds else "does not hold"
    unsure = "" if paper.sure else f", within the reading error of the figure it may{' not' if paper.holds else ''}"
    return f"{told} on the paper's numbers{unsure}: {paper.compared}: {paper.effect:+.3g}{_against(paper.bound)}"


def method(judged: Judged) -> str:
    """How the verdicts were reached."""
    if judged.sequential:
        return (
            "Verdicts at 5 % over all claims and all looks at growing numbers of seeds, with 95 % intervals of effects."
        )
    judged_here, all_claims = sum(each.decision is not None for each in judged.verdicts), len(judged.verdicts)
    of = "all claims" if judged_here == all_claims else f"the {judged_here} measured of the {all_claims} claims"
    return f"Verdicts at 5 % over {of} of the study (paired t, Holm), with 95 % intervals of effects."


def _against(bound: float) -> str:
    return f" (bound {bound:.3g})" if bound else ""
