"""The verdict on each claim of a study: what its measurements say, and at what scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ablate.judge.answer import Answer
from ablate.judge.cells import Measured
from ablate.judge.claims import NotMeasured, answer_of, cells_of
from ablate.judge.decide import Decision, decide, decide_sequentially
from ablate.judge.published import published_cells
from ablate.judge.scale import at_paper_scale, papers_profile
from ablate.study.claims import AllOf, AnyOf, Best, Claim, ClosingGap, Greater, Monotone, Value, read_claims

if TYPE_CHECKING:
    from ablate.judge.on_paper import OnPaper

State = Literal["supported", "refuted", "undecided", "not measured", "not judged here"]


@dataclass(frozen=True)
class Verdict:
    """What is known of one claim."""

    claim: Claim
    state: State
    decision: Decision | None
    """The statistics; None where nothing was measured or judged."""
    reason: str
    """Why there are none."""
    cells: frozenset[int]
    """Which of the cells, by number, it compares."""
    paper: OnPaper | None
    """What the paper's own numbers say; None where it prints none."""
    notes: tuple[str, ...] = ()
    """What the verdict leaves out: of the claim's words, and of the measurements."""

    @property
    def kind(self) -> str:
        """The state without where an undecided one leans; one or two seeds point to something, and are no verdict."""
        if self.decision is None or self.state != "undecided" or self.decision.p is not None:
            return self.state
        return f"points to {_SIDES[self.decision.leaning]}"

    @property
    def told(self) -> str:
        """The state with where it leans, or that the seeds since it was decided lean the other way."""
        if self.decision is None or (self.state == "undecided" and self.decision.p is None):
            return self.kind
        side = _SIDES[self.decision.leaning]
        if self.state == "undecided":
            return f"undecided, leans to {side}"
        if side in ("neither", self.state):
            return self.state
        return f"{self.state} at {self.decision.look} seeds, though all {self.decision.seeds} lean to {side}"


_SIDES = {"supports": "supported", "refutes": "refuted", "neither": "neither"}


def judge(
    plan: Mapping[str, Any],
    cells: Sequence[Measured],
    paper: Mapping[str, OnPaper],
    sequential: bool = False,
) -> tuple[Verdict, ...]:
    """A verdict for each claim of a plan, in its order.

    plan: of a plan file. cells: what was measured of it. paper: by claim. sequential: the verdicts stay valid although
    seeds are added until a claim is decided (see `sequential`).
    """
    claims = read_claims(plan.get("claims", []))
    around = _surroundings(plan, cells) if claims else {}
    found = {claim.id: _answer(claim, plan, cells, around) for claim in claims}
    decisions = _decisions(found, sequential)
    verdicts = []
    for claim in claims:
        compared, of_paper, answer = cells_of(claim, cells, **around), paper.get(claim.id), found[claim.id]
        if isinstance(answer, _Unjudged):
            verdicts.append(Verdict(claim, answer.state, None, answer.reason, compared, of_paper))
        else:
            decision = decisions[claim.id]
            notes = _notes(claim, answer, sequential, at_paper_scale(plan))
            verdicts.append(Verdict(claim, decision.state, decision, "", compared, of_paper, notes))
    return tuple(verdicts)


def _decisions(found: Mapping[str, Answer | _Unjudged], sequential: bool) -> dict[str, Decision]:
    answers = {name: each for name, each in found.items() if not isinstance(each, _Unjudged)}
    formulas = {name: answer.formula for name, answer in answers.items()}
    if not sequential:
        return decide(formulas)
    # Those that are not measured yet will be: an earlier look must not cost more then.
    watched = sum(not (isinstance(each, _Unjudged) and each.state == "not judged here") for each in found.values())
    return decide_sequentially(
        formulas, claims=watched, in_order={name: each.in_order for name, each in answers.items()}
    )


def _notes(claim: Claim, answer: Answer, sequential: bool, margins_count: bool) -> tuple[str, ...]:
    # Where seeds are added to undecided claims only, it is no news that others have fewer.
    notes = [*answer.missing, *(() if sequential else answer.not_asked)]
    if sequential and answer.gap is not None:
        notes.append(f"looks are taken in the order of the seeds, and wait for seed {answer.gap}")
    if not margins_count and (margins := _margins(claim)):
        told = f"margin of {margins[0]} counts" if len(margins) == 1 else f"margins of {' and '.join(margins)} count"
        notes.insert(0, f"order only: the {told} at the paper's scale")
    return tuple(notes)


def _margins(claim: Claim) -> list[str]:
    """By how much a claim and its parts want cells to be ahead."""
    if isinstance(claim, (AllOf, AnyOf)):
        return list(dict.fromkeys(margin for part in claim.parts for margin in _margins(part)))
    if isinstance(claim, (Best, Greater, Monotone, ClosingGap)) and claim.margin > 0:
        return [f"{claim.margin:g}"]
    return []


@dataclass(frozen=True)
class _Unjudged:
    state: State
    reason: str


def _answer(
    claim: Claim, plan: Mapping[str, Any], cells: Sequence[Measured], around: Mapping[str, Any]
) -> Answer | _Unjudged:
    if claim.profiles is not None and plan["profile"] not in claim.profiles:
        return _Unjudged("not judged here", f"it is about the scale of {' or '.join(claim.profiles)}")
    if isinstance(claim, Value) and not at_paper_scale(plan):
        told = f"a value of the paper can be met at the paper's scale ({papers_profile(plan)}) only"
        return _Unjudged("not judged here", told)
    answer = answer_of(claim, cells, **around)
    return _Unjudged("not measured", answer.reason) if isinstance(answer, NotMeasured) else answer


def _surroundings(plan: Mapping[str, Any], cells: Sequence[Measured]) -> dict[str, Any]:
    return {
        "metric": str(plan.get("metric") or "top1"),
        "axes": {axis["name"]: axis["values"] for axis in plan["axes"]},
        "published": published_cells(plan, cells),
        "at_paper_scale": at_paper_scale(plan),
    }
