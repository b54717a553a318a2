"""Runs that collapse, diverge or are added after a verdict was seen; claims on several metrics."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from scipy.stats import fisher_exact

from ablate.judge.outliers import Apart, failure_note, outliers
from ablate.judge.study import judge_study
from ablate.records.plans import load_plans, save_plan
from tests.judge.claimed import ask, claim, grid, leaves, measured
from tests.judge.test_verdict import CLEAR, STUDY, write_results, write_study
from tests.records.by_hand import key_of, write_trial

AXES = {"x": ["a", "b", "c"]}
CELLS = {("a",): [60.0, 61.0, 60.4], ("b",): [55.0, 54.2, 54.9], ("c",): [50.0, 12.0, 51.0]}


def test_a_run_far_from_the_others_of_its_cell_stands_apart_and_no_other_does() -> None:
    cells = grid(AXES, CELLS)
    assert outliers(cells, [(0, "top1"), (1, "top1"), (2, "top1")]) == {(2, 1): Apart("top1", 12.0)}
    assert outliers(cells, [(0, "top1"), (1, "top1")]) == {}  # it is not compared
    assert outliers(grid(AXES, {place: tops[:2] for place, tops in CELLS.items()}), [(2, "top1")]) == {}


def test_runs_apart_from_others_that_are_all_equal_are_seen() -> None:
    """Rounded accuracies and deterministic trainers have no scale of their own."""
    flat = {place: [61.0 if seed % 5 else 10.0 for seed in range(20)] for place in CELLS}
    assert set(outliers(grid(AXES, flat), [(0, "top1")])) == {(0, 0), (0, 5), (0, 10), (0, 15)}
    steps = {place: [*tops[:16], 61.1, 60.9, 61.1, 60.9] for place, tops in flat.items()}
    assert set(outliers(grid(AXES, steps), [(0, "top1")])) == {(0, 0), (0, 5), (0, 10), (0, 15)}


def test_a_claim_that_only_profits_from_another_claims_collapsed_run_is_withheld_too(tmp_path: Path) -> None:
    """By Holm's method a claim gets a higher level if another claim is decided."""
    more = """
[[claims]]
id = "A2"
text = "The linear head is good."
source = "here"
kind = "at_least"
cells = "head == 'none'"
value = 60
"""
    only_two = "cells = \"head != 'none'\"\nis = \"head == 'nonlinear'\""
    path = write_study(tmp_path, more, STUDY.replace("is = \"head == 'nonlinear'\"", only_two))
    close = {
        "none": [60.0 + 0.2 * (-1) ** seed if seed % 4 else 10.0 for seed in range(20)],
        "linear": [59.0] * 20,
        "nonlinear": [59.4244 + (-1) ** seed for seed in range(20)],
    }
    first_one, second = judge_study(write_results(tmp_path, path, close), str(path)).verdicts
    assert second.state == "withheld"
    assert first_one.decision is not None
    assert 0.025 < (first_one.decision.p or 0.0) < 0.05
    assert first_one.state == "withheld"


