"""The headline of a page: the answer to the study's question in at most 20 words, and the claim that it is about."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ablate.judge import wording
from ablate.judge.published import at_paper_scale
from ablate.records.plain import plural
from ablate.report.findings import ended, extremes, findings
from ablate.report.render.names import Names
from ablate.report.render.text import named

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence
    from ablate.judge.statistics.decide import Decision
    from ablate.judge.study import Judged
    from ablate.judge.verdict import Verdict
    from ablate.study.claims import Claim

MOST_WORDS = 20
_DIFFERENCES = (
    "best",
    "greater",
    "equivalent",
    "closing_gap",
    "monotone",
    "symmetric",
    "share",
    "contributes",
    "interacts",
    "no_worse",
)
"""Kinds of claims whose effect is a difference between values of a metric."""
_OF_TWO_SIDES = ("best", "greater", "equivalent", "monotone")
"""Kinds of claims that compare one side with another."""
_HOLD = re.compile(r"(\d+) of (\d+) hold \((\d+) needed\)")


@dataclass(frozen=True)
class Headline:
    """What a page says first."""

    answer: str
    """One sentence: `Probably not (1 seed): color + sobel beats crop + color by 2.6 points.`"""
    claim: str | None = None
    """The id of the claim that gives the answer; None where no claim is judged."""
    kind: str = ""
    """The kind of that claim's verdict; empty without one."""
    asserted: str = ""
    """The claim in words."""
    details: str = ""
    """Its statistics, what the verdict leaves out, and what would decide it."""


def headline(measured: Evidence, judged: Judged) -> Headline:
    """The answer to a study's question, from its verdicts."""
    if measured.lacking:
        return Headline(ended(measured.lacking))
    if not any(cell.measured for cell in measured.cells):
        return Headline(f"No results yet: {measured.done} of {plural(measured.asked, 'trial')} finished.")
    verdict = _leading(judged)
    if verdict is None or verdict.decision is None:
        why = "None of the claims can be judged yet." if judged.verdicts else "The study makes no claims."
        answer = extremes(measured) or next(findings(measured))
        return Headline(answer, details=why) if len(answer.split()) <= MOST_WORDS else Headline(why, details=answer)
    where = ", on synthetic images" if measured.synthetic else ""  # they can show an effect, not how photographs behave
    names = Names(measured)
    nearest = _nearest(names, verdict, verdict.decision)
    answer = f"{_verdict(verdict)}{where}: {_comparison(measured, names, verdict, nearest)}."
    if len(answer.split()) > MOST_WORDS:
        answer = f"{_verdict(verdict)}{where}: {_effect(measured, verdict, nearest)}."
    asserted = ended(named(verdict.claim.text.rstrip(".")))
    return Headline(answer, verdict.claim.id, verdict.kind, asserted, _details(measured, names, judged, verdict))


def _leading(judged: Judged) -> Verdict | None:
    """The verdict on the first required claim that was judged, else on the first claim that was."""
    found = [verdict for verdict in judged.verdicts if verdict.decision]
    return next((verdict for verdict in found if verdict.claim.required), next(iter(found), None))


def _verdict(verdict: Verdict) -> str:
    """`Claim supported (5 seeds)`, `Probably not (1 seed)`, `Undecided, probably so (5 seeds)`.

    Never "yes" or "no": the claim may be narrower than the study's question.
    """
    decision = verdict.decision
    assert decision is not None
    seeds = f"({plural(decision.seeds, 'seed')})"
    if verdict.state == "undecided":
        tested = decision.p is not None
        likely = {"supports": "probably so", "refutes": "probably not", "neither": ""}[decision.leaning]
        words = ", ".join(filter(None, ("Undecided" if tested or not likely else "", likely)))
        return f"{words[0].upper()}{words[1:]} {seeds}".replace("Probably so", "Probably")
    if verdict.state == "withheld":
        return f"No verdict, since single runs would decide {seeds}"
    later = "" if _leans(verdict) else ", though later seeds disagree"
    return f"Claim {verdict.state}{later} {seeds}"


def _leans(verdict: Verdict) -> bool:
    """Whether all seeds lean to the verdict, which a sequential test may have reached earlier."""
    assert verdict.decision is not None
    return verdict.decision.leaning == {"supported": "supports", "refuted": "refutes"}.get(verdict.state)


def _comparison(measured: Evidence, names: Names, verdict: Verdict, decision: Decision) -> str:
    """The comparison that decides: `color + sobel beats crop + color by 2.6 points`."""
    if found := _HOLD.match(decision.compared):
        return f"{found[1]} of {found[2]} comparisons hold, and {found[3]} are needed"
    sides = names.sides(decision.compared)
    if sides is not None and verdict.claim.kind in _OF_TWO_SIDES and not {":", ";"} & set(decision.compared):
        percent = _in_percent(measured, verdict)
        parts = measured.plan.naming if percent and decision.effect and verdict.claim.kind != "equivalent" else None
        return (parts and _removal(sides, decision)) or _two_sides(sides, verdict.claim, decision, percent)
    return f"{_effect(measured, verdict, decision)} for {named(names.comparison(decision.compared))}"


