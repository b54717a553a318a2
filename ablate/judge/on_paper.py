"""The claims of a plan on the paper's own numbers, by arithmetic: one run per cell allows no test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ablate.judge.answer import NotMeasured, answer_of, pooled_leaf
from ablate.judge.statistics.formula import binding, compared, effect, holds
from ablate.study.claims import read_claims
from ablate.study.claims.comparison import Comparison, Hold, Requirement

if TYPE_CHECKING:
    from ablate.judge.evidence import MeasuredCell
    from ablate.records.plan_file import PlanFile


@dataclass(frozen=True)
class OnPaper:
    """A claim on the paper's numbers, by the values alone: one run per cell allows no test."""

    holds: bool
    effect: float
    """The effect of the deciding comparison."""
    bound: float
    compared: str
    sure: bool = True
    """Whether no reading error of a figure could reverse it."""


def on_paper(plan: PlanFile, cells: Sequence[MeasuredCell]) -> dict[str, OnPaper]:
    """The claims of a plan on the published numbers, without those for which the paper has none.

    cells: those at the paper's scale, with the published numbers as if they were measured.
    """
    if plan.paper is None:
        return {}
    axes = {axis.name: axis.values for axis in plan.paper.axes}
    found = {}
    for claim in read_claims(plan.claims):
        answered = partial(answer_of, claim, cells, metric=plan.metric, axes=axes, at_paper_scale=True)
        answer = answered()
        if isinstance(answer, NotMeasured):
            continue
        formula, decides = answer.formula, binding(answer.formula)
        against = partial(_moved, cells=cells, sign=-1 if holds(formula) else 1)
        worst = answered(doubting=against)
        assert not isinstance(worst, NotMeasured)
        sure = claim.with_paper or holds(worst.formula) == holds(formula)
        shown = decides.shown(effect(decides))
        found[claim.id] = OnPaper(holds(formula), shown, decides.bound, compared(formula, decides), sure)
    return found


def as_measured(cells: Sequence[MeasuredCell]) -> list[MeasuredCell]:
    """The cells with their published values as if measured with one seed."""
    values = [{metric: each.value for metric, each in cell.published.items()} for cell in cells]
    return [replace(cell, numbers={0: own} if own else {}) for cell, own in zip(cells, values, strict=True)]


def _moved(asked: Requirement, cells: Sequence[MeasuredCell], sign: int) -> Requirement:
    """The comparisons, each moved up or down as far as the reading errors of its numbers allow."""
    if isinstance(asked, Hold):
        return replace(asked, parts=tuple(_moved(part, cells, sign) for part in asked.parts))
    errors = [cells[number].published[metric].err or 0.0 for number, metric in asked.wanted]
    value = asked.value if isinstance(asked, Comparison) else lambda at: effect(pooled_leaf(asked, [at]))

    def moved(at: Sequence[float]) -> float:
        return value(at) + sign * sum(_moves(value, at, place, err) for place, err in enumerate(errors))

    return Comparison(asked.label, asked.wanted, moved, asked.bound)


def _moves(value: Callable[[Sequence[float]], float], at: Sequence[float], place: int, err: float) -> float:
    """How far a value moves if one of its numbers moves by its reading error."""
    if not err:
        return 0.0
    ends = [value([*at[:place], at[place] + way * err, *at[place + 1 :]]) for way in (1, -1)]
    return abs(ends[0] - ends[1]) / 2