def test_a_cell_of_which_every_run_failed_ends_only_its_own_comparisons(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    below = {"none": [40.0, 41.0, 40.5], "linear": [75.0, 75.8, 75.5], "nonlinear": [60.0, 60.9, 60.4]}
    results = write_results(tmp_path, path, below)
    for seed in range(3):
        results.trial(key_of(seed)).result.unlink()
        write_trial(results, key_of(seed), state="failed", cause="diverged", message="loss is nan")
    (verdict,) = judge_study(results, str(path)).verdicts
    assert verdict.state == "refuted"
    assert verdict.notes[0] == "'none' has no result: comparisons with it count as unknown"


def test_a_limit_of_seeds_that_was_raised_is_a_caution(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    results = write_results(tmp_path, path, CLEAR, sequential=True, most_seeds=8)
    assert judge_study(results, "mine").cautions == ()
    save_plan(results, replace(load_plans(results, "mine")[-1], most_seeds=30))
    (caution,) = judge_study(results, "mine").cautions
    assert caution.startswith("the limit of seeds was raised from 8 to 30 after verdicts had been shown")


def test_a_cell_that_varies_more_than_the_others_is_not_all_outliers() -> None:
    noisy = {**CELLS, ("c",): [50.0, 12.0, 91.0, 30.0, 70.0]}
    assert outliers(grid(AXES, noisy), [(2, "top1")]) == {}


def test_a_verdict_that_one_run_decides_is_withheld_and_says_which(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    close = {head: [*tops, *tops[:2]] for head, tops in CLEAR.items()} | {"linear": [59.0, 12.0, 59.1, 58.8, 59.4]}
    (verdict,) = judge_study(write_results(tmp_path, path, close), str(path)).verdicts
    assert (verdict.state, verdict.label) == ("withheld", "withheld")
    assert verdict.notes[0].startswith("withheld because it depends on seed 1 of 'linear' (12; its other seeds 58.8 to")
    assert "verdicts are about runs that train: 1 of 5 runs of 'linear' diverged or stand apart" in verdict.notes[-1]


def test_a_verdict_that_a_collapsed_run_does_not_change_stands_and_tells_it(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    more = {head: [*tops, *(top + 0.1 for top in tops)] for head, tops in CLEAR.items()}
    more["none"][1] = 1.0  # the other rival decides
    (verdict,) = judge_study(write_results(tmp_path, path, more), str(path)).verdicts
    assert verdict.state == "supported"
    assert "1 of 6 runs of 'none' diverged or stand apart, and 0 of 12 of the claim's other cells" in verdict.notes[-1]


def test_failures_are_compared_by_fishers_exact_test() -> None:
    cells = grid(AXES, {place: [1.0] * 5 for place in CELLS})
    cells[1] = replace(cells[1], failed={5: "diverged", 6: "diverged", 7: "memory"})
    p = 3 * fisher_exact([[3, 4], [0, 10]], alternative="greater").pvalue
    assert failure_note(cells, range(3), [(1, 4)]) == (
        f"3 of 7 runs of 'b' diverged or stand apart, and 0 of 10 of the claim's other cells "
        f"(Fisher's exact test: p {p:.2g})"
    )
    assert failure_note(cells, [0, 2], []) is None


def test_a_run_that_failed_holds_back_no_look_and_a_missing_one_does(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    more = {head: [*tops, *(top + 0.1 for top in tops)] for head, tops in CLEAR.items()}
    results = write_results(tmp_path, path, more, sequential=True)
    results.trial(key_of(101)).result.unlink()
    (verdict,) = judge_study(results, "mine").verdicts
    assert (verdict.state, verdict.open_cells) == ("undecided", {1, 2})  # `none` is decided by the other seeds
    write_trial(results, key_of(101), state="failed", cause="diverged", message="loss is nan")
    (verdict,) = judge_study(results, "mine").verdicts
    assert (verdict.state, verdict.open_cells) == ("supported", frozenset())
    assert verdict.decision is not None
    assert verdict.decision.comparisons[1].seeds == (0, 2, 3, 4, 5)
    assert verdict.decision.comparisons[1].left_out == (1,)


@pytest.mark.parametrize(("before", "caution"), [(3, True), (2, False)])
def test_seeds_added_after_a_verdict_was_seen_bring_the_test_for_looks_and_a_caution(
    tmp_path: Path, before: int, caution: bool
) -> None:
    path = write_study(tmp_path)
    more = {head: [*tops, *(top + 0.1 for top in tops)] for head, tops in CLEAR.items()}
    results = write_results(tmp_path, path, more)
    assert not judge_study(results, "mine").sequential
    (plan,) = load_plans(results, "mine")
    save_plan(results, replace(plan, trials=tuple(each for each in plan.trials if each.seed < before)))
    assert not judge_study(results, "mine").sequential  # a smaller run later adds nothing
    save_plan(results, plan)
    judged = judge_study(results, "mine")
    assert judged.sequential == caution
    assert (
        any("seeds were added after verdicts at 3 seeds had been shown" in each for each in judged.cautions) == caution
    )


def test_a_claim_on_several_metrics_holds_for_each_of_them() -> None:
    cells = [
        measured({"x": name}, None, name, 1, {0: {"top1": top1, "knn": knn}})
        for name, top1, knn in (("a", 60.0, 40.0), ("b", 55.0, 41.0))
    ]
    both = claim("greater", left="x == 'a'", right="x == 'b'", metrics=["top1", "knn"])
    assert leaves(ask(both, cells, {"x": ["a", "b"]})) == {"a - b (top1)": ((5,), 0.0), "a - b (knn)": ((-1,), 0.0)}


@pytest.mark.parametrize("more", [{"metric": "top1"}, {"right_metric": "top1", "left": None, "right": None}])
def test_one_metric_and_several_are_refused_together(more: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="has 'metric"):
        claim("greater", **{"left": "x == 'a'", "right": "x == 'b'", "metrics": ["top1", "knn"], **more})
