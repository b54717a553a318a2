"""Tests and intervals for one comparison's paired differences.

Seeds are paired replicates: the same seed gives every cell the same images in the same order, so the test is about
the mean of one difference per seed (Dror et al. 2018, "The Hitchhiker's Guide to Testing Statistical Significance
in NLP"; Bouthillier et al. 2021, "Accounting for Variance in Machine Learning Benchmarks").

The t test decides; a sign-flip test is reported in addition, because with n seeds it never gets below 1/2^n (1/8 for
three). The price is an assumption: roughly normal differences. docs/judging.md has the rates of false verdicts in
simulations, also where the assumption fails; `python -m tests.calibrate` writes them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ablate.judge.statistics.formula import ROUNDING, Leaf

LEAST_SEEDS = 3
"""With fewer, a comparison counts for neither side."""
RESAMPLES = 10_000
CONFIDENCE = 0.95
_QUANTILES = (
    12.706204736174694, 4.302652729749462, 3.1824463052837078, 2.7764451051977934, 2.5705818356363146,
    2.4469118511449786, 2.364624251592784, 2.306004135204166, 2.262157162798205, 2.228138851986274, 2.200985160091639,
    2.1788128296672284, 2.1603686564627913, 2.144786687917804, 2.131449545559776, 2.1199052992212546,
    2.1098155778333156, 2.1009220402410382, 2.0930240544083087, 2.085963447265864, 2.0796138447276795,
    2.0738730679040254, 2.0686576104190486, 2.0638985616280245, 2.0595385527532972, 2.0555294386428735,
    2.0518305164802846, 2.0484071417952454, 2.045229642132703, 2.0422724563012378,
)  # fmt: skip
"""Of Student's t distribution at 97.5 %, for 1 to 30 degrees of freedom: importing `scipy.special` takes long."""

Floats = NDArray[np.float64]


def t_tests(leaves: Sequence[Leaf]) -> list[Any]:
    """One-sided p of each comparison by `t_test`, or by the limits of its pooled statistic; 1 below three seeds."""
    return _by_count(leaves, t_test)


def _by_count(leaves: Sequence[Leaf], test: Callable[[Floats, Floats, Floats, Floats], Floats]) -> list[Any]:
    """The p of each comparison; those with equal numbers of seeds are tested in one call."""
    found: list[Any] = [1.0] * len(leaves)
    counts: dict[int, list[int]] = {}
    for number, leaf in enumerate(leaves):
        if leaf.pool is not None and leaf.pool.limits is not None:
            found[number] = limit_test(leaf) if len(leaf.differences) >= LEAST_SEEDS else 1.0
        elif len(leaf.differences) >= LEAST_SEEDS:
            counts.setdefault(len(leaf.differences), []).append(number)
    for numbers in counts.values():
        values = np.stack([np.asarray(leaves[number].differences, dtype=np.float64) for number in numbers], axis=1)
        shape = (-1, *[1] * (values.ndim - 2))  # values: [seed, leaf, ...]
        bounds = np.array([leaves[number].bound for number in numbers]).reshape(shape)
        runs = np.array([leaves[number].single_runs for number in numbers]).reshape(shape)
        units = np.array([leaves[number].unit for number in numbers]).reshape(shape)
        for number, p in zip(numbers, test(values, bounds, runs, units), strict=True):
            found[number] = p
    return found


def t_test(
    differences: Sequence[Any] | Floats,
    bound: float | Floats,
    single_runs: float | Floats = 0.0,
    unit: float | Floats = 1.0,
) -> Floats:
    """One-sided p of "the mean is above the bound": Student's t, n - 1 degrees of freedom.

    A difference may be an array (of simulated studies); then the result is one too. single_runs: how many runs of the
    paper, each with the variance of one seed, are part of every difference. unit: see `Leaf.unit`. If all differences
    are equal, t is infinite and uninformative; p is then 1/2^n, the smallest p of a sign test, or 1 on the other side.
    """
    from scipy.special import stdtr

    values = np.asarray(differences, dtype=np.float64)  # [seed, ...]
    count = len(values)
    mean = values.mean(axis=0)
    negligible = ROUNDING * np.maximum(np.maximum(unit, np.abs(mean)), np.abs(bound))
    without_spread = np.ptp(values, axis=0) <= negligible
    deviation = np.where(without_spread, 1.0, unit * (values / unit).std(axis=0, ddof=1))
    p = stdtr(count - 1, (bound - mean) / (deviation * np.sqrt(1 / count + single_runs)))
    return np.where(without_spread, np.where(mean - bound > negligible, 0.5**count, 1.0), p)


