"""Combine: from the p of comparisons to that of a claim, and of a claim among others.

That at least k of n comparisons hold is supported with p = (n - k + 1) p_(k), the k-th smallest: a partial conjunction
(Benjamini and Heller 2008, "Screening for Partial Conjunction Hypotheses", by Bonferroni, which holds however they
depend on each other). Every is k = n, the largest p (intersection-union: Berger 1982, "Multiparameter Hypothesis
Testing and Acceptance Sampling"; with two leaves, equivalence by two one-sided tests: Schuirmann 1987); some is k = 1,
the smallest, times how many. What is not measured has p = 1.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ablate.judge.formula import Formula, Leaf, binding, excess, leaning, leaves, negated, seeds_of
from ablate.judge.paired import Floats, sign_flip_test, t_tests


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
    return _sides(formula, t_tests)


def permutation_sides(formula: Formula) -> Sides:
    """Both sides by flips of signs."""
    return _sides(formula, sign_flip_test)


def _sides(formula: Formula, test: Callable[[Sequence[Leaf]], Any]) -> Sides:
    """Both sides by a test of all comparisons at once, of which there may be ten thousands."""
    found = []
    for side in both(formula):
        p = iter(test(list(leaves(side))))  # in the order in which `joined` comes to the leaves
        found.append(joined(side, lambda leaf, p=p: next(p)))  # type: ignore[misc]
    return Sides(*found)


def both(formula: Formula) -> tuple[Formula, Formula]:
    """The claim and its opposite."""
    return formula, negated(formula)


def joined(formula: Formula, p_of: Callable[[Leaf], Any]) -> Any:
    """The p of a formula from those of its leaves."""
    if isinstance(formula, Leaf):
        return p_of(formula)
    found = np.sort([joined(part, p_of) for part in formula.parts], axis=0)
    if formula.needed > len(found):
        return np.ones(found.shape[1:])
    return np.minimum(1.0, formula.to_refute * found[formula.needed - 1])


def deciding(formula: Formula) -> Leaf:
    """The comparison that decides the test of the side to which the means lean.

    Where all must hold it is the one of the largest p, where one suffices the one of the smallest: not always the one
    of the smallest effect, as seeds scatter in some cells more than in others. With one seed the effects decide.
    """
    leans = leaning(formula)
    if seeds_of(formula) < 2 or leans == "neither":
        return binding(formula)
    supports = leans == "supports"
    p = iter(t_tests(list(leaves(formula if supports else negated(formula)))))

    def walk(part: Formula) -> tuple[tuple[float, float], Leaf]:
        if isinstance(part, Leaf):
            return (float(next(p)), -excess(part) if supports else excess(part)), part
        found = sorted((walk(each) for each in part.parts), key=lambda each: each[0])
        return found[min(part.needed if supports else part.to_refute, len(found)) - 1]

    return walk(formula)[1]


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
