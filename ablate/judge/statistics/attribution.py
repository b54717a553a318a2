"""What each part of a method contributes: linear functions of the results of all combinations of parts.

A combination of k parts is a number whose bit i says whether part i is there; values are indexed by it, 2^k in all.
Shapley values: Shapley 1953, "A Value for n-Person Games". Sums over a sample: Sarndal et al. 1992, section 6.3.
"""

import math
from collections.abc import Sequence
from statistics import stdev
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST_PARTS = 14
"""Beyond, the weights of all pairs over all combinations take gigabytes."""


class Weights(NamedTuple):
    """The weight of each combination's value in each quantity."""

    main: Floats
    """[part, combination]: the mean effect of adding a part, over all combinations of the others."""
    shapley: Floats
    """[part, combination]: the mean effect of adding a part, over all orders in which parts are added."""
    pairs: Floats
    """[pair, combination]: how much a part's effect grows with another one there, over all combinations of the rest."""


def pairs_of(count: int) -> list[tuple[int, int]]:
    """The pairs of parts, in the order of `Weights.pairs`."""
    return [(first, second) for first in range(count) for second in range(first + 1, count)]


def weights(count: int) -> Weights:
    """The weights for a number of parts, at most `MOST_PARTS`."""
    bits = (np.arange(2**count)[None, :] >> np.arange(count)[:, None]) & 1  # [part, combination]
    signs = 2.0 * bits - 1.0
    others = bits.sum(axis=0)[None, :] - bits  # the other parts that are there
    orders = np.array([1.0 / (count * math.comb(count - 1, size)) for size in range(count)])
    couples = pairs_of(count)
    pairs = np.array([signs[one] * signs[two] for one, two in couples]).reshape(len(couples), 2**count)
    return Weights(
        signs / 2 ** (count - 1), signs * orders[np.minimum(others, count - 1)], pairs / 2 ** max(0, count - 2)
    )


def orthogonal(count: int, combinations: Sequence[int]) -> bool:
    """Whether each part is there in half of the combinations, and each two parts together in a quarter."""
    signs = 2 * ((np.asarray(combinations)[:, None] >> np.arange(count)) & 1) - 1
    columns = np.column_stack([np.ones(len(combinations), dtype=signs.dtype), signs])
    return bool(np.array_equal(columns.T @ columns, len(combinations) * np.eye(count + 1)))


class Sampled(NamedTuple):
    """A quantity estimated from some of the combinations."""

    values: Floats
    """The estimate of each seed."""
    error: float
    """The standard error from the choice of the combinations; it does not shrink with seeds."""


def from_sample(weight: Floats, combinations: Sequence[int], values: Floats, additive: Floats) -> Sampled:
    """A quantity from the combinations of a random sample without replacement: the regression estimator of a sum.

    weight: of all 2^k combinations. values: [combination of the sample, seed]. additive: what `fit` returned for them.
    The additive model gives its part exactly, and the sample estimates the rest; the error is that of the seeds' mean.
    """
    total, count = len(weight), len(combinations)
    rest = values - additive[np.asarray(combinations)]  # [combination of the sample, seed]
    terms = weight[np.asarray(combinations)][:, None] * rest
    estimate = weight @ additive + total / count * terms.sum(axis=0)
    spent = 1 + int(math.log2(total)) if count > 2 + math.log2(total) else 1
    centered = terms.mean(axis=1) - terms.mean()
    variance = float(centered @ centered) / max(1, count - spent)
    return Sampled(estimate, total * math.sqrt(max(0.0, 1 - count / total) * variance / count))


def error_of_draws(drops: Sequence[float], possible: int | None) -> float | None:
    """The standard error of the mean of draws without replacement; None for a single draw of several.

    possible: the sets that could be drawn (Cochran 1977, "Sampling Techniques", theorem 2.2); None if unknown.
    """
    if possible is not None and possible <= len(drops):  # fewer in a damaged plan only
        return 0.0
    left = 1 - len(drops) / possible if possible else 1.0
    return stdev(drops) * math.sqrt(left / len(drops)) if len(drops) > 1 else None


def fit(count: int, combinations: Sequence[int], values: Floats) -> Floats:
    """The values of all 2^k combinations by the additive model of a sample; by its mean for a sample that is too small.

    values: [combination of the sample, seed]; returns [combination, seed].
    """
    every = np.arange(2**count)
    columns = [np.ones(2**count), *(((every >> part) & 1).astype(np.float64) for part in range(count))]
    design = np.stack(columns if len(combinations) > count + 2 else columns[:1], axis=1)
    found, *_ = np.linalg.lstsq(design[np.asarray(combinations)], values, rcond=None)
    return np.asarray(design @ found)
