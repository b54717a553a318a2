"""Power: about how many more seeds would settle a claim."""

import math
from typing import Any

import numpy as np

from ablate.judge.formula import Leaf, excess, rounding

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


def more_seeds(leaf: Leaf, level: float, claims: int) -> int | None:
    """How many more seeds would settle this comparison among so many claims, if its effect and deviation are right.

    The smallest number with a power of 80 % at level / 2 / claims (two sides, Bonferroni). None where it is more than
    1,000, or where the effect is at its bound. With fewer than 2 seeds nothing is known but that 3 are needed.
    """
    seeds = len(leaf.differences)
    if seeds < 2:
        return 3 - seeds
    distance, each = abs(excess(leaf)), level / 2 / claims
    if distance == 0:
        return None
    if max(leaf.differences) - min(leaf.differences) <= rounding(leaf.differences[0], leaf.bound):
        return max(1, math.ceil(-math.log2(each)) - seeds)  # see paired.t_test: p is 1/2^n there
    counts = np.arange(max(seeds + 1, 3), seeds + MOST + 1)
    enough = power(distance / float(np.std(leaf.differences, ddof=1)), counts, each) >= WANTED
    return int(counts[enough.argmax()]) - seeds if enough.any() else None
