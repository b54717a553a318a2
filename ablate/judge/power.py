"""Power: about how many more seeds would settle a claim."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ablate.judge.formula import Formula, Leaf, excess, leaning, negated, rounding, seeds_of
from ablate.judge.paired import Floats

WANTED = 0.8
MOST = 1_000


def power(standardized: Any, seeds: Any, level: float) -> Any:
    """How often a one-sided t test with so many seeds finds an effect of so many deviations; either may be an array.

    By the noncentral t distribution (Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences", ch. 2).
    """
    from scipy.special import nctdtr, stdtrit

    count = np.asarray(seeds, dtype=np.float64)
    # Beyond 1,000 the distribution is not computed well, and the power is 1.
    noncentrality = np.minimum(standardized * np.sqrt(count), 1_000.0)
    missed = nctdtr(count - 1, noncentrality, stdtrit(count - 1, 1 - level))
    return 1 - np.nan_to_num(missed, nan=0.0)  # where it is below the smallest number, scipy makes it nan


def more_seeds(formula: Formula, level: float, claims: int) -> int | None:
    """How many more seeds would settle this claim among so many, if its effects and deviations are right.

    The smallest number with a power of 80 % at level / 2 / claims (two sides, Bonferroni) for the side to which the
    means lean. None where it is more than 1,000, or where they lean to neither. With fewer than 2 seeds nothing is
    known but that 3 are needed.
    """
    seeds, leans = seeds_of(formula), leaning(formula)
    if seeds < 2:
        return 3 - seeds
    if leans == "neither":
        return None
    side = formula if leans == "supports" else negated(formula)
    power_with = joint_power(side, level / 2 / claims)

    def enough(count: int) -> bool:
        return power_with(count) >= WANTED

    low = max(seeds + 1, 3)
    counts = range(low, seeds + MOST + 1)
    found = bisect_left(counts, True, key=enough)
    return counts[found] - seeds if found < len(counts) else None


def joint_power(formula: Formula, level: float) -> Callable[[int], float]:
    """Of a number of seeds: at least how often they support a claim, with the effects and deviations measured.

    That k of n comparisons hold asks level / (n - k + 1) of k of them; each misses it with some chance, and all k
    together are missed at most as often as these chances sum to (Bonferroni: comparisons of one cell go together, and
    are missed less often than that).
    """
    if isinstance(formula, Leaf):
        one = _leaf_powers([formula], level)
        return lambda seeds: float(one(seeds)[0])
    share = level / formula.to_refute
    leaves = _leaf_powers([part for part in formula.parts if isinstance(part, Leaf)], share)
    others = [joint_power(part, share) for part in formula.parts if not isinstance(part, Leaf)]
    needed = formula.needed
    if needed > len(formula.parts):
        return lambda seeds: 0.0

    def power_with(seeds: int) -> float:
        found = [*(other(seeds) for other in others), *map(float, leaves(seeds))]
        return max(0.0, 1 - sum(1 - each for each in sorted(found, reverse=True)[:needed]))

    return power_with


def _leaf_powers(leaves: Sequence[Leaf], level: float) -> Callable[[int], Floats]:
    """Of comparisons that have the same number of seeds, all at once: a claim may have thousands."""
    if not leaves:
        return lambda seeds: np.zeros(0)
    values = np.array([leaf.differences for leaf in leaves])  # [leaf, seed]
    distances = np.array([excess(leaf) for leaf in leaves])
    negligible = np.array([rounding(leaf.differences[0], leaf.bound) for leaf in leaves])
    alike = np.ptp(values, axis=1) <= negligible
    deviations = np.where(alike, 1.0, values.std(axis=1, ddof=1))
    spread = ~alike & (distances > 0)
    standardized = distances[spread] / deviations[spread]

    def powers(seeds: int) -> Floats:
        found = np.where(alike, float(0.5**seeds <= level), 0.0)  # see paired.t_test: p is 1/2^n there
        found[spread] = power(standardized, seeds, level)
        return np.where(distances > 0, found, 0.0)

    return powers
