"""From comparisons to a claim, and to all claims of a study: combined p values, and the power of more seeds.

"At least k of n comparisons hold" has p = (n - k + 1) p_(k), with p_(k) the k-th smallest p: a partial conjunction
(Benjamini and Heller 2008, "Screening for Partial Conjunction Hypotheses"; with Bonferroni, valid under any
dependence). `every` is k = n, the largest p (intersection-union: Berger 1982, "Multiparameter Hypothesis Testing and
Acceptance Sampling"; with two leaves, equivalence by two one-sided tests: Schuirmann 1987). `some` is k = 1, the
smallest p times n. Comparisons without results have p = 1. To refute that all hold, the smallest p shares the level
with a contrast, the mean of the comparisons, which many small failures move together.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ablate.judge.statistics.formula import (
    Formula,
    Joint,
    Leaf,
    binding,
    excess,
    leaning,
    leaves,
    negated,
    negated_leaf,
    rounding,
    seeds_of,
)
from ablate.judge.statistics.paired import LEAST_SEEDS, Floats, sign_flip_tests, t_tests

WANTED = 0.8
MOST = 100
"""The largest estimate of further seeds that is shown: a larger one would suggest an effect where there may be none."""
CONTRAST_SHARE = 2
"""The factor on the p of a contrast and of the comparisons that it stands beside (Bonferroni)."""

Test = Callable[[Sequence[Leaf]], Sequence[Any]]
"""One-sided p of each of some comparisons."""


class Sides(NamedTuple):
    """The one-sided p values of a claim and of its opposite; arrays if the formula's differences are arrays."""

    supports: Any
    refutes: Any

    @property
    def p(self) -> Any:
        """The p of the side that it favours.

        A claim is either true or false, so only one of its verdicts can be false, and each side may use the whole level
        (Jones and Tukey 2000, "A sensible formulation of the significance test").
        """
        return np.minimum(self.supports, self.refutes)


def sides(formula: Formula) -> Sides:
    """Both sides, with a t test per comparison."""
    return tested(formula, t_tests)


def permutation_sides(formula: Formula) -> Sides:
    """Both sides, with a sign-flip test per comparison."""
    return tested(formula, sign_flip_tests)


def tested(formula: Formula, test: Test) -> Sides:
    """Both sides; all comparisons, possibly tens of thousands, are tested in one call."""
    supports = test(list(compared_for(formula)))
    refutes = test(list(map(negated_leaf, compared_for(formula, refuting=True))))
    return Sides(joined(formula, iter(supports)), joined(formula, iter(refutes), refuting=True))


def compared_for(formula: Formula, refuting: bool = False) -> Iterator[Leaf]:
    """The comparisons that the p of one side needs, with contrasts, in the order in which `joined` takes their p."""
    if isinstance(formula, Leaf):
        yield formula
        return
    for part in formula.parts:
        yield from compared_for(part, refuting)
    if formula.contrast is not None and _counts(formula, refuting)[0] == 1:
        yield formula.contrast


def _counts(formula: Joint, refuting: bool) -> tuple[int, int]:
    """How many parts must hold on this side, or fail when refuting; and how many on the other side."""
    return (formula.to_refute, formula.needed) if refuting else (formula.needed, formula.to_refute)


def joined(formula: Formula, p: Iterator[Any], refuting: bool = False) -> Any:
    """The p value of one side of a formula, from the p values of its comparisons in the order of `compared_for`."""
    if isinstance(formula, Leaf):
        return next(p)
    return combined(formula, [joined(part, p, refuting) for part in formula.parts], p, refuting)


def combined(formula: Joint, of_parts: Sequence[Any], p: Iterator[Any], refuting: bool = False) -> Any:
    """The p value of one side of a formula from those of its parts; p: yields that of its contrast next."""
    needed, others = _counts(formula, refuting)
    found = np.sort(of_parts, axis=0)
    contrast = next(p) if formula.contrast is not None and needed == 1 else None
    if needed > len(found):
        return np.ones(found.shape[1:])
    joint = others * found[needed - 1]
    return np.minimum(1.0, joint if contrast is None else CONTRAST_SHARE * np.minimum(joint, contrast))


def deciding(formula: Formula) -> Leaf:
    """The comparison that decides the test of the side that the means favour.

    If all must hold, it is the one with the largest p; if one suffices, the one with the smallest. It need not have
    the smallest effect, because some cells vary more between seeds than others. With one seed, the effects decide.
    """
    leans = leaning(formula)
    refuting = leans == "refutes"
    tests = list(compared_for(formula, refuting))
    if leans == "neither" or all(len(leaf.differences) < LEAST_SEEDS for leaf in tests):
        return binding(formula)
    p = iter(t_tests(list(map(negated_leaf, tests)) if refuting else tests))

    def walk(part: Formula) -> tuple[tuple[float, float], Leaf]:
        if isinstance(part, Leaf):
            return (float(next(p)), excess(part) if refuting else -excess(part)), part
        needed, others = _counts(part, refuting)
        ordered = sorted((walk(each) for each in part.parts), key=lambda each: each[0])
        chosen = ordered[min(needed, len(ordered)) - 1]
        # With a p above 0.5, the contrast points away from this side.
        if part.contrast is not None and needed == 1 and (alone := float(next(p))) < min(0.5, others * chosen[0][0]):
            return (alone, excess(part.contrast)), part.contrast
        return chosen

    return walk(formula)[1]


