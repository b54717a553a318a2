"""False verdicts under simulated no-effect data, and true ones under an effect."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binom

from ablate.judge.combine import holm, sides
from ablate.judge.decide import decide, decide_sequentially
from ablate.judge.formula import Formula, Joint, Leaf, every, leaves, pooled, some
from ablate.judge.paired import Floats
from ablate.judge.pooled import asymmetry, rank_correlation
from ablate.judge.sequential import seen

LEVEL = 0.05
STUDIES = 4_000
ERROR = 0.999  # of simulations at exactly the level, all but one in a thousand give at most MOST
MOST = binom.ppf(ERROR, STUDIES, LEVEL) / STUDIES  # 6.1 %

Cell = Callable[[], Floats]  # what a cell with no effect measures: [seed, study]
NOISES: dict[str, Callable[[np.random.Generator, tuple[int, int]], Floats]] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "laplace": lambda random, shape: random.laplace(size=shape),
    "uniform": lambda random, shape: random.uniform(-1.0, 1.0, size=shape),
    "rounded": lambda random, shape: np.round(random.normal(size=shape)),  # a test set of few images
}


def cells(noise: str, seeds: int, studies: int = STUDIES) -> Cell:
    random = np.random.default_rng([seeds, *noise.encode()])
    return lambda: NOISES[noise](random, (seeds, studies))


def leaf(differences: Floats, bound: float = 0.0) -> Leaf:
    """A comparison in all simulated studies: each seed's difference is an array over them."""
    return Leaf("", tuple(differences), bound)


def greater(cell: Cell) -> Formula:
    return leaf(cell() - cell())


def greater_by_two(cell: Cell) -> Formula:
    return leaf(cell() + 2.0 - cell(), bound=2.0)


def best_of_six(cell: Cell) -> Formula:
    mine, *others = (cell() for _ in range(6))
    return every(tuple(leaf(mine - other) for other in others))


def one_of_two_best_of_six(cell: Cell) -> Formula:
    all_six = [cell() for _ in range(6)]
    return some(tuple(every(tuple(leaf(mine - it) for it in all_six if it is not mine)) for mine in all_six[:2]))


def some_of_five_greater(cell: Cell) -> Formula:
    mine, *others = (cell() for _ in range(6))
    return some(tuple(leaf(mine - other) for other in others))


def monotone_over_four(cell: Cell) -> Formula:
    levels = [cell() for _ in range(4)]
    return every(tuple(leaf(above - below) for below, above in pairwise(levels)))


def equivalent_at_the_margin(cell: Cell) -> Formula:
    differences = cell() + 2.0 - cell()
    return every((leaf(differences, -2.0), leaf(-differences, -2.0)))


CLAIMS = [
    greater,
    greater_by_two,
    best_of_six,
    one_of_two_best_of_six,
    some_of_five_greater,
    monotone_over_four,
    equivalent_at_the_margin,
]


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_without_effect_gets_a_verdict_in_at_most_one_study_of_twenty(
    claim: Callable[[Cell], Formula], noise: str, seeds: int
) -> None:
    assert (sides(claim(cells(noise, seeds))).p <= LEVEL).mean() <= MOST


def test_the_error_of_one_comparison_is_the_level_and_not_merely_below_it() -> None:
    for seeds in (3, 5, 10):
        assert (sides(greater(cells("normal", seeds))).p <= LEVEL).mean() >= 0.04


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("noise", NOISES)
def test_six_claims_without_effect_give_any_verdict_in_at_most_one_study_of_twenty(noise: str, seeds: int) -> None:
    cell = cells(noise, seeds)
    alike = holm([sides(greater(cell)).p for _ in range(6)])
    mixed = holm([sides(claim(cell)).p for claim in CLAIMS[:6]])
    assert (alike.min(axis=0) <= LEVEL).mean() <= MOST
    assert (mixed.min(axis=0) <= LEVEL).mean() <= MOST


def test_without_adjustment_six_claims_would_give_false_verdicts_in_a_quarter_of_studies() -> None:
    cell = cells("normal", 5)
    assert (np.min([sides(greater(cell)).p for _ in range(6)], axis=0) <= LEVEL).mean() > 0.2


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("claim", [greater, some_of_five_greater, equivalent_at_the_margin])
def test_looking_at_every_number_of_seeds_up_to_thirty_is_wrong_in_at_most_one_study_of_twenty(
    claim: Callable[[Cell], Formula], noise: str
) -> None:
    *_, last = seen(claim(cells(noise, 30)), 30, claims=1)
    assert (last.adjusted_p <= LEVEL).mean() <= MOST


def test_six_claims_watched_up_to_thirty_seeds_are_wrong_in_at_most_one_study_of_twenty() -> None:
    cell = cells("normal", 30)
    found = [list(seen(greater(cell), 30, claims=6))[-1].adjusted_p for _ in range(6)]
    assert (np.min(found, axis=0) <= LEVEL).mean() <= MOST


def test_looking_at_every_seed_with_the_plain_test_would_be_wrong_in_a_sixth_of_studies() -> None:
    differences = cells("normal", 30)()
    p = [sides(leaf(differences[:seeds])).p for seeds in range(3, 31)]
    assert (np.min(p, axis=0) <= LEVEL).mean() > 1 / 6


@pytest.mark.parametrize(("seeds", "found"), [(5, 0.95), (3, 0.5)])
def test_an_effect_of_three_deviations_is_found_in_most_studies(seeds: int, found: float) -> None:
    differences = np.random.default_rng(seeds).normal(3.0, 1.0, size=(seeds, STUDIES))
    both = sides(leaf(differences))
    assert ((both.p <= LEVEL) & (both.supports < both.refutes)).mean() >= found


