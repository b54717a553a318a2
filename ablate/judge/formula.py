"""Formula: a claim as comparisons, joined by "every" and "some"."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

ROUNDING = 1e-9  # differences of decimal numbers are not exact: 0.1 + 0.2 is no more than 0.3


@dataclass(frozen=True)
class Leaf:
    """One comparison: that the mean of differences, one for each seed in ascending order, is above a bound."""

    label: str
    differences: tuple[float, ...]
    bound: float = 0.0


@dataclass(frozen=True)
class Every:
    """All of the parts hold."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Some:
    """At least one of the parts holds."""

    parts: tuple[Formula, ...]


Formula = Leaf | Every | Some


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
    return excess(binding(formula)) > 0


def binding(formula: Formula) -> Leaf:
    """The comparison that decides: the one of the least excess in Every, of the greatest in Some."""
    match formula:
        case Leaf():
            return formula
        case Every(parts):
            return min(map(binding, parts), key=excess)
        case Some(parts):
            return max(map(binding, parts), key=excess)


def first(formula: Formula, seeds: int) -> Formula:
    """The same claim with its first so many seeds."""
    match formula:
        case Leaf():
            return replace(formula, differences=formula.differences[:seeds])
        case Every(parts) | Some(parts):
            return type(formula)(tuple(first(part, seeds) for part in parts))


def negated(formula: Formula) -> Formula:
    """The opposite claim: Every and Some change places, a leaf says that its mean is below the bound."""
    match formula:
        case Leaf(label, differences, bound):
            return Leaf(label, tuple(-difference for difference in differences), -bound)
        case Every(parts):
            return Some(tuple(map(negated, parts)))
        case Some(parts):
            return Every(tuple(map(negated, parts)))


def leaves(formula: Formula) -> Iterator[Leaf]:
    """All comparisons, from left to right."""
    match formula:
        case Leaf():
            yield formula
        case Every(parts) | Some(parts):
            for part in parts:
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
