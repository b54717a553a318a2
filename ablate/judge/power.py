"""Power: about how many more seeds would settle a claim."""

from bisect import bisect_left
from typing import Any

import numpy as np

from ablate.judge.formula import Formula, Leaf, excess, leaning, negated, rounding, seeds_of

WANTED = 0.8
MOST = 1_000


def power(standardized: float, seeds: Any, level: float) -> Any:
    """How often a one-sided t test with so many seeds (a number or an array) finds an effect of so many deviations.

    By the noncentral t distribution (Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences", ch. 2).
    """
    from scipy.special import stdtrit
    from scipy.stats import nct

    count = np.asarray(seeds, dtype=np.float64)
    # Beyond 1,000 the distribution is not computed well, and the power is 1.
    noncentrality = np.minimum(standardized * np.sqrt(count), 1_000.0)
    return nct.sf(stdtrit(count - 1, 1 - level), count - 1, noncentrality)


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

    def enough(count: int) -> bool:
        return joint_power(side, count, level / 2 / claims) >= WANTED

    low = max(seeds + 1, 3)
    counts = range(low, seeds + MOST + 1)
    found = bisect_left(counts, True, key=enough)
    return counts[found] - seeds if found < len(counts) else None


def joint_power(formula: Formula, seeds: int, level: float) -> float:
    """At least how often so many seeds support a claim at a level, with the effects and deviations measured.

    That k of n comparisons hold asks level / (n - k + 1) of k of them; each misses it with some chance, and all k
    together are missed at most as often as these chances sum to (Bonferroni: comparisons of one cell go together, and
    are missed less often than that).
    """
    if isinstance(formula, Leaf):
        return _leaf_power(formula, seeds, level)
    found = [joint_power(part, seeds, level / formula.to_refute) for part in formula.parts]
    if formula.needed > len(found):
        return 0.0
    return max(0.0, 1 - sum(1 - each for each in sorted(found, reverse=True)[: formula.needed]))


def _leaf_power(leaf: Leaf, seeds: int, level: float) -> float:
    distance = excess(leaf)
    if distance <= 0:
        return 0.0
    if max(leaf.differences) - min(leaf.differences) <= rounding(leaf.differences[0], leaf.bound):
        return float(0.5**seeds <= level)  # see paired.t_test: p is 1/2^n there
    return float(power(distance / float(np.std(leaf.differences, ddof=1)), seeds, level))