def test_a_true_best_of_six_and_a_true_equivalence_are_found_in_most_studies() -> None:
    cell = cells("normal", 5)
    mine, *others = (cell() for _ in range(6))
    best = every(tuple(leaf(mine + 5.0 - other) for other in others))
    same = cell() - cell()
    equivalent = every((leaf(same, -5.0), leaf(-same, -5.0)))
    for claim in (best, equivalent):
        both = sides(claim)
        assert ((both.p <= LEVEL) & (both.supports < both.refutes)).mean() >= 0.8


def changes(delta: Floats, deviation: float, seeds: int) -> Floats:
    """What each pair of cells changes by when swapped [seed, pair, study]; deviation: of a cell."""
    random = np.random.default_rng([seeds, round(10 * deviation), len(delta)])
    noise = random.normal(0.0, deviation * np.sqrt(2), size=(seeds, len(delta), STUDIES))
    return delta[:, None] + noise


def verdicts(claim: Formula) -> tuple[float, float]:
    """In which share of studies a claim is supported, and in which it is refuted."""
    both = sides(claim)
    found = both.p <= LEVEL
    return float((found & (both.supports < both.refutes)).mean()), float(
        (found & (both.supports > both.refutes)).mean()
    )


def symmetric(given: Floats, margin: float = 2.0) -> Formula:
    return pooled("", asymmetry(given, margin))


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("pairs", [3, 21])
def test_an_asymmetry_at_the_margin_gets_a_verdict_in_at_most_one_study_of_twenty(
    pairs: int, deviation: float, seeds: int
) -> None:
    of_all, of_one = np.full(pairs, 2.0), np.eye(pairs)[0] * 2.0 * np.sqrt(pairs)
    for delta in (of_all, of_one):
        assert sum(verdicts(symmetric(changes(delta, deviation, seeds)))) <= MOST


def test_noise_alone_is_no_asymmetry_although_it_changes_every_pair() -> None:
    given = changes(np.zeros(21), 2.5, 5)
    assert np.abs(given).mean() > 2.5  # which is above the margin
    supported, refuted = verdicts(symmetric(given))
    assert supported > 0.2
    assert refuted == 0.0


def test_an_asymmetry_of_twice_the_margin_is_refuted_and_none_supported_in_most_studies() -> None:
    assert verdicts(symmetric(changes(np.full(21, 4.0), 1.0, 5)))[1] > 0.9
    assert verdicts(symmetric(changes(np.zeros(21), 1.0, 5)))[0] > 0.9


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_a_share_at_its_bound_gets_a_verdict_in_at_most_one_study_of_twenty(seeds: int) -> None:
    for far in (0.0, 3.0, 50.0):  # of eight cells three are below their rivals, four above, one like its own
        cell = cells("normal", seeds)
        effects = [-far] * 3 + [far] * 4 + [0.0]
        parts = tuple(leaf(cell() + effect - cell()) for effect in effects)
        assert sum(verdicts(Joint(parts, needed=5))) <= MOST


def test_a_share_of_clear_cells_is_found_where_noise_would_pull_it_to_a_half() -> None:
    cell = cells("normal", 5)
    parts = tuple(leaf(cell() + effect - cell()) for effect in [6.0] * 7 + [0.0])
    assert verdicts(Joint(parts, needed=6))[0] > 0.9


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("deviation", [0.3, 3.0, 100.0])
def test_an_order_at_its_bound_or_like_the_papers_is_refuted_in_at_most_one_study_of_twenty(
    deviation: float, seeds: int
) -> None:
    like, half = np.arange(7.0), np.array([0.0, 1, 3, 6, 5, 4, 2])
    random = np.random.default_rng([seeds, round(10 * deviation)])
    assert np.corrcoef(like, half)[0, 1] == pytest.approx(0.5)
    for truth in (half, like):
        values = truth[:, None] + random.normal(0.0, deviation, size=(seeds, 7, STUDIES))
        supported, refuted = verdicts(pooled("", rank_correlation(values, like), 0.5))
        assert refuted + (supported if truth is half else 0.0) <= MOST


def test_a_clear_order_is_supported_and_its_reverse_refuted_at_three_seeds() -> None:
    values = np.arange(7.0)[:, None] + np.random.default_rng(3).normal(0.0, 0.3, size=(3, 7, STUDIES))
    assert verdicts(pooled("", rank_correlation(values, np.arange(7.0)), 0.5))[0] > 0.9
    assert verdicts(pooled("", rank_correlation(values, -np.arange(7.0)), 0.5))[1] > 0.9


def one_study(formula: Formula, study: int) -> Leaf:
    (only,) = leaves(formula)
    return Leaf("", tuple(np.array(only.differences)[:, study].tolist()))


def test_the_simulated_studies_are_decided_as_decide_does() -> None:
    claims = [leaf(cells("normal", 12, studies=4)() + shift) for shift in (0.0, 0.8, 1.5)]
    adjusted = holm([sides(claim).p for claim in claims])
    watched = [list(seen(claim, 12, claims=3))[-1].adjusted_p for claim in claims]
    for study in range(4):
        formulas = {str(number): one_study(claim, study) for number, claim in enumerate(claims)}
        for number, decision in enumerate(decide(formulas).values()):
            assert decision.adjusted_p == pytest.approx(adjusted[number, study])
            assert (decision.state == "undecided") == (adjusted[number, study] > LEVEL)
        for number, decision in enumerate(decide_sequentially(formulas).values()):
            assert (decision.state == "undecided") == (watched[number][study] > LEVEL)
