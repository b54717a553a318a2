"""Formulas: a claim as comparisons and the number of them that must hold."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

ROUNDING = 1e-9  # differences of decimal numbers are inexact: 0.1 + 0.2 must not exceed 0.3

Leaning = Literal["supports", "refutes", "neither"]


@dataclass(frozen=True)
class Pooled:
    """A statistic of all seeds together, for comparisons without a value per seed: see pooled.py."""

    rows: tuple[Any, ...]
    """The values at each seed [seed, value, ...]."""
    statistic: Callable[[Any], Any]
    """Maps the rows to one number per seed [seed, ...], whose mean is the estimate."""
    shown: Callable[[float], float]
    """Converts the estimate to displayed units."""
    limits: Callable[[Any, float], tuple[float, float]] | None = None
    """Maps the rows of one study and a level to the least and the greatest value of the statistic that the data allow;
    the probability that the true value lies outside is at most the level. None: the t test of the differences."""
    sign: int = 1
    """-1 for the opposite claim."""

    @property
    def differences(self) -> tuple[Any, ...]:
        """The statistic's number for each seed, negated for the opposite claim."""
        found = self.sign * self.statistic(self.rows)
        return tuple(found.tolist() if found.ndim == 1 else found)


@dataclass(frozen=True)
class Seeds:
    """The seeds of a comparison among those requested for its cells."""

    numbers: tuple[int, ...]
    """Those with a result in all of its cells: one for each difference."""
    places: tuple[int, ...]
    """Their positions among the seeds of the study, in ascending order."""
    settled: int
    """How many of the study's first seeds have ended, with a result or without, in all of its cells."""
    left_out: tuple[int, ...] = ()
    """Requested for all of its cells, but without a result in some."""
    waiting: int | None = None
    """The first seed that has not ended although a later one has a value."""


@dataclass(frozen=True)
class Leaf:
    """One comparison: the mean of the differences, one per seed in ascending order, is above a bound."""

    label: str
    differences: tuple[Any, ...]
    bound: float = 0.0
    pool: Pooled | None = field(default=None, compare=False)
    """The source of the differences if each needs more than one seed."""
    seeds: Seeds | None = field(default=None, compare=False)
    """None: all seeds, without a gap."""
    turned: bool = False
    """Whether it is shown with the opposite sign: as one side of an equivalence."""
    within: bool = False
    """Whether it is one side of an equivalence: |difference| < -bound."""
    single_runs: float = 0.0
    """How many single runs of the paper it compares with, each with the noise of one seed."""
    wanted: frozenset[tuple[int, str]] = field(default=frozenset(), compare=False)
    """The numbers of its cells, with the metrics."""
    unit: float = field(default=1.0, compare=False)
    """What rounding is relative to, see `unit_of`."""

    @property
    def at(self) -> Seeds:
        """Its seeds."""
        count = len(self.differences)
        return self.seeds or Seeds(tuple(range(count)), tuple(range(count)), count)

    @property
    def cells(self) -> frozenset[int]:
        """The numbers of its cells."""
        return frozenset(number for number, _ in self.wanted)

    def shown(self, value: float) -> float:
        """An effect in displayed units."""
        return self.pool.shown(value) if self.pool else 0.0 - value if self.turned else value


@dataclass(frozen=True)
class Joint:
    """At least `needed` of the parts hold; `unknown` more parts have no result."""

    parts: tuple[Formula, ...]
    needed: int
    unknown: int = 0
    contrast: Leaf | None = None
    """A comparison that follows if all parts hold: its failure refutes them together."""

    @property
    def count(self) -> int:
        """The number of parts, including unknown ones."""
        return len(self.parts) + self.unknown

    @property
    def to_refute(self) -> int:
        """The number of parts that must fail for the whole to fail."""
        return self.count - self.needed + 1


Formula = Leaf | Joint


def pooled(label: str, pool: Pooled, bound: float = 0.0, unit: float = 1.0) -> Leaf:
    """A comparison of a pooled statistic: of squares, or of a correlation, which has no unit."""
    return Leaf(label, pool.differences, bound, pool, unit=1.0 if pool.limits else unit**2 or 1.0)


def unit_of(rows: Iterable[Iterable[float]]) -> float:
    """The size of the largest of some measured values, at most 1: of errors of 1e-10, 1e-12 is not rounding."""
    size = max((abs(value) for row in rows for value in row), default=0.0)
    return min(1.0, max(size, sys.float_info.min)) if size else 1.0


def rounding(effect: float, leaf: Leaf) -> float:
    """The distance up to which an effect counts as equal to the bound of its comparison."""
    return ROUNDING * max(leaf.unit, abs(effect), abs(leaf.bound))


def effect(leaf: Leaf) -> float:
    """The mean of the leaf's differences."""
    return math.fsum(leaf.differences) / len(leaf.differences)


