"""The verdict on each claim of a study: what its measurements say, and at what scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ablate.judge.answer import Answer, NotMeasured, Run, answer_of, wanted_by
from ablate.judge.on_paper import OnPaper
from ablate.judge.outliers import Apart, failure_note, named_runs, outliers
from ablate.judge.published import at_paper_scale
from ablate.judge.statistics.decide import Decision, decide, decide_sequentially, judged_at_looks, judged_once
from ablate.judge.statistics.formula import Formula, leaves
from ablate.judge.statistics.paired import estimate
from ablate.study.claims import Claim, read_claims

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence

State = Literal["supported", "refuted", "undecided", "withheld", "not measured", "not judged here"]


@dataclass(frozen=True)
class Verdict:
    """The verdict on one claim."""

    claim: Claim
    state: State
    decision: Decision | None
    """The statistics; None if the claim was not measured or judged."""
    reason: str
    """Why there are no statistics."""
    cells: frozenset[int]
    """The numbers of the cells that it compares."""
    paper: OnPaper | None
    """The claim on the paper's numbers; None if there are none."""
    notes: tuple[str, ...] = ()
    """What the verdict leaves out of the claim and of the measurements."""

    @property
    def numbers(self) -> tuple[str, str]:
        """The effect with its interval, and the p value, as text; empty if the claim was not measured."""
        if (decision := self.decision) is None:
            return "", ""
        p = "" if decision.p is None else f"{decision.p:.2g}"
        return estimate(decision.effect, decision.interval, decision.bound), p

    def __repr__(self) -> str:
        shown, p = self.numbers
        return (
            f"{self.claim.id} {self.label}{f': {shown}' if shown else ''}{f', p {p}' if p else ''} ({self.claim.text})"
        )

    @property
    def open_cells(self) -> frozenset[int]:
        """In a sequential test: the numbers of the cells that need more seeds for the claim to be decided."""
        return self.decision.open_cells if self.decision is not None else frozenset()

    @property
    def kind(self) -> str:
        """The state, or what one or two seeds point to, which is not a verdict."""
        if self.decision is None or self.state != "undecided" or self.decision.p is not None:
            return self.state
        return f"points to {_SIDES[self.decision.leaning]}"

    @property
    def label(self) -> str:
        """The state, with the side to which it leans, or to which later seeds lean."""
        if self.decision is None or (self.state == "undecided" and self.decision.p is None):
            return self.kind
        side = _SIDES[self.decision.leaning]
        if self.state == "undecided":
            return f"undecided, leans to {side}"
        if self.state == "withheld" or side in ("neither", self.state):
            return self.state
        return f"{self.state} at {self.decision.look} seeds, but all {self.decision.seeds} lean to {side}"


_SIDES = {"supports": "supported", "refutes": "refuted", "neither": "neither"}


def judge(evidence: Evidence, paper: Mapping[str, OnPaper], most: int | None = None) -> tuple[Verdict, ...]:
    """A verdict for each claim of the evidence's plan, in its order.

    paper: by claim. most: in a sequential test, which stays valid although seeds are added until claims are decided,
    the number of seeds at the last look.
    """
    plan, cells = evidence.plan, evidence.cells
    claims = read_claims(plan.claims)
    around: dict[str, Any] = {"metric": plan.metric, "axes": plan.axis_values, "at_paper_scale": at_paper_scale(plan)}
    wanted = {claim.id: wanted_by(claim, cells, **around) for claim in claims}
    apart = outliers(cells, frozenset[tuple[int, str]]().union(*wanted.values()))
    found = {claim.id: _answer(claim, evidence, around) for claim in claims}
    without = {claim.id: _answer(claim, evidence, around, frozenset(apart)) for claim in claims} if apart else found
    decisions = _decisions(found, most)
    robust = _states(without, most) if apart else {}
    verdicts = []
    for claim in claims:
        compared, answer = frozenset(number for number, _ in wanted[claim.id]), found[claim.id]
        of_paper = None if claim.with_paper else paper.get(claim.id)  # the paper trivially agrees with itself
        if isinstance(answer, _Unjudged):
            verdicts.append(Verdict(claim, answer.state, None, answer.reason, compared, of_paper))
            continue
        decision, runs = decisions[claim.id], {run: each for run, each in apart.items() if run[0] in compared}
        notes = [*_notes(claim, answer, most, at_paper_scale(plan)), *_of_runs(evidence, compared, runs)]
        others = robust.get(claim.id)
        state: State = decision.state
        if apart and others != decision.state:
            state = "withheld"
            which = runs or apart  # those that another claim compares count too, because claims share the level
            then, it = others or "nothing to compare", "it" if len(which) == 1 else "them"
            named = named_runs(cells, which)
            notes.insert(0, f"withheld because it depends on {named}: {decision.state} with, {then} without {it}")
        verdicts.append(Verdict(claim, state, decision, "", compared, of_paper, tuple(notes)))
    return tuple(verdicts)


