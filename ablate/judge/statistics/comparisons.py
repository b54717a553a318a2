"""All comparisons of a claim with their own numbers, for tables and forest plots."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ablate.judge.statistics.combine import levels
from ablate.judge.statistics.formula import Formula, Leaf, effect, negated_leaf
from ablate.judge.statistics.paired import LEAST_SEEDS, t_limits, t_tests
from ablate.judge.statistics.sequential import last_look, nominal_level

LEVEL = 0.05

Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Compared:
    """One comparison of a claim, in displayed units."""

    label: str
    bound: float
    seeds: tuple[int, ...]
    """Those used."""
    left_out: tuple[int, ...]
    """Requested, but without a result in some of its cells."""
    values: tuple[float, ...]
    """One difference per seed."""
    effect: float
    """Their mean."""
    sd: float | None
    """Their standard deviation; None below 2 seeds, and for statistics of all seeds together."""
    supports: float | None
    """One-sided p that the effect is above the bound, of all its seeds in a single look; None below 3 seeds."""
    refutes: float | None
    """The same p that it is below."""
    interval: Interval
    """One-sided 95 % limits, simultaneous over the claim's comparisons; None below 2 seeds."""
    decides: bool
    """Whether it is the one that decides the claim."""
    unit: float
    """What rounding is relative to."""
    within: bool = False
    """Whether the absolute difference is compared with the bound, as of an equivalence."""
    metrics: frozenset[str] = frozenset()
    """Those that it compares."""


def compared_in(formula: Formula, decides: Leaf, most: int | None) -> Iterator[Compared]:
    """All comparisons with their own numbers; contrasts only if they decide. An equivalence is one, not two."""
    kept = [each for each in levels(formula, LEVEL, LEVEL) if each[1] > 0 or each[0] is decides]
    own = [leaf for leaf, _, _ in kept]
    supports, refutes = t_tests(own), t_tests(list(map(negated_leaf, own)))
    other: Compared | None = None
    for (leaf, *sides_levels), p_for, p_against in zip(kept, supports, refutes, strict=True):
        tested = len(leaf.differences) >= LEAST_SEEDS
        found = Compared(
            leaf.label,
            leaf.bound,
            leaf.at.numbers,
            leaf.at.left_out,
            tuple(map(leaf.shown, leaf.differences)) if leaf.pool is None else (),
            leaf.shown(effect(leaf)),
            float(np.std(leaf.differences, ddof=1)) if leaf.pool is None and len(leaf.differences) > 1 else None,
            float(p_for) if tested else None,
            float(p_against) if tested else None,
            _limits(leaf, sides_levels, most),
            leaf is decides,
            leaf.unit,
            leaf.within,
            frozenset(metric for _, metric in leaf.wanted),
        )
        if leaf.within and not leaf.turned:
            other = found
        else:
            yield found if other is None else _both_sides(other, found)
            other = None


def _both_sides(above: Compared, below: Compared) -> Compared:
    """An equivalence, from the tests that the difference is not too low and not too high."""
    known = above.supports is not None and below.supports is not None
    return replace(
        above,
        supports=max(above.supports or 0.0, below.supports or 0.0) if known else None,
        refutes=min(above.refutes or 0.0, below.refutes or 0.0) if known else None,
        interval=above.interval and below.interval and (above.interval[0], below.interval[1]),
        decides=above.decides or below.decides,
    )


def _limits(leaf: Leaf, of_sides: Sequence[float], most: int | None) -> Interval:
    """Simultaneous limits in displayed units; in a sequential test they hold over all looks."""
    below, above = (level or LEVEL for level in of_sides)
    if most is not None:
        if (look := last_look(leaf, most)) is None:
            return None
        below, above = (nominal_level(level, look, most) for level in (below, above))
    found = t_limits(leaf, below, above)
    if found is None:
        return None
    low, high = sorted(map(leaf.shown, found))
    return low, high