def _nearest(names: Names, verdict: Verdict, decision: Decision) -> Decision:
    """The decision, where a best cell was found with the numbers of its runner-up.

    The comparison that decides is the least certain one, which may be with a cell that is far from the second best.
    """
    deciding, best = names.sides(decision.compared), int(getattr(verdict.claim, "lowest", False))
    if verdict.claim.kind != "best" or verdict.state != "supported" or deciding is None:
        return decision
    metrics = {each.metrics for each in decision.comparisons if each.decides}
    alike = [each for each in decision.comparisons if not metrics or each.metrics in metrics]
    own = [each for each in alike if (sides := names.sides(each.label)) and sides[best] == deciding[best]]
    runner_up = min(own, key=lambda each: each.effect, default=None)
    return replace(decision, compared=runner_up.label, effect=runner_up.effect) if runner_up else decision


def _in_percent(measured: Evidence, verdict: Verdict) -> bool:
    """Whether what decides the claim compares metrics in percent: it may have others than the study's."""
    comparisons = verdict.decision.comparisons if verdict.decision else ()
    compared = frozenset[str]().union(*(each.metrics for each in comparisons if each.decides))
    return measured.in_percent(*(compared or {verdict.claim.metric or measured.plan.metric}))


def _effect(measured: Evidence, verdict: Verdict, decision: Decision) -> str:
    """`+2.6 points`; `+0.84` where the effect is not a difference in percent."""
    points = verdict.claim.kind in _DIFFERENCES and _in_percent(measured, verdict)
    return f"{decision.effect:+.1f} points" if points else f"{decision.effect:+.3g}"


def _two_sides(sides: tuple[str, str], claim: Claim, decision: Decision, percent: bool) -> str:
    """The winner, the loser and the distance between them."""
    left, right = map(named, _distinct(*sides))
    if decision.effect == 0.0:
        return f"{left} equals {right}"
    ahead, behind = (left, right) if decision.effect > 0 else (right, left)
    distance = f"{abs(decision.effect):.1f} points" if percent else f"{abs(decision.effect):.3g}"
    wins = percent and claim.kind != "equivalent" and not getattr(claim, "lowest", False)
    return f"{ahead} {'beats' if wins else 'is above'} {behind} by {distance}"


def _distinct(left: str, right: str) -> tuple[str, str]:
    """Two cells without what they share: `normalize, temperature = 0.1` is `temperature = 0.1` beside 0.05."""
    ours, theirs = left.split(", "), right.split(", ")
    apart = [(one, other) for one, other in zip(ours, theirs, strict=False) if one != other]
    if len(ours) != len(theirs) or not apart or not all(" = " in text for pair in apart for text in pair):
        return left, right
    own, others = map(", ".join, zip(*apart, strict=True))
    return own, others


_WITHOUT = "without "


def _removal(sides: tuple[str, str], decision: Decision) -> str:
    """Of a design that leaves parts out: what that costs. Empty where not all that is compared lacks a part."""
    ahead, behind = map(named, sides if decision.effect > 0 else reversed(sides))
    cost = f"{abs(decision.effect):.1f} points"
    part, other = behind.removeprefix(_WITHOUT), ahead.removeprefix(_WITHOUT)
    if part != behind and other != ahead:
        return f"leaving out {part} costs {cost} more than leaving out {other}"
    if part != behind and ahead == "full method":
        return f"leaving out {part} costs {cost}"
    return f"leaving out {other} gains {cost}" if other != ahead and behind == "full method" else ""


def _statistics(measured: Evidence, names: Names, verdict: Verdict, decision: Decision) -> str:
    """The comparison with its limits, its p value and what the claim requires."""
    unit = " points" if verdict.claim.kind in _DIFFERENCES and _in_percent(measured, verdict) else ""
    which = "" if _nearest(names, verdict, decision) == decision else "The least certain comparison, "
    said = [f"{which}{named(names.comparison(decision.compared))}: {_effect(measured, verdict, decision)}"]
    if decision.interval:
        digits = ".1f" if unit else ".3g"  # as many as the effect has
        said.append(f"95 % limits {decision.interval[0]:{digits}} to {decision.interval[1]:{digits}}")
    if decision.bound:
        required = "less than" if decision.within else "more than"
        said.append(
            f"the claim requires {required} {abs(decision.bound) if decision.within else decision.bound:.3g}{unit}"
        )
    if decision.adjusted_p is not None:
        said.append(f"adjusted p {wording.p_value(decision.adjusted_p)}")
    if verdict.state in ("supported", "refuted") and not _leans(verdict):
        said.append(verdict.label)
    return ", ".join(said)


def _details(measured: Evidence, names: Names, judged: Judged, verdict: Verdict) -> str:
    """The claim's statistics, the scale, what the verdict leaves out, and what would decide it."""
    assert verdict.decision is not None
    scale = "tested at the paper's scale" if at_paper_scale(judged.plan) else "tested at this scale"
    conditions = [_statistics(measured, names, verdict, verdict.decision)]
    conditions += [scale] if measured.of_paper else []
    conditions += verdict.notes
    if verdict.state == "undecided":
        conditions.append(wording.settled_by(verdict))
    return f"{'; '.join(conditions)}."
