"""Decide: supported, refuted or undecided, for all claims of a study together.

A claim and its opposite are both tested: "refuted" is a finding of its own, not a test of "supported" that failed. The
smaller of the two p counts twice, so that where there is no effect a verdict of either kind, which is false then,
comes at most at the level; and over the claims of a study together by Holm's or, where one looks at growing numbers of
seeds, Bonferroni's adjustment (Holm's would let a claim's verdict depend on what others were found to be at that
look). Fewer than three seeds give no verdict: they only point to one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ablate.judge.combine import Sides, deciding, holm, permutation_sides, sides
from ablate.judge.formula import Formula, Leaf, Leaning, compared, effect, leaning, seeds_of
from ablate.judge.paired import bootstrap_interval, t_interval
from ablate.judge.power import more_seeds
from ablate.judge.sequential import seen, to_next_look

LEAST_SEEDS = 3

Interval = tuple[float, float] | None
State = Literal["supported", "refuted", "undecided"]


@dataclass(frozen=True)
class Decision:
    """What the measurements say about a claim; its numbers are those of the comparison that decides (`deciding`).

    The estimates are those of all seeds. The p values are the claim's, over all of its comparisons and two-sided; of a
    sequential test those of its look, which later seeds do not change, so that `leaning` may come to differ.
    """

    state: State
    leaning: Leaning  # by the means alone; "neither" where they are at the bound
    seeds: int
    effect: float
    bound: float
    compared: str
    interval: Interval  # 95 %, t, not adjusted; None below 2 seeds
    bootstrap: Interval  # 95 %, beside it; None below 3
    p: float | None  # this and the next two: None below 3
    adjusted_p: float | None  # for the study's other claims and, of a sequential test, all looks
    permutation_p: float | None
    more_seeds: int | None  # about how many more would settle it; None: it is settled, or no number would
    look: int | None  # of a sequential test: after how many seeds it was decided


def decide(formulas: Mapping[str, Formula], level: float = 0.05) -> dict[str, Decision]:
    """Verdicts on a study's claims with the seeds there are, to be looked at once.

    Claims with fewer than three seeds count among those that share the level. ValueError for differences that are not
    finite, or comparisons of one claim with different numbers of seeds.
    """
    found = {name: sides(formula) if seeds_of(formula) >= LEAST_SEEDS else None for name, formula in formulas.items()}
    adjusted = holm([1.0 if both is None else both.p for both in found.values()])
    decisions = {}
    for (name, both), adjusted_p in zip(found.items(), map(float, adjusted), strict=True):
        formula, state = formulas[name], verdict(both, adjusted_p, level)
        more = more_seeds(formula, level, len(formulas)) if state == "undecided" else None
        decisions[name] = Decision(state, *estimates(formula), *chances(formula, both, adjusted_p), more, look=None)
    return decisions


def decide_sequentially(
    formulas: Mapping[str, Formula],
    level: float = 0.05,
    claims: int | None = None,
    in_order: Mapping[str, int] | None = None,
) -> dict[str, Decision]:
    """Verdicts that stay valid however often one looks while seeds are added; otherwise as `decide`.

    A claim's verdict is that of the first look at which it is decided, and stays. So that it does when other claims
    or seeds come in, claims is the number of all that will ever be watched (these where it is unset), and in_order how
    many of the seeds of each come first without a gap: those behind a gap are not looked at (all are where it is
    unset).
    """
    decisions = {}
    for name, formula in formulas.items():
        seeds, at = in_order[name] if in_order else seeds_of(formula), None
        for at in seen(formula, seeds, claims or len(formulas)):
            if at.adjusted_p <= level:
                break
        judged, both, adjusted_p = (at.formula, at.sides, float(at.adjusted_p)) if at else (formula, None, 1.0)
        state = verdict(both, adjusted_p, level)
        more, look = (None, at.seeds) if at and state != "undecided" else (to_next_look(seeds), None)
        decisions[name] = Decision(state, *estimates(formula), *chances(judged, both, adjusted_p), more, look)
    return decisions


def verdict(both: Sides | None, adjusted_p: float, level: float) -> State:
    """The side of the smaller p, when the adjusted p is within the level."""
    if both is None or adjusted_p > level:
        return "undecided"
    return "supported" if both.supports < both.refutes else "refuted"


def estimates(formula: Formula) -> tuple[Leaning, int, float, float, str, Interval, Interval]:
    """The fields of a decision from `leaning` to `bootstrap`."""
    leaf = deciding(formula)
    return (
        leaning(formula),
        len(leaf.differences),
        leaf.shown(effect(leaf)),
        leaf.bound,
        compared(formula, leaf),
        _shown(leaf, t_interval),
        _shown(leaf, bootstrap_interval),
    )


def _shown(leaf: Leaf, interval: Callable[[Sequence[float]], Interval]) -> Interval:
    """An interval in the units that people read; of a number of all seeds together only where its error is known."""
    if leaf.pool is not None and len(leaf.differences) < LEAST_SEEDS:
        return None
    found = interval(leaf.differences)
    return found and (leaf.shown(found[0]), leaf.shown(found[1]))


def chances(formula: Formula, both: Sides | None, adjusted_p: float) -> tuple[float | None, float | None, float | None]:
    """The three p values of a decision."""
    if both is None:
        return None, None, None
    return float(both.p), adjusted_p, float(permutation_sides(formula).p)