def limit_test(leaf: Leaf) -> Any:
    """One-sided p of a pooled statistic: the smallest level at which its limits exclude the bound, at least 1e-6.

    The rows may hold simulated studies [seed, value, study]; then the result is an array.
    """
    assert leaf.pool is not None
    assert leaf.pool.limits is not None
    rows, limits = np.asarray(leaf.pool.rows, dtype=np.float64), leaf.pool.limits
    if rows.ndim > 2:
        return np.array([limit_test(_study(leaf, number)) for number in range(rows.shape[2])])

    def excluded(exponent: float) -> bool:
        low, high = limits(rows, 10.0**exponent)
        return (low if leaf.pool and leaf.pool.sign > 0 else -high) > leaf.bound

    low, high = -6.0, 0.0  # excluded at `high` and above, if at all: limits become narrower as the level grows
    if not excluded(high):
        return 1.0
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (low, middle) if excluded(middle) else (middle, high)
    return 10.0**high


def _study(leaf: Leaf, number: int) -> Leaf:
    assert leaf.pool is not None
    rows = tuple(np.asarray(row)[..., number] for row in leaf.pool.rows)
    return replace(leaf, pool=replace(leaf.pool, rows=rows))


def sign_flip_tests(leaves: Sequence[Leaf]) -> list[Any]:
    """One-sided p of each comparison under random sign flips of its differences from the bound; 1 below three seeds.

    Exact (all 2^n flips) up to 13 seeds, 10,000 random flips beyond. Comparisons with equal numbers share flips.
    """
    from scipy.stats import permutation_test

    def flips(values: Floats, bounds: Floats, _runs: Floats, _units: Floats) -> Floats:
        found = permutation_test(
            (values.T - bounds[:, None],),
            lambda sample, axis: np.mean(sample, axis=axis),
            permutation_type="samples",
            alternative="greater",
            vectorized=True,
            axis=-1,
            n_resamples=RESAMPLES,
            batch=max(1, 4_000_000 // values.size),  # keeps a block of flipped values at 32 MB
            rng=np.random.default_rng(0),
        )
        return np.asarray(found.pvalue)

    return _by_count(leaves, flips)


def t_limits(leaf: Leaf, below: float, above: float) -> tuple[float, float] | None:
    """One-sided limits of a comparison's mean: it lies below the first, or above the second, with these probabilities.

    None below 2 seeds, or if a pooled statistic has too few.
    """
    from scipy.special import stdtrit

    count = len(leaf.differences)
    if count < 2 or (leaf.pool is not None and count < LEAST_SEEDS):
        return None
    if leaf.pool is not None and leaf.pool.limits is not None:
        rows = np.asarray(leaf.pool.rows, dtype=np.float64)
        ends = [leaf.pool.limits(rows, min(1.0, level)) for level in (below, above)]
        return ends[0][0], ends[1][1]
    mean = math.fsum(leaf.differences) / count
    error = float(np.std(leaf.differences, ddof=1)) * math.sqrt(1 / count + leaf.single_runs)
    down, up = (float(stdtrit(count - 1, 1 - min(level, 0.5))) for level in (below, above))
    return mean - down * error, mean + up * error


def t_interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """The two-sided 95 % t interval of the mean, not adjusted for other claims; None below 2 seeds."""
    count = len(differences)
    if count < 2:
        return None
    mean = float(np.mean(differences))
    half = float(_quantile(count - 1) * np.std(differences, ddof=1) / np.sqrt(count))
    return mean - half, mean + half


def _quantile(freedom: int) -> float:
    """The quantile of Student's t distribution beyond which, on both sides, 5 % lie."""
    if freedom <= len(_QUANTILES):
        return _QUANTILES[freedom - 1]
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def estimate(value: float, interval: tuple[float, float] | None, bound: float = 0.0) -> str:
    """`+3.1 [1.2, 5.0]`; see `in_digits`."""
    effect, *limits = in_digits(value, interval, bound)
    return f"{effect} [{', '.join(limits)}]" if limits else effect


def in_digits(value: float, interval: tuple[float, float] | None, bound: float = 0.0) -> tuple[str, ...]:
    """An effect with its sign, and its limits, with two digits of the interval's width.

    At least one decimal below 1000, and more where one of the numbers would be shown as 0 or as the bound without being
    that; three digits of each number where seven decimals or digits would not do.
    """
    if interval is None:
        return (f"{value:+.3g}",)
    low, high = interval
    width, largest = high - low, max(map(abs, (value, low, high)))
    known = 0 < width < math.inf and largest < 1e7
    least = max(int(width < 1000), 1 - math.floor(math.log10(width))) if known else 8
    if least > 7:
        return f"{value:+.3g}", f"{low:.3g}", f"{high:.3g}"

    def distinct(decimals: int) -> bool:
        pairs = ((number, mark) for number in (value, low, high) for mark in (0.0, bound, -bound))
        return all(number == mark or round(number, decimals) != round(mark, decimals) for number, mark in pairs)

    decimals = next(filter(distinct, range(least, 8)), least)
    return f"{value:+z.{decimals}f}", f"{low:z.{decimals}f}", f"{high:z.{decimals}f}"
