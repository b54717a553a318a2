"""Combine: from the p of comparisons to that of a claim, and of a claim among others.

Every: the largest (intersection-union: Berger 1982, "Multiparameter Hypothesis Testing and Acceptance Sampling"; with
two leaves, equivalence by two one-sided tests: Schuirmann 1987). Some: the smallest, times how many (Bonferroni).
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from ablate.judge.formula import Every, Formula, Leaf, Some, leaves, negated
from ablate.judge.paired import Floats, sign_flip_test, t_test


class Sides(NamedTuple):
    """The p of a claim and that of its opposite; arrays where the formula's differences are."""

    supports: Any
    refutes: Any

    @property
    def p(self) -> Any:
        """The claim's p, two-sided: a false verdict of either kind comes at most as often as this says."""
        return np.minimum(1.0, 2 * np.minimum(self.supports, self.refutes))


def sides(formula: Formula) -> Sides:
    """Both sides by the t test of each comparison."""
    return Sides(*(joined(side, lambda leaf: t_test(leaf.differences, leaf.bound)) for side in both(formula)))


def permutation_sides(formula: Formula) -> Sides:
    """Both sides by flips of signs."""
    found = []
    for side in both(formula):
        p = iter(sign_flip_test(list(leaves(side))))  # in the order in which `joined` comes to the leaves
        found.append(joined(side, lambda leaf, p=p: next(p)))  # type: ignore[misc]
    return Sides(*found)


def both(formula: Formula) -> tuple[Formula, Formula]:
    """The claim and its opposite."""
    return formula, negated(formula)


def joined(formula: Formula, p_of: Callable[[Leaf], Any]) -> Any:
    """The p of a formula from those of its leaves."""
    match formula:
        case Leaf():
            return p_of(formula)
        case Every(parts):
            return reduce(np.maximum, [joined(part, p_of) for part in parts])
        case Some(parts):
            return np.minimum(1.0, len(parts) * reduce(np.minimum, [joined(part, p_of) for part in parts]))


def holm(p: Sequence[Any]) -> Floats:
    """P values of claims [claim, ...], adjusted so that any false verdict among them comes at most at the level.

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure": the smallest times their number, the next
    times one less, never below the one before.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, axis=0)
    factors = np.arange(len(values), 0, -1).reshape(-1, *[1] * (values.ndim - 1))
    raised = np.maximum.accumulate(np.take_along_axis(values, order, axis=0) * factors, axis=0)
    adjusted = np.empty_like(values)
    np.put_along_axis(adjusted, order, np.minimum(1.0, raised), axis=0)
    return adjusted
