"""A part of `make calibrate`: rates of false verdicts and of true ones in simulated studies."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ablate.judge.statistics.decide import decide, decide_sequentially
from ablate.judge.statistics.formula import Formula, Joint, Leaf, leaves
from tests import calibrate
from tests.calibrate import CLAIMS, NEAR_NORMAL, RACES, SLOW, false_rate, holm_rate, race, rate_of, whole_studies


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_at_its_bound_gets_a_false_verdict_in_at_most_one_study_of_twenty(claim: Any) -> None:
    noises = NEAR_NORMAL[:2] if claim in SLOW else NEAR_NORMAL
    found = {noise.__name__: false_rate(claim, noise, 3, 1_000) for noise in noises}
    assert {name: str(rate) for name, rate in found.items() if rate.above} == {}


def test_the_error_of_one_comparison_is_the_level_and_not_merely_below_it() -> None:
    rate = false_rate(calibrate.greater, calibrate.normal, 5, 4_000)
    assert min(rate.supported, rate.refuted) >= 0.04


def test_seven_claims_that_share_cells_are_wrong_in_at_most_one_study_of_twenty() -> None:
    assert not holm_rate(2_000).above


@pytest.mark.parametrize(("name", "least"), [("greater", 0.15), ("equivalent", 0.01)])
def test_a_verdict_that_collapsed_runs_decide_is_withheld_and_not_false(name: str, least: float) -> None:
    rate, withheld = rate_of(list(whole_studies(name, 20, 100, collapse=0.1)))
    assert not rate.above
    assert withheld > least


def test_runs_without_a_result_cost_their_own_comparisons_only() -> None:
    rate, _ = rate_of(list(whole_studies("best of 6", 5, 150, missing=0.05)))
    assert not rate.above


@pytest.mark.parametrize(
    ("name", "most"), [("7 cells, all rivals 1 behind", 135), ("49 cells, rivals 1 to 8 behind", 330)]
)
def test_a_race_decides_most_claims_with_few_trials(name: str, most: int) -> None:
    random = np.random.default_rng(5)
    found = [race(RACES[name], random) for _ in range(15)]
    assert sum(each.outcome == "supported" for each in found) >= 10
    assert not any(each.outcome == "refuted" for each in found)
    assert np.mean([each.trials for each in found]) < most


def one_study(formula: Formula, study: int) -> Formula:
    def of(leaf: Leaf) -> Leaf:
        return Leaf(leaf.label, tuple(np.array(leaf.differences)[:, study].tolist()), leaf.bound)

    if isinstance(formula, Leaf):
        return of(formula)
    return Joint(tuple(of(leaf) for leaf in leaves(formula)), formula.needed)


@pytest.mark.parametrize("judged", [decide, decide_sequentially])
def test_simulated_studies_are_decided_together_as_one_by_one(judged: Callable[..., Any]) -> None:
    random = np.random.default_rng(1)
    draw = calibrate.normal(random, (12, 4))
    claims = {
        "A1": calibrate.leaf(draw(0) + 0.8 - draw(1)),
        "A2": Joint(tuple(calibrate.leaf(draw(0) + shift - draw(1)) for shift in (1.0, 2.0)), 2),
    }
    if judged is decide:
        p = {name: calibrate.sides(claim).p for name, claim in claims.items()}
    else:
        p = {name: calibrate.sequential_sides(claim)[-1].p for name, claim in claims.items()}
    adjusted = calibrate.holm(list(p.values()))
    for study in range(4):
        found = judged({name: one_study(claim, study) for name, claim in claims.items()})
        for number, decision in enumerate(found.values()):
            assert (decision.state == "undecided") == (adjusted[number, study] > 0.05)
