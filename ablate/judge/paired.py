"""Paired: what one comparison's differences say, a test and an interval each in two ways.

Seeds are paired replicates: the same seed gives every cell the same images in the same order, so that what is tested
is the mean of one difference per seed (Dror et al. 2018, "The Hitchhiker's Guide to Testing Statistical Significance
in NLP"; Bouthillier et al. 2021, "Accounting for Variance in Machine Learning Benchmarks").

The t test decides, and permutation and bootstrap stand beside it: with n seeds no test by signs goes below 1/2^n, 1/8
for three, and the bootstrap of three numbers never leaves their range. The price is an assumption: the differences
are about normal. Simulated, two cells with the same noise give a false verdict at 5 % in 5.0 % of studies where that is
normal, fewer where it is Laplace, exponential or rounded, at most 5.3 % where it is uniform. The test is not exact
where the differences themselves are flat or skewed: a cell against the mean of five others comes to 6.7 % with uniform
noise at 3 seeds, 7.5 % with exponential at 5.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ablate.judge.formula import ROUNDING, Leaf

RESAMPLES = 10_000
CONFIDENCE = 0.95

Floats = NDArray[np.float64]


def t_tests(leaves: Sequence[Leaf]) -> Floats:
    """One-sided p of each comparison [leaf, ...] by `t_test`. The leaves have the same seeds."""
    values = np.stack([np.asarray(leaf.differences, dtype=np.float64) for leaf in leaves], axis=1)  # [seed, leaf, ...]
    return t_test(values, np.array([leaf.bound for leaf in leaves]).reshape(-1, *[1] * (values.ndim - 2)))


def t_test(differences: Sequence[Any] | Floats, bound: float | Floats) -> Floats:
    """One-sided p of "the mean is above the bound": Student's t, n - 1 degrees of freedom.

    A difference may be an array (of simulated studies); so is the result then. Where all differences are equal t is
    infinite and says nothing; p is 1/2^n there, the least of the sign test, or 1 on the other side.
    """
    from scipy.special import stdtr

    values = np.asarray(differences, dtype=np.float64)  # [seed, ...]
    count = len(values)
    mean = values.mean(axis=0)
    negligible = ROUNDING * np.maximum(np.maximum(1.0, np.abs(mean)), np.abs(bound))
    without_spread = np.ptp(values, axis=0) <= negligible
    deviation = np.where(without_spread, 1.0, values.std(axis=0, ddof=1))
    p = stdtr(count - 1, (bound - mean) * np.sqrt(count) / deviation)
    return np.where(without_spread, np.where(mean - bound > negligible, 0.5**count, 1.0), p)


def sign_flip_test(leaves: Sequence[Leaf]) -> Floats:
    """One-sided p of each comparison when the signs of its differences from the bound are flipped at random.

    Exact (all 2^n) up to 13 seeds, 10,000 random flips beyond. The leaves have the same seeds, and share the flips.
    """
    from scipy.stats import permutation_test

    values = np.array([leaf.differences for leaf in leaves]) - np.array([[leaf.bound] for leaf in leaves])
    return np.asarray(
        permutation_test(
            (values,),
            lambda sample, axis: np.mean(sample, axis=axis),
            permutation_type="samples",
            alternative="greater",
            vectorized=True,
            axis=-1,
            n_resamples=RESAMPLES,
            batch=max(1, 4_000_000 // values.size),  # keeps a block of flipped values at 32 MB
            rng=np.random.default_rng(0),
        ).pvalue
    )


def t_interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean by Student's t, two-sided, not adjusted for other claims; None below 2 seeds."""
    from scipy.special import stdtrit

    count = len(differences)
    if count < 2:
        return None
    mean = float(np.mean(differences))
    half = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2) * np.std(differences, ddof=1) / np.sqrt(count))
    return mean - half, mean + half


def bootstrap_interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean by bootstrap over seeds; None below 3 seeds.

    Bias-corrected and accelerated (Efron 1987), by percentiles where that is not defined. With few seeds it is too
    narrow, since no resampled mean leaves the range of what was measured.
    """
    from scipy.stats import bootstrap

    if len(differences) < 3:
        return None
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that BCa is not defined for these values: the next method is
            found = bootstrap(
                (np.asarray(differences),),
                np.mean,
                confidence_level=CONFIDENCE,
                n_resamples=RESAMPLES,
                method=method,
                rng=np.random.default_rng(0),
            ).confidence_interval
        if np.isfinite([found.low, found.high]).all():
            break
    return float(found.low), float(found.high)
