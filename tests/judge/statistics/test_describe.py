import math
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import digamma, polygamma
from scipy.stats import f_oneway, mannwhitneyu, pearsonr, t, trim_mean, ttest_1samp, ttest_ind, ttest_rel

from ablate.judge.statistics.describe import (
    correlation,
    improvement,
    interquartile_mean,
    paired_width,
    posterior,
    prior_variance,
    sensitivities,
    standardized,
)

NOISE = np.random.default_rng(11)
PAIRS = [(NOISE.normal(0.5, 1, seeds).tolist(), NOISE.normal(0, 2, seeds).tolist()) for seeds in (3, 5, 12)]
SEEDS = [len(left) for left, _ in PAIRS]


@pytest.mark.parametrize(("left", "right"), [*PAIRS, ([1.0, 2.0, 2.0], [2.0, 2.0, 0.0])])
def test_the_probability_of_improvement_is_the_mann_whitney_statistic(left: list[float], right: list[float]) -> None:
    expected = mannwhitneyu(left, right).statistic / (len(left) * len(right))
    assert improvement(left, right).value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("left", "right"), PAIRS[:1])
def test_its_interval_is_that_of_all_resamples_of_either_side(left: list[float], right: list[float]) -> None:
    every = [
        np.mean([(one > two) + 0.5 * (one == two) for one in first for two in second])
        for first in product(left, repeat=3)
        for second in product(right, repeat=3)
    ]
    low, high = np.quantile(every, [0.025, 0.975])
    found = improvement(left, right)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.12)
    assert improvement(left, right) == found


@pytest.mark.parametrize("values", [left for left, _ in PAIRS] + [[1.0, 2.0, 3.0, 90.0]])
def test_the_interquartile_mean_is_that_of_scipy(values: list[float]) -> None:
    found = interquartile_mean(values)
    assert found.value == pytest.approx(trim_mean(values, 0.25), rel=1e-12)
    drawn = np.random.default_rng(5).choice(values, (4_000, len(values)))
    expected = np.quantile(trim_mean(drawn, 0.25, axis=1), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(expected, abs=0.1 * np.ptp(values))


@pytest.mark.parametrize("values", [left for left, _ in PAIRS], ids=SEEDS)
def test_the_standardized_effect_has_the_correction_of_hedges_and_no_bias(values: list[float]) -> None:
    count = len(values)
    correction = math.gamma((count - 1) / 2) / (math.sqrt((count - 1) / 2) * math.gamma((count - 2) / 2))
    by_t = ttest_1samp(values, 0.25).statistic / math.sqrt(count)
    assert standardized(values, 0.25) == pytest.approx(by_t * correction, rel=1e-9)
    studies = np.random.default_rng(count).normal(1.5, 1, (20_000, count))
    plain = studies.mean(axis=1) / studies.std(axis=1, ddof=1)
    assert (plain.mean() * correction) == pytest.approx(1.5, abs=0.15)


def test_no_effect_is_standardized_without_spread_or_with_two_seeds() -> None:
    assert standardized([1.0, 1.0, 1.0 + 1e-12]) is None
    assert standardized([1.0, 3.0]) is None


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=SEEDS)
def test_the_correlation_and_the_gain_from_pairing_are_those_of_scipy(left: list[float], right: list[float]) -> None:
    assert correlation(left, right) == pytest.approx(pearsonr(left, right).statistic, rel=1e-9)
    paired = ttest_rel(left, right).confidence_interval(0.9)
    apart = ttest_ind(left, right).confidence_interval(0.9)
    assert paired_width(left, right) == pytest.approx((paired.high - paired.low) / (apart.high - apart.low), rel=1e-9)
    assert correlation(left[:2], right[:2]) is None
    assert correlation(left, [1.0] * len(left)) is None