def excess(leaf: Leaf) -> float:
    """How far the effect is above the bound; 0 if they differ only by rounding."""
    if not leaf.differences:
        return 0.0
    mean = effect(leaf)
    return 0.0 if abs(mean - leaf.bound) <= rounding(mean, leaf) else mean - leaf.bound


def holds(formula: Formula) -> bool:
    """Whether the claim holds by the means alone, regardless of their uncertainty."""
    return leaning(formula) == "supports"


def leaning(formula: Formula) -> Leaning:
    """The side that the means favour: "neither" if one is at its bound or unknown parts could reverse it.

    One seed cannot refute a pooled statistic: its noise alone makes cells differ and orders disagree.
    """
    low, high = _range(formula)
    return "supports" if low > 0 else "refutes" if high < 0 else "neither"


def _range(formula: Formula) -> tuple[float, float]:
    """The smallest and largest possible excess of the deciding comparison, over all values of unknown parts."""
    if isinstance(formula, Leaf):
        low = excess(formula)
        noise_may_be_all = formula.pool is not None and len(formula.differences) == 1 and low < 0
        return low, math.inf if noise_may_be_all else low
    ranges = [_range(part) for part in formula.parts]
    lows = sorted((low for low, _ in ranges), reverse=True) + [-math.inf] * formula.unknown
    highs = [math.inf] * formula.unknown + sorted((high for _, high in ranges), reverse=True)
    return lows[formula.needed - 1], highs[formula.needed - 1]


def binding(formula: Formula) -> Leaf:
    """The deciding comparison by excess: the `needed`-th largest, which is the smallest if all must hold."""
    if isinstance(formula, Leaf):
        return formula
    ordered = sorted(map(binding, formula.parts), key=excess, reverse=True)
    return ordered[min(formula.needed, len(ordered)) - 1]


def compared(formula: Formula, leaf: Leaf) -> str:
    """The label of the deciding comparison; if only some must hold, with the number that do."""
    if isinstance(formula, Joint) and 1 < formula.needed < formula.count:
        hold = sum(map(holds, formula.parts))
        return f"{hold} of {formula.count} hold ({formula.needed} needed); {leaf.label}"
    return leaf.label


def first(formula: Formula, seeds: int) -> Formula:
    """The same claim restricted to the study's first seeds. Comparisons that have none of them keep no difference."""
    if isinstance(formula, Joint):
        contrast = formula.contrast and _first_of(formula.contrast, seeds)
        return replace(formula, parts=tuple(first(part, seeds) for part in formula.parts), contrast=contrast)
    return _first_of(formula, seeds)


def _first_of(leaf: Leaf, seeds: int) -> Leaf:
    at = leaf.at
    count = sum(place < seeds for place in at.places)
    if at.settled <= seeds and count == len(at.places):
        return leaf
    kept = Seeds(at.numbers[:count], at.places[:count], min(seeds, at.settled), at.left_out)
    if leaf.pool is None or not count:
        return replace(leaf, differences=leaf.differences[:count], pool=None, seeds=kept)
    pool = replace(leaf.pool, rows=leaf.pool.rows[:count])
    return replace(leaf, differences=pool.differences, pool=pool, seeds=kept)


def negated(formula: Formula) -> Formula:
    """The opposite claim: too many parts fail; for a leaf, the mean is below the bound."""
    if isinstance(formula, Joint):
        contrast = formula.contrast and negated_leaf(formula.contrast)
        return Joint(tuple(map(negated, formula.parts)), formula.to_refute, formula.unknown, contrast)
    return negated_leaf(formula)


def negated_leaf(leaf: Leaf) -> Leaf:
    """The opposite of a comparison: the mean is below the bound."""
    if leaf.pool is None:
        return replace(leaf, differences=tuple(-difference for difference in leaf.differences), bound=-leaf.bound)
    pool = replace(leaf.pool, sign=-leaf.pool.sign)
    return replace(leaf, differences=pool.differences, pool=pool, bound=-leaf.bound)


def leaves(formula: Formula) -> Iterator[Leaf]:
    """All comparisons, from left to right, without contrasts."""
    if isinstance(formula, Leaf):
        yield formula
        return
    for part in formula.parts:
        yield from leaves(part)


def seeds_of(formula: Formula) -> int:
    """The number of seeds of the comparison with the most."""
    return max(len(leaf.differences) for leaf in leaves(formula))


def check_finite(formulas: Iterable[Formula]) -> None:
    """Raise ValueError if a difference or a bound is not finite."""
    for leaf in (leaf for formula in formulas for leaf in leaves(formula)):
        if not all(map(math.isfinite, (*leaf.differences, leaf.bound))):
            raise ValueError(f"{leaf.label}: a difference or its bound is not finite; leave such seeds out")