def _of_runs(evidence: Evidence, compared: frozenset[int], runs: Mapping[Run, Apart]) -> list[str]:
    """Notes on runs that failed or stand apart."""
    failures = failure_note(evidence.cells, compared, runs)
    return [f"verdicts are about runs that train: {failures}"] if failures else []


def _decisions(found: Mapping[str, Answer | _Unjudged], most: int | None) -> dict[str, Decision]:
    formulas = _formulas(found)
    return decide(formulas) if most is None else decide_sequentially(formulas, claims=_watched(found), most=most)


def _states(found: Mapping[str, Answer | _Unjudged], most: int | None) -> dict[str, str]:
    formulas = _formulas(found)
    judged = judged_once(formulas) if most is None else judged_at_looks(formulas, _watched(found), most)
    return {name: each.state for name, each in judged.items()}


def _formulas(found: Mapping[str, Answer | _Unjudged]) -> dict[str, Formula]:
    return {name: each.formula for name, each in found.items() if not isinstance(each, _Unjudged)}


def _watched(found: Mapping[str, Answer | _Unjudged]) -> int:
    """The number of claims that share the level.

    Those that are not measured yet will be: earlier looks must not become more expensive then.
    """
    return sum(not (isinstance(each, _Unjudged) and each.state == "not judged here") for each in found.values())


def _notes(claim: Claim, answer: Answer, most: int | None, margins_count: bool) -> tuple[str, ...]:
    # If seeds are only added to undecided comparisons, the others have fewer by design.
    notes = [*answer.missing, *(() if most is not None else answer.not_asked)]
    if most is not None and (waiting := _waiting(answer)) is not None:
        notes.append(f"looks use seeds in order and wait for seed {waiting}")
    if not margins_count and (margins := claim.lead_margins()):
        which = f"margin of {margins[0]} applies" if len(margins) == 1 else f"margins of {' and '.join(margins)} apply"
        notes.insert(0, f"order only: the {which} at the paper's scale")
    return tuple(notes)


def _waiting(answer: Answer) -> int | None:
    """The first seed that looks wait for."""
    return min((leaf.at.waiting for leaf in leaves(answer.formula) if leaf.at.waiting is not None), default=None)


@dataclass(frozen=True)
class _Unjudged:
    state: State
    reason: str


def _answer(
    claim: Claim, evidence: Evidence, around: Mapping[str, Any], without: frozenset[Run] = frozenset()
) -> Answer | _Unjudged:
    plan = evidence.plan
    if claim.profiles is not None and plan.profile not in claim.profiles:
        return _Unjudged("not judged here", f"it applies to the profile {' or '.join(claim.profiles)} only")
    if claim.at_paper_scale_only and not at_paper_scale(plan):
        message = f"published values can only be reproduced at the paper's scale ({plan.paper_profile})"
        return _Unjudged("not judged here", message)
    answer = answer_of(claim, evidence.cells, **around, without=without)
    return _Unjudged("not measured", answer.reason) if isinstance(answer, NotMeasured) else answer
