"""Repeated looks at growing numbers of seeds: when, and at which level each look tests.

Adding seeds until a claim is decided means many looks, and a p value that is valid for one look is not valid for all
(Armitage, McPherson and Rowe 1969). Here the looks share the level by a spending function (Lan and DeMets 1983,
"Discrete sequential boundaries for clinical trials") of Pocock's kind: after the fraction t of the seeds,
ln(1 + (e - 1) t) of the level is spent. Each comparison is tested by itself. Its *sequential p* is the smallest level
at which any look so far would have decided it; it can only fall, and is valid whenever one stops. Sequential p values
are combined like others: over the comparisons of a claim, and over claims by Holm's method (Ye, Li, Liu and Yao 2013,
"A group sequential Holm procedure with multiple primary endpoints").

The levels come from the joint distribution of normal test statistics, whose differences between looks are independent.
With few seeds, t statistics at two looks are less alike than that, and all looks together would exceed the level by up
to 13 %: hence `_OF_T`, checked by simulation in tests/judge/statistics/test_sequential.py.

The method is valid as long as seeds are used in a fixed order and none is skipped because of its result: in ascending
order, and a missing seed holds back later ones. No state is needed: an earlier look is recomputed from the first
seeds, and seeds between looks change no verdict.
"""

import itertools
import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from ablate.judge.statistics.combine import CONTRAST_SHARE, Sides, combined, compared_for, joined
from ablate.judge.statistics.formula import Formula, Leaf, first, negated_leaf
from ablate.judge.statistics.paired import Floats, t_tests

MOST_SEEDS = 30
"""The last look, unless another limit was set before the first."""
_OF_T = 1.13
_SMALLEST, _LARGEST, _STEPS = 1e-9, 0.5, 60