def levels(formula: Formula, supports: float, refutes: float) -> Iterator[tuple[Leaf, float, float]]:
    """Each comparison with the levels that it must reach to count for the claim and against it.

    supports, refutes: the levels of the whole formula. One-sided limits at these levels are simultaneous: at a single
    look, a limit excludes the bound where the comparison counts for the verdict.
    """
    if isinstance(formula, Leaf):
        yield formula, supports, refutes
        return
    if formula.contrast is not None and formula.needed > 1:
        refutes /= CONTRAST_SHARE
        yield formula.contrast, 0.0, refutes
    for part in formula.parts:
        yield from levels(part, supports / formula.to_refute, refutes / formula.needed)


def holm(p: Sequence[Any]) -> Floats:
    """P values of claims [claim, ...], adjusted so that the probability of any false verdict is at most the level.

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure": the smallest p is multiplied by the number of
    claims, the next by one less and so on, and no adjusted p is below the one before.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, axis=0)
    factors = np.arange(len(values), 0, -1).reshape(-1, *[1] * (values.ndim - 1))
    raised = np.maximum.accumulate(np.take_along_axis(values, order, axis=0) * factors, axis=0)
    adjusted = np.empty_like(values)
    np.put_along_axis(adjusted, order, np.minimum(1.0, raised), axis=0)
    return adjusted


def power(standardized: Any, seeds: Any, level: float) -> Any:
    """The power of a one-sided t test for a standardized effect and a number of seeds; either may be an array.

    By the noncentral t distribution (Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences", ch. 2).
    """
    from scipy.special import nctdtr, stdtrit

    count = np.asarray(seeds, dtype=np.float64)
    # Beyond 1,000 the distribution is inaccurate and the power is 1.
    noncentrality = np.minimum(standardized * np.sqrt(count), 1_000.0)
    missed = nctdtr(count - 1, noncentrality, stdtrit(count - 1, 1 - level))
    return 1 - np.nan_to_num(missed, nan=0.0)  # scipy returns nan if it is below the smallest float


def more_seeds(formula: Formula, level: float, claims: int) -> tuple[int, int | None] | None:
    """How many more seeds would settle this claim if the effects are as measured: a range.

    Each end is the smallest number with a power of 80 % at level / claims (Bonferroni) for the side that the means
    favour, with standard deviations at the ends of their 80 % intervals (chi-squared): three seeds say little about
    noise (Hoenig and Heisey 2001, "The abuse of power"). An end is None beyond `MOST`. The range is None if both are,
    if the means favour neither side, or for a comparison by limits (a rank correlation). With fewer than 3 seeds, all
    that is known is that 3 are needed.
    """
    from scipy.special import chdtri

    seeds, leans = seeds_of(formula), leaning(formula)
    if seeds < 2 or (seeds < LEAST_SEEDS and leans != "neither"):
        return LEAST_SEEDS - seeds, LEAST_SEEDS - seeds
    if leans == "neither" or any(leaf.pool is not None and leaf.pool.limits is not None for leaf in leaves(formula)):
        return None
    if (fewest := min(len(leaf.differences) for leaf in leaves(formula))) < LEAST_SEEDS:
        return LEAST_SEEDS - fewest, None
    side = formula if leans == "supports" else negated(formula)
    ends = []
    for tail in (0.1, 0.9):  # the standard deviation may be smaller, or larger
        scale = float(np.sqrt((seeds - 1) / chdtri(seeds - 1, tail)))
        power_with = joint_power(side, level / claims, scale)
        counts = range(1, MOST + 1)
        found = bisect_left(counts, True, key=lambda count: power_with(count) >= WANTED)
        ends.append(counts[found] if found < len(counts) else None)
    return (ends[0], ends[1]) if ends[0] is not None else None


def joint_power(formula: Formula, level: float, scale: float = 1.0) -> Callable[[int], float]:
    """A function from a number of further seeds to a lower bound on the power of a claim, with today's effects.

    For k of n comparisons to hold, k of them must reach level / (n - k + 1). Each fails to with some probability, and
    the probability that any of the k fails is at most the sum (Bonferroni; comparisons that share a cell are
    correlated, so it is lower). scale: of today's standard deviations.
    """
    if isinstance(formula, Leaf):
        one = _leaf_powers([formula], level, scale)
        return lambda seeds: float(one(seeds)[0])
    share = level / formula.to_refute
    alone = _leaf_powers([part for part in formula.parts if isinstance(part, Leaf)], share, scale)
    others = [joint_power(part, share, scale) for part in formula.parts if not isinstance(part, Leaf)]
    needed = formula.needed
    if needed > len(formula.parts):
        return lambda seeds: 0.0

    def power_with(seeds: int) -> float:
        found = [*(other(seeds) for other in others), *map(float, alone(seeds))]
        return max(0.0, 1 - sum(1 - each for each in sorted(found, reverse=True)[:needed]))

    return power_with


def _leaf_powers(leaves: Sequence[Leaf], level: float, scale: float) -> Callable[[int], Floats]:
    """Power of comparisons with more seeds than now, computed together, because a claim may have thousands."""
    usable = [leaf for leaf in leaves if len(leaf.differences) >= 2]
    counts = np.array([len(leaf.differences) for leaf in usable])
    distances = np.array([excess(leaf) for leaf in usable])
    alike = np.array([np.ptp(leaf.differences) <= rounding(leaf.differences[0], leaf) for leaf in usable], bool)
    deviations = np.where(alike, 1.0, [scale * np.std(leaf.differences, ddof=1) for leaf in usable])
    spread = ~alike & (distances > 0)

    def powers(seeds: int) -> Floats:
        if not usable:
            return np.zeros(len(leaves))
        found = np.where(alike, 0.5 ** (counts + seeds) <= level, 0.0).astype(float)  # here p is 1/2^n: see `t_test`
        found[spread] = power(distances[spread] / deviations[spread], counts[spread] + seeds, level)
        return np.concatenate([np.where(distances > 0, found, 0.0), np.zeros(len(leaves) - len(usable))])

    return powers
