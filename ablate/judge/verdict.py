"""The verdict on each claim of a study: what its measurements say, and at what scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ablate.judge.cells import Measured
from ablate.judge.claims import NotMeasured, cells_of, formula_of
from ablate.judge.decide import Decision, decide, decide_sequentially
from ablate.judge.formula import Formula
from ablate.judge.published import published_cells
from ablate.judge.scale import at_paper_scale, papers_profile
from ablate.study.claims import Claim, Value, read_claims

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

    @property
    def told(self) -> str:
        """The state in words; one or two seeds point to something, and are no verdict."""
        if self.decision is None or self.state != "undecided":
            return self.state
        side = {"supports": "supported", "refutes": "refuted"}[self.decision.leaning]
        return f"points to {side}" if self.decision.p is None else f"undecided, leans to {side}"

    @property
    def kind(self) -> str:
        """The state in words without to which side an undecided one leans: what is counted."""
        return "undecided" if self.told.startswith("undecided") else self.told


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
    found = {claim.id: _formula(claim, plan, cells, around) for claim in claims}
    formulas = {name: each for name, each in found.items() if not isinstance(each, _Unjudged)}
    decisions = (decide_sequentially if sequential else decide)(formulas) if formulas else {}
    verdicts = []
    for claim in claims:
        compared, of_paper = cells_of(claim, cells, **around), paper.get(claim.id)
        if isinstance(why := found[claim.id], _Unjudged):
            verdicts.append(Verdict(claim, why.state, None, why.reason, compared, of_paper))
        else:
            decision = decisions[claim.id]
            verdicts.append(Verdict(claim, decision.state, decision, "", compared, of_paper))
    return tuple(verdicts)


@dataclass(frozen=True)
class _Unjudged:
    state: State
    reason: str


def _formula(
    claim: Claim, plan: Mapping[str, Any], cells: Sequence[Measured], around: Mapping[str, Any]
) -> Formula | _Unjudged:
    if claim.profiles is not None and plan["profile"] not in claim.profiles:
        return _Unjudged("not judged here", f"it is about the scale of {' or '.join(claim.profiles)}")
    if isinstance(claim, Value) and not at_paper_scale(plan):
        told = f"a value of the paper can be met at the paper's scale ({papers_profile(plan)}) only"
        return _Unjudged("not judged here", told)
    formula = formula_of(claim, cells, **around)
    return _Unjudged("not measured", formula.reason) if isinstance(formula, NotMeasured) else formula


def _surroundings(plan: Mapping[str, Any], cells: Sequence[Measured]) -> dict[str, Any]:
    return {
        "metric": str(plan.get("metric") or "top1"),
        "axes": {axis["name"]: axis["values"] for axis in plan["axes"]},
        "published": published_cells(plan, cells),
        "at_paper_scale": at_paper_scale(plan),
    }
