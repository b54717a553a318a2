"""The order of trials: an early look shows every cell, and later seeds go first where claims need them."""

from pathlib import Path

from ablate.records.files import Results
from ablate.run.order import IN_WORDS, in_order
from ablate.run.plan import Plan, make_plan, record_plan
from ablate.run.plan_text import facts
from ablate.study.cells.cell import Cell
from ablate.workflow.needed import needed_cells, ordered
from tests.records.by_hand import write_trial

STUDY = """
name = "rates"
title = "Rates"
question = "Which?"
[axes]
temperature = { setting = "loss.temperature", values = [0.1, 0.2, 0.5, 1.0] }
[[claims]]
id = "A1"
text = "The second is better than the last."
kind = "greater"
left = "temperature == 0.2"
right = "temperature == 1"
[[claims]]
id = "A2"
text = "The first is better than the second."
kind = "greater"
left = "temperature == 0.1"
right = "temperature == 0.2"
"""


def planned(folder: Path, seeds: int) -> tuple[Plan, Results]:
    path, results = folder / "rates.toml", Results(folder / "results")
    path.write_text(STUDY, encoding="utf-8")
    return make_plan(str(path), "embedded", results, seeds=range(seeds)), results


def test_after_a_fifth_of_the_trials_of_five_seeds_every_cell_has_its_first_seed(tmp_path: Path) -> None:
    plan, results = planned(tmp_path, 5)
    order = ordered(plan, results)
    assert sorted(trial.key for trial in order) == sorted(trial.key for trial in plan.to_run)
    first = order[: len(order) // 5]
    assert {trial.seed for trial in first} == {0}
    assert {trial.cell for trial in first} == {trial.cell for trial in order}


def test_the_later_seeds_of_cells_that_claims_compare_come_before_those_of_others(tmp_path: Path) -> None:
    plan, results = planned(tmp_path, 3)
    later = [(trial.cell.axes["temperature"], trial.seed) for trial in ordered(plan, results)[4:]]
    assert later == [(0.1, 1), (0.2, 1), (1.0, 1), (0.1, 2), (0.2, 2), (1.0, 2), (0.5, 1), (0.5, 2)]


def test_cells_whose_claims_are_all_decided_come_after_those_of_open_ones(tmp_path: Path) -> None:
    plan, results = planned(tmp_path, 4)
    record_plan(plan, results, [])
    # A1 is decided: 0.2 is far above 1.0 at every seed. A2 is open: its difference changes sign.
    values: dict[object, tuple[float, ...]] = {
        0.1: (50, 52, 51, 49),
        0.2: (51, 50, 50.5, 50.7),
        0.5: (40, 41, 42, 43),
        1.0: (10, 11, 10.5, 10.2),
    }
    for trial in plan.expansion.trials:
        write_trial(results, trial.key, numbers={"top1": float(values[trial.cell.axes["temperature"]][trial.seed])})
    more, _ = planned(tmp_path, 6)
    assert needed_cells(more, results) == {Cell({"temperature": 0.1}), Cell({"temperature": 0.2})}
    order = [(trial.cell.axes["temperature"], trial.seed) for trial in ordered(more, results)]
    assert order == [(0.1, 4), (0.2, 4), (0.1, 5), (0.2, 5), (0.5, 4), (1.0, 4), (0.5, 5), (1.0, 5)]


def test_a_plan_states_the_order_where_there_is_a_choice(tmp_path: Path) -> None:
    assert ("order", IN_WORDS) in facts(planned(tmp_path, 2)[0])
    assert "order" not in dict(facts(planned(tmp_path, 1)[0]))


def test_the_order_of_the_file_stays_within_a_seed(tmp_path: Path) -> None:
    plan, _ = planned(tmp_path, 2)
    for seeds in ([0, 1], [1, 0]):
        order = in_order(plan.to_run, seeds)
        assert [trial.seed for trial in order] == [seed for seed in seeds for _ in range(4)]
        assert [trial.cell.axes["temperature"] for trial in order] == [0.1, 0.2, 0.5, 1.0] * 2
