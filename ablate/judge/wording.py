"""Verdicts in words, the same on a terminal and on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.judge.statistics.combine import MOST
from ablate.judge.statistics.paired import estimate

if TYPE_CHECKING:
    from ablate.judge.statistics.decide import Decision
    from ablate.judge.study import Judged
    from ablate.judge.verdict import Verdict
    from ablate.study.claims import Claim

_IMPRACTICAL = "no practical number of seeds would settle it"
MARKS = {
    "supported": "\u2713", "refuted": "\u2717", "points to supported": "?", "points to refuted": "?",
    "points to neither": "?", "undecided": "?", "withheld": "!",
    "not measured": "\u2013", "not judged here": "\u00b7",
}  # fmt: skip
"""The mark of each kind of verdict, shown next to its name and color."""


def numbers(verdict: Verdict) -> str:
    """The deciding comparison with its effect, interval and p; empty without a decision."""
    if (decision := verdict.decision) is None:
        return ""
    p = f"; adjusted p {p_value(decision.adjusted_p)}" if decision.adjusted_p is not None else ""
    seeds = f"; {decision.seeds} seed{'s' if decision.seeds > 1 else ''}"
    named = f"|{decision.compared}| < {-decision.bound:.3g}" if decision.within else decision.compared
    return f"{named}: {effect(decision)}{p}{seeds}{more(verdict, decision)}"


def effect(decision: Decision) -> str:
    """`+3.1 [1.2, 5.0]`, with the bound if that is not 0."""
    against = "" if decision.within else _against(decision.bound)
    return f"{estimate(decision.effect, decision.interval, decision.bound)}{against}"


def more(verdict: Verdict, decision: Decision) -> str:
    """About how many more seeds would settle it, if that is estimated; or how many did, if there are more."""
    if decision.look is not None and decision.look < decision.seeds:
        return f"; decided at {decision.look} seeds (p as of then)"
    if decision.more_seeds is None:
        known = not _correlates(verdict.claim) and not _lacks_results(verdict) and decision.limit is None
        return f"; {_IMPRACTICAL}" if known and decision.state == "undecided" else ""
    if decision.look_at is not None:
        return f"; the next look is at {decision.look_at} seeds"
    return f"; {more_seeds(decision.more_seeds)} would settle it"


def more_seeds(range: tuple[int, int | None]) -> str:
    """`about 2 more seeds`, `about 2 to 40 more seeds`, or `about 22 to over 100 more seeds`."""
    least, most = range
    if most is None:
        return f"about {least} to over {MOST} more seeds"
    return f"about {least}{'' if most == least else f' to {most}'} more seed{'s' if most > 1 else ''}"


def settled_by(verdict: Verdict) -> str:
    """What would settle an undecided claim; for others, why they were not judged."""
    decision = verdict.decision
    if decision is None or verdict.state != "undecided":
        return verdict.reason
    if decision.more_seeds is None and decision.limit is not None:
        return f"the limit of {decision.limit} seeds is reached"
    if not decision.more_seeds and _correlates(verdict.claim):
        return "how many seeds would settle a rank correlation is not estimated"
    if not decision.more_seeds:
        why = "some results are missing" if _lacks_results(verdict) else "the effect is too close to its bound"
        return f"{_IMPRACTICAL} (up to {MOST} more): {why}"
    cells = len(verdict.open_cells or verdict.cells)
    where = f" in {'its cell' if cells == 1 else f'each of its {cells} cells'}" if cells else ""
    if decision.p is None:
        count = decision.more_seeds[0]
        return f"a verdict needs {count} more seed{'s' if count > 1 else ''}{where}"
    if decision.look_at is not None:
        return f"the next look is at {decision.look_at} seeds{where}"
    return f"{more_seeds(decision.more_seeds)}{where} would settle it; to be sure, use --until-decided"


def _correlates(claim: Claim) -> bool:
    """Whether the claim, or a part of it, is about a rank correlation."""
    return claim.kind in ("rank_correlation", "correlates") or any(map(_correlates, claim.inner()))


def _lacks_results(verdict: Verdict) -> bool:
    return any(note.endswith("count as unknown") for note in verdict.notes)


def p_value(value: float | None) -> str:
    """Two digits, without false precision near zero."""
    if value is None:
        return "\u2013"
    return f"{value:.2g}" if value >= 0.0001 else "under 0.0001"


def on_paper(verdict: Verdict) -> str:
    """Whether a claim holds on the paper's own numbers."""
    if verdict.claim.with_paper:
        return "compares with the paper by definition"
    if (paper := verdict.paper) is None:
        return "no published numbers"
    verb = "holds" if paper.holds else "does not hold"
    unsure = "" if paper.sure else ", though the figure's reading error could reverse it"
    return f"{verb} on the paper's numbers{unsure}: {paper.compared}: {paper.effect:+.3g}{_against(paper.bound)}"


def method(judged: Judged) -> str:
    """How the verdicts were reached."""
    with_limits = "Effects with 95 % limits on each side, for all comparisons of a claim together."
    if judged.sequential:
        return (
            f"Error rate of verdicts: 5 % over all claims and all looks up to {judged.most_seeds} seeds. {with_limits}"
        )
    judged_here, all_claims = sum(each.decision is not None for each in judged.verdicts), len(judged.verdicts)
    of = "all claims" if judged_here == all_claims else f"the {judged_here} measured claims of {all_claims}"
    return f"Error rate of verdicts: 5 % over {of} (paired t tests, Holm correction). {with_limits}"


def _against(bound: float) -> str:
    return f" (bound {bound:.3g})" if bound else ""