def looks(most: int = MOST_SEEDS) -> tuple[int, ...]:
    """The numbers of seeds at which is tested: 3, 5, 8, 12, 17, 23, 30, ... below `most`, and `most`.

    Looks become rarer, so that each look's new seeds make up for its cost.
    """
    regular = (3 + number * (number + 3) // 2 for number in itertools.count())
    return (*itertools.takewhile(lambda count: count < most, regular), most)


def spent(fraction: Any) -> Any:
    """The fraction of the level that is spent after a fraction of the seeds."""
    return np.log1p((math.e - 1) * np.asarray(fraction))


@cache
def _table(most: int) -> tuple[Floats, Floats]:
    """Logarithms of levels [level], and of the p that each look needs at these levels [level, look].

    The density of the normal statistic of runs that no earlier look decided is carried from look to look on the nodes
    of a Gauss-Legendre rule (Armitage, McPherson and Rowe 1969; Jennison and Turnbull 2000, chapter 19).
    """
    from scipy.special import ndtr, ndtri

    fractions = np.array(looks(most)) / most
    total = np.geomspace(_SMALLEST, _LARGEST, _STEPS)
    shares = np.diff(spent(fractions), prepend=0.0)[None, :] * total[:, None] / (_OF_T if len(fractions) > 1 else 1.0)
    nodes, weights = np.polynomial.legendre.leggauss(96)
    bound = -ndtri(shares[:, :1])  # [level, 1]
    found = [shares[:, 0]]
    at, width = _between(nodes, weights, bound)  # [level, node]
    mass = np.exp(-(at**2) / 2) / math.sqrt(2 * math.pi) * width
    for look in range(1, len(fractions)):
        kept = math.sqrt(fractions[look - 1] / fractions[look])
        new = math.sqrt(1 - kept**2)
        low, high = np.full((len(total), 1), -3.0), np.full((len(total), 1), 9.0)
        for _ in range(50):
            bound = (low + high) / 2
            decided = (mass * ndtr((kept * at - bound) / new)).sum(axis=1, keepdims=True)
            too_many = decided > shares[:, look, None]
            low, high = np.where(too_many, bound, low), np.where(too_many, high, bound)
        found.append(ndtr(-bound[:, 0]))
        after, width = _between(nodes, weights, bound)
        apart = (after[:, :, None] - kept * at[:, None, :]) / new
        kernel = np.exp(-(apart**2) / 2) / (new * math.sqrt(2 * math.pi))
        at, mass = after, (kernel * mass[:, None, :]).sum(axis=2) * width
    return np.log(total), np.log(np.stack(found, axis=1))


def _between(nodes: Floats, weights: Floats, bound: Floats) -> tuple[Floats, Floats]:
    """The nodes and weights of a rule on [-9, bound] for each level."""
    half = (bound + 9.0) / 2
    return half * (nodes + 1) - 9.0, half * weights


def nominal_level(level: float, look: int, most: int) -> float:
    """The p that a comparison needs at a look (0 is the first) to be decided at a level over all looks."""
    totals, needed = _table(most)
    return float(np.exp(np.interp(np.log(max(level, _SMALLEST)), totals, needed[:, look])))


def overall_p(p: Any, look: int, most: int) -> Any:
    """The smallest level over all looks at which a p of this look decides; 1 beyond 0.5."""
    totals, needed = _table(most)
    logs = np.log(np.maximum(np.asarray(p, dtype=np.float64), 1e-300))
    found = np.exp(np.interp(logs, needed[:, look], totals))
    return np.where(logs > needed[-1, look], 1.0, found)


def sequential_sides(formula: Formula, most: int = MOST_SEEDS) -> list[Sides]:
    """The sequential p of both sides after each look; a look waits for the comparison's missing seeds."""
    return [
        Sides(joined(formula, iter(supports)), joined(formula, iter(refutes), refuting=True))
        for supports, refutes in _at_looks(formula, most)
    ]


def _at_looks(formula: Formula, most: int) -> Iterator[tuple[list[Any], list[Any]]]:
    """After each look, the sequential p of the comparisons, for and against the claim."""
    supports: list[Any] = [1.0] * len(list(compared_for(formula)))
    refutes: list[Any] = [1.0] * len(list(compared_for(formula, refuting=True)))
    for number, count in enumerate(looks(most)):
        seen = first(formula, count)
        for refuting, smallest in ((False, supports), (True, refutes)):
            ready = [(at, leaf) for at, leaf in enumerate(compared_for(seen, refuting)) if leaf.at.settled >= count]
            tests = t_tests([negated_leaf(leaf) if refuting else leaf for _, leaf in ready])
            for (at, _), p in zip(ready, tests, strict=True):
                smallest[at] = np.minimum(smallest[at], overall_p(p, number, most))
        yield list(supports), list(refutes)


def last_look(leaf: Leaf, most: int) -> int | None:
    """The position of the last look for which a comparison has its seeds; None before the first."""
    done = [number for number, count in enumerate(looks(most)) if count <= leaf.at.settled]
    return done[-1] if done else None


def open_leaves(formula: Formula, level: float, most: int = MOST_SEEDS) -> list[Leaf]:
    """The comparisons that need more seeds for a claim to be decided at a level; none if it is decided.

    A comparison that counts for the claim or against it needs no more seeds, and nor do those of a part that is
    decided as a whole. This is a race: cells whose comparisons are all decided leave it (compare Kim and Nelson 2001,
    "A fully sequential procedure for indifference-zone selection in simulation").
    """
    *_, (supports, refutes) = _at_looks(formula, most)
    return _open(formula, level, level, iter(supports), iter(refutes))[2]


def _open(
    formula: Formula, supports: float, refutes: float, p_for: Iterator[Any], p_against: Iterator[Any]
) -> tuple[Any, Any, list[Leaf]]:
    """The p of both sides, and the comparisons that stay open at these levels."""
    if isinstance(formula, Leaf):
        both, remaining = (next(p_for), next(p_against)), [formula]
    else:
        against = refutes / (CONTRAST_SHARE if formula.contrast is not None and formula.needed > 1 else 1)
        shares = supports / formula.to_refute, against / formula.needed
        parts = [_open(part, *shares, p_for, p_against) for part in formula.parts]
        both = (
            combined(formula, [part[0] for part in parts], p_for),
            combined(formula, [part[1] for part in parts], p_against, refuting=True),
        )
        remaining = [leaf for part in parts for leaf in part[2]]
    return *both, [] if both[0] <= supports or both[1] <= refutes else remaining
