"""Decisions on all claims of a study: supported, refuted or undecided; once, or at growing numbers of seeds.

Both a claim and its opposite are tested: "refuted" is a finding, not a failed test of "supported". Each side may use
the whole level, because at most one of the two verdicts can be false. Holm's method adjusts for the claims of the
study. For repeated looks at growing numbers of seeds see sequential.py. Fewer than three seeds only suggest a verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from ablate.judge.statistics.combine import Sides, deciding, holm, more_seeds, permutation_sides, sides
from ablate.judge.statistics.comparisons import LEVEL, Compared, Interval, compared_in
from ablate.judge.statistics.formula import (
    Formula,
    Leaning,
    check_finite,
    compared,
    effect,
    leaning,
    leaves,
)
from ablate.judge.statistics.paired import LEAST_SEEDS
from ablate.judge.statistics.sequential import (
    MOST_SEEDS,
    last_look,
    looks,
    open_leaves,
    sequential_sides,
)

State = Literal["supported", "refuted", "undecided"]


@dataclass(frozen=True)
class Decision:
    """The result for a claim; its numbers are those of the deciding comparison (see `deciding`).

    The estimates use all seeds. The p values cover all comparisons of the claim. In a sequential test they are valid
    for all looks, and later seeds cannot raise them, so `leaning` may come to differ from the state.
    """

    state: State
    leaning: Leaning
    """By the means alone; "neither" if they are at the bound."""
    seeds: int
    effect: float
    bound: float
    compared: str
    within: bool
    """Whether the absolute difference is compared with the bound."""
    interval: Interval
    """That of the deciding comparison; see `Compared`."""
    p: float | None
    """One-sided, of the favoured side; this and the next two are None if no comparison has 3 seeds."""
    adjusted_p: float | None
    """For the study's other claims."""
    permutation_p: float | None
    more_seeds: tuple[int, int | None] | None
    """How many more would settle it, estimated from the least to the most; None if it is settled or no number would.
    In a sequential test, the seeds to the next look."""
    look: int | None
    """In a sequential test: the number of seeds at which it was decided."""
    comparisons: tuple[Compared, ...]
    """All of the claim, in its order, with the contrast if that decides."""
    look_at: int | None = None
    """In a sequential test: the number of seeds at the next look of an undecided claim."""
    open_cells: frozenset[int] = frozenset()
    """In a sequential test: the numbers of the cells whose comparisons are still to be decided."""
    limit: int | None = None
    """In a sequential test: the number of seeds at the last look."""


class Judged(NamedTuple):
    """The test of a claim, without what describes it."""

    state: State
    sides: Sides
    adjusted_p: float
    look: int | None = None
    """In a sequential test: the number of seeds at which it was decided."""


def judged_once(formulas: Mapping[str, Formula], level: float = LEVEL) -> dict[str, Judged]:
    """The tests of a study's claims for a single look; see `decide`."""
    check_finite(formulas.values())
    found = {name: sides(formula) for name, formula in formulas.items()}
    adjusted = map(float, holm([both.p for both in found.values()]))
    return {
        name: Judged(verdict(both, p, level), both, p) for (name, both), p in zip(found.items(), adjusted, strict=True)
    }


def judged_at_looks(
    formulas: Mapping[str, Formula], claims: int | None = None, most: int = MOST_SEEDS, level: float = LEVEL
) -> dict[str, Judged]:
    """The tests of a study's claims at the first look that decides, or else at the last; see `decide_sequentially`."""
    check_finite(formulas.values())
    found = {name: sequential_sides(formula, most) for name, formula in formulas.items()}
    unseen = [1.0] * ((claims or len(formulas)) - len(formulas))
    adjusted = [holm([*(each[at].p for each in found.values()), *unseen]) for at in range(len(looks(most)))]
    judged = {}
    for number, (name, each) in enumerate(found.items()):
        p = [float(at[number]) for at in adjusted]
        at = next((at for at, value in enumerate(p) if value <= level), len(p) - 1)
        state = verdict(each[at], p[at], level)
        judged[name] = Judged(state, each[at], p[at], looks(most)[at] if state != "undecided" else None)
    return judged


def decide(formulas: Mapping[str, Formula], level: float = LEVEL) -> dict[str, Decision]:
    """Verdicts on a study's claims with the available seeds, for a single look.

    Claims with fewer than three seeds also share the level. Raises ValueError if a difference is not finite.
    """
    decisions = {}
    for name, judged in judged_once(formulas, level).items():
        more = more_seeds(formulas[name], level, len(formulas)) if judged.state == "undecided" else None
        decisions[name] = _decision(formulas[name], judged, more)
    return decisions


def decide_sequentially(
    formulas: Mapping[str, Formula], level: float = LEVEL, claims: int | None = None, most: int = MOST_SEEDS
) -> dict[str, Decision]:
    """Verdicts that stay valid under repeated looks while seeds are added; otherwise like `decide`.

    The first look that decides a claim fixes its verdict. claims: the number of all claims that will ever be watched
    (default: those given), so that an earlier verdict stands when others are measured. most: seeds at the last look.
    Each comparison must be decided at the level that Holm's method leaves to a claim once those decided are set aside.
    """
    judged = judged_at_looks(formulas, claims, most, level)
    undecided = [name for name, each in judged.items() if each.state == "undecided"]
    share = level / max(1, (claims or len(formulas)) - len(formulas) + len(undecided))
    decisions = {}
    for name, each in judged.items():
        remaining = open_leaves(formulas[name], share, most) if name in undecided else []
        settled = min((leaf.at.settled for leaf in remaining), default=0)
        next_look = next((count for count in looks(most) if remaining and count > settled), None)
        more = None if next_look is None else (next_look - settled, next_look - settled)
        cells = frozenset(cell for leaf in remaining for cell in leaf.cells)
        decisions[name] = replace(
            _decision(formulas[name], each, more, most), look_at=next_look, open_cells=cells, limit=most
        )
    return decisions


def verdict(both: Sides, adjusted_p: float, level: float) -> State:
    """The side with the smaller p, if the adjusted p is at most the level."""
    if adjusted_p > level:
        return "undecided"
    return "supported" if both.supports < both.refutes else "refuted"


def _decision(
    formula: Formula, judged: Judged, more: tuple[int, int | None] | None, most: int | None = None
) -> Decision:
    """A decision; most: in a sequential test, the seeds at the last look."""
    leaf = deciding(formula)
    tested = any(
        len(each.differences) >= LEAST_SEEDS and (most is None or last_look(each, most) is not None)
        for each in leaves(formula)
    )
    all_compared = tuple(compared_in(formula, leaf, most))
    return Decision(
        judged.state,
        leaning(formula),
        len(leaf.differences),
        leaf.shown(effect(leaf)),
        leaf.bound,
        compared(formula, leaf),
        leaf.within,
        next(each.interval for each in all_compared if each.decides),
        float(judged.sides.p) if tested else None,
        judged.adjusted_p if tested else None,
        float(permutation_sides(formula).p) if tested else None,
        more,
        judged.look,
        all_compared,
    )
