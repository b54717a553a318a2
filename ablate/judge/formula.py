"""Formula: a claim as comparisons, joined by how many of them have to hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

ROUNDING = 1e-9  # differences of decimal numbers are not exact: 0.1 + 0.2 is no more than 0.3

Leaning = Literal["supports", "refutes", "neither"]


@dataclass(frozen=True)
class Pool:
    """What a comparison is of that all seeds give together, and not each of them alone: see ablate/judge/pooled.py."""

    rows: tuple[Any, ...]
    """The values at each seed [seed, value, ...]."""
    statistic: Callable[[Any, bool], Any]
    """From these one number a seed [seed, ...], the mean of which is the estimate; true where it is to be refuted."""
    shown: Callable[[float], float]
    """The estimate in the units that people read."""
    refuting: bool = False

    @property
    def differences(self) -> tuple[Any, ...]:
        """What the statistic has for each seed, turned round where the comparison is."""
        found = self.statistic(self.rows, self.refuting)
        turned = -found if self.refuting else found
        return tuple(turned.tolist() if turned.ndim == 1 else turned)


@dataclass(frozen=True)
class Leaf:
    """One comparison: that the mean of differences, one for each seed in ascending order, is above a bound."""

    label: str
    differences: tuple[Any, ...]
    bound: float = 0.0
    pool: Pool | None = field(default=None, compare=False)
    """Where the differences come from, if more than one seed is needed for each."""

    def shown(self, value: float) -> float:
        """An effect as people read it."""
        return self.pool.shown(value) if self.pool else value


@dataclass(frozen=True)
class Joint:
    """At least so many of the parts hold, and of others of which nothing is known."""

    parts: tuple[Formula, ...]
    needed: int
    unknown: int = 0

    @property
    def count(self) -> int:
        """How many there are, the unknown among them."""
        return len(self.parts) + self.unknown

    @property
    def to_refute(self) -> int:
        """How many must not hold, so that too few are left."""
        return self.count - self.needed + 1


Formula = Leaf | Joint


def every(parts: Sequence[Formula]) -> Joint:
    """All of the parts hold."""
    return Joint(tuple(parts), len(parts))


def some(parts: Sequence[Formula]) -> Joint:
    """At least one of the parts holds."""
    return Joint(tuple(parts), 1)


def pooled(label: str, pool: Pool, bound: float = 0.0) -> Leaf:
    """A comparison of what all seeds give together."""
    return Leaf(label, pool.differences, bound, pool)


def rounding(effect: float, bound: float) -> float:
    """Up to this distance an effect is at its bound."""
    return ROUNDING * max(1.0, abs(effect), abs(bound))


def effect(leaf: Leaf) -> float:
    """The mean of the leaf's differences."""
    return math.fsum(leaf.differences) / len(leaf.differences)


def excess(leaf: Leaf) -> float:
    """How far the effect lies above the bound; 0 where they differ by rounding only."""
    mean = effect(leaf)
    return 0.0 if abs(mean - leaf.bound) <= rounding(mean, leaf.bound) else mean - leaf.bound


def holds(formula: Formula) -> bool:
    """Whether the claim holds by the means alone, without asking how sure they are."""
    return leaning(formula) == "supports"


def leaning(formula: Formula) -> Leaning:
    """What the means say: neither where one is at its bound, or what is unknown could turn it.

    One seed refutes nothing that is pooled: its noise alone makes cells unlike, and an order unlike another.
    """
    low, high = _range(formula)
    return "supports" if low > 0 else "refutes" if high < 0 else "neither"


def _range(formula: Formula) -> tuple[float, float]:
    """The least and the greatest excess of the comparison that decides, whatever the unknown ones are."""
    if isinstance(formula, Leaf):
        low = excess(formula)
        noise_may_be_all = formula.pool is not None and len(formula.differences) == 1 and low < 0
        return low, math.inf if noise_may_be_all else low
    ranges = [_range(part) for part in formula.parts]
    lows = sorted((low for low, _ in ranges), reverse=True) + [-math.inf] * formula.unknown
    highs = [math.inf] * formula.unknown + sorted((high for _, high in ranges), reverse=True)
    return lows[formula.needed - 1], highs[formula.needed - 1]


def binding(formula: Formula) -> Leaf:
    """The comparison that decides: of so many that have to hold the last, by excess: the least where all have to."""
    if isinstance(formula, Leaf):
        return formula
    ordered = sorted(map(binding, formula.parts), key=excess, reverse=True)
    return ordered[min(formula.needed, len(ordered)) - 1]


def compared(formula: Formula, leaf: Leaf) -> str:
    """The comparison that decides; where some of several have to hold, with how many do."""
    if isinstance(formula, Joint) and 1 < formula.needed < formula.count:
        hold = sum(map(holds, formula.parts))
        return f"{hold} of {formula.count} hold, {formula.needed} have to; {leaf.label}"
    return leaf.label


def first(formula: Formula, seeds: int) -> Formula:
    """The same claim with its first so many seeds."""
    if isinstance(formula, Joint):
        return replace(formula, parts=tuple(first(part, seeds) for part in formula.parts))
    if formula.pool is None:
        return replace(formula, differences=formula.differences[:seeds])
    return pooled(formula.label, replace(formula.pool, rows=formula.pool.rows[:seeds]), formula.bound)


def negated(formula: Formula) -> Formula:
    """The opposite claim: that too many do not hold, and of a leaf that its mean is below the bound."""
    if isinstance(formula, Joint):
        return Joint(tuple(map(negated, formula.parts)), formula.to_refute, formula.unknown)
    if formula.pool is None:
        return Leaf(formula.label, tuple(-difference for difference in formula.differences), -formula.bound)
    return pooled(formula.label, replace(formula.pool, refuting=not formula.pool.refuting), -formula.bound)


def leaves(formula: Formula) -> Iterator[Leaf]:
    """All comparisons, from left to right."""
    if isinstance(formula, Leaf):
        yield formula
        return
    for part in formula.parts:
        yield from leaves(part)


def seeds_of(formula: Formula) -> int:
    """How many seeds the claim was measured with. ValueError where that is not one number, or a value not finite."""
    counts = set()
    for leaf in leaves(formula):
        counts.add(len(leaf.differences))
        if not all(map(math.isfinite, (*leaf.differences, leaf.bound))):
            raise ValueError(f"{leaf.label}: a difference or its bound is not finite; leave such seeds out")
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"the comparisons of a claim need one number of seeds, at least 1; found {sorted(counts)}")
    return counts.pop()