def test_the_posterior_is_the_normal_likelihood_with_the_jeffreys_prior_integrated() -> None:
    values, rope = [0.4, 1.9, 1.1, 0.2], 0.8
    mean, within = np.mean(values), np.var(values)

    def density(mu: float) -> float:
        """The integral over sigma of sigma^-n exp(-n (s^2 + (mu - mean)^2) / (2 sigma^2)) / sigma, by quadrature."""
        total = 4 * (within + (mu - mean) ** 2)
        return float(quad(lambda log: math.exp(-4 * log - total / 2 * math.exp(-2 * log)), -6, 8)[0])

    ends = [-60.0, -rope, rope, 60.0]
    parts = [quad(density, low, high, limit=200, points=[float(mean)] if low < mean < high else None)[0]
             for low, high in pairwise(ends)]  # fmt: skip
    assert posterior(values, rope) == pytest.approx(np.array(parts) / sum(parts), abs=1e-4)
    assert posterior([2.0, 2.0, 2.0], 1.0) == (0.0, 0.0, 1.0)
    assert posterior([2.0], 1.0) is None


def test_the_pooled_p_is_that_of_an_analysis_of_variance() -> None:
    rows = [NOISE.normal(mean, 1, 4).tolist() for mean in (0.0, 1.0, 2.0)]
    within = sum(np.var(row, ddof=1) for row in rows) / 3
    f = f_oneway(*rows).statistic
    assert np.var([np.mean(row) for row in rows], ddof=1) * 4 / within == pytest.approx(f)
    found = sensitivities(rows, [0.1, 0.2, 0.3])
    for row, bound, each in zip(rows, (0.1, 0.2, 0.3), found, strict=True):
        assert each.pooled == pytest.approx(t.sf((np.mean(row) - bound) * 2 / math.sqrt(within), 9), rel=1e-9)


def test_the_prior_of_the_variances_solves_the_moment_equations_of_smyth() -> None:
    freedoms = np.array([2.0, 2.0, 4.0, 2.0, 9.0, 2.0])
    variances = np.array([0.1, 5.0, 1.0, 0.02, 2.0, 30.0])
    prior, location = prior_variance(variances, freedoms)
    logs = [math.log(v) - digamma(d / 2) + math.log(d / 2) for v, d in zip(variances, freedoms, strict=True)]
    mean = sum(logs) / 6
    wanted = sum((each - mean) ** 2 for each in logs) / 5 - sum(float(polygamma(1, d / 2)) for d in freedoms) / 6
    half = brentq(lambda y: float(polygamma(1, y)) - wanted, 1e-3, 1e3)
    assert prior == pytest.approx(2 * half, rel=1e-6)
    assert location == pytest.approx(math.exp(mean + digamma(half) - math.log(half)), rel=1e-6)
    of_limma = (0.9211967512115313, 0.3559637182580321)  # fitFDist of inmoose 0.9.1, a port of limma
    assert (prior, location) == pytest.approx(of_limma, rel=1e-6)
    assert prior_variance(np.array([1.0, 1.1, 0.9]), np.full(3, 4.0))[0] == math.inf


def test_the_prior_of_simulated_variances_is_found() -> None:
    random = np.random.default_rng(3)
    spread = 0.5 * 6 / random.chisquare(6, 40_000)  # location 0.5, 6 degrees of freedom
    variances = spread * random.chisquare(3, 40_000) / 3
    prior, location = prior_variance(variances, np.full(40_000, 3.0))
    assert prior == pytest.approx(6, rel=0.1)
    assert location == pytest.approx(0.5, rel=0.1)


def test_the_moderated_p_lies_between_that_of_the_comparison_and_the_pooled_one() -> None:
    rows = [[0.9, 1.0, 1.1], [3.0, 1.0, -2.0], [0.5, 1.5, 2.9], [1.0, 1.3, 0.6]]
    prior, location = prior_variance(np.var(rows, axis=1, ddof=1), np.full(4, 2.0))
    assert 0 < prior < math.inf
    for row, found in zip(rows, sensitivities(rows, [0.0] * 4), strict=True):
        squeezed = (prior * location + 2 * np.var(row, ddof=1)) / (prior + 2)
        assert found.moderated == pytest.approx(t.sf(np.mean(row) / math.sqrt(squeezed / 3), min(8, prior + 2)))


def test_a_comparison_and_its_reverse_share_no_variance() -> None:
    one, two = [1.0, 2.0, 4.0], [-1.0, -2.0, -4.0]
    assert [each.pooled for each in sensitivities([one, two], [0.0, 0.0])] == [None, None]
    assert sensitivities([one, [1.0]], [0.0, 0.0])[1].moderated is None
    assert sensitivities([], []) == []
