"""A study with [tune], run to its page: two stages, choices by validation data alone, and what the page says."""

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ablate.errors import UserError
from ablate.judge.study import judge_study
from ablate.judge.tried import Tries
from ablate.records.files import Results
from ablate.records.plans import load_plans, newest_plan
from ablate.report.charts.tuning import tuning_figure
from ablate.report.tuning import _warnings
from ablate.run.history import to_retry_elsewhere
from ablate.run.options import PlanOptions, RunOptions
from ablate.workflow.mirror import mirror_study
from ablate.workflow.pages import finish
from ablate.workflow.run import plan_study, retry_study, run_study
from ablate.workflow.tuning import choices_of, plan_comparison, scores_of

TRAINER = """\
import math
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ablate.trainer.contract import Diverged


class Config(BaseModel):
    seed: int = 0
    method: str = "a"
    lr: float = 0.1
    bonus: int = 0


def train(config: Config, context: Any) -> dict[str, float]:
    if config.lr > 10:
        raise Diverged("the loss is infinite")
    if config.lr > 1:
        return {"accuracy": 50.0, "validation": math.nan}
    if Path("no_data").exists() and config.lr == 1:
        raise RuntimeError("no data")
    best, top = {"a": (0.1, 80), "b": (1.0, 83)}[config.method]
    validation = top - 10 * abs(math.log10(config.lr / best)) + config.seed % 10 + config.bonus
    return {"accuracy": 100 - validation, "validation": validation}  # the test numbers say the opposite
"""
STUDY = """\
name = "methods"
title = "Methods"
question = "Which method?"
trainer = "tuned_trainer:train"
metric = "accuracy"

[axes]
method = ["a", "b"]

[tune]
settings = { lr = [0.1, 1.0] }
metric = "validation"
seeds = 2
"""
INLINE = RunOptions(inline=True)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """No records, in a working folder with the study."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "tuned_trainer.py").write_text(TRAINER)
    (tmp_path / "methods.toml").write_text(STUDY)
    return Results(tmp_path / "results")


def test_a_run_trains_what_is_missing_of_both_stages_and_its_page_says_what_was_chosen(results: Results) -> None:
    first = plan_study("methods.toml", PlanOptions(), results)
    assert (first.loaded.study.name, len(first.to_run)) == ("methods_tuning", 8)
    assert len(plan_comparison(first, PlanOptions(), results).to_run) == 2
    one = run_study("methods.toml", PlanOptions(only={"method": ["a"]}), INLINE, results)
    assert len(one.plan.distinct) == 1
    finished = run_study("methods.toml", PlanOptions(), INLINE, results)
    chosen = {trial.cell.label: trial.config.lr for trial in finished.plan.expansion.trials}  # type: ignore[attr-defined]
    assert chosen == {"method=a": 0.1, "method=b": 1.0}
    assert len(finished.outcomes) == 1  # the other trial of the second stage is that of the first run
    finish(finished, Path("reports"))
    page = re.sub(r"<[^>]+>", "", Path("reports/methods.html").read_text(encoding="utf-8"))
    assert "the highest mean validation over 2 seeds that the comparison does not use" in page
    assert "With the first values in every cell, a would be the best instead of b." in page
    assert "b: lr 1.0 is the highest value that was tried, so a better one may lie beyond: try 10.0, too" in page
    recorded = newest_plan(results, "methods").tuned
    assert [each["values"] for each in recorded["cells"]] == [{"lr": 0.1}, {"lr": 1.0}]
    assert recorded["cells"][1]["scores"][0] == {"values": {"lr": 0.1}, "score": 73.5}


def test_choices_depend_on_nothing_but_the_named_metric_of_the_trials_that_choose(results: Results) -> None:
    first = plan_study("methods.toml", PlanOptions(), results)
    scores = {key: float(trial.config.lr) for key, trial in first.distinct.items()}  # type: ignore[attr-defined]
    assert [each.values for each in choices_of(first, scores)] == [{"lr": 1.0}, {"lr": 1.0}]
    with pytest.raises(UserError, match="has no 'validation', by which values are chosen"):
        scores_of(first, results)


def test_seeds_that_choose_do_not_compare(results: Results) -> None:
    with pytest.raises(UserError, match="seed 1001 is used by"):
        plan_study("methods.toml", PlanOptions(seeds=[0, 1001]), results)


def test_values_that_diverge_count_as_the_worst_and_runs_of_some_cells_share_a_page(results: Results) -> None:
    Path("methods.toml").write_text(STUDY.replace("[0.1, 1.0]", "[100.0, 10.0, 0.1, 1.0]"))
    for method in ("a", "b"):
        finished = run_study("methods.toml", PlanOptions(only={"method": [method]}), INLINE, results)
        assert [outcome["state"] for outcome in finished.outcomes.values()] == ["done"]
    finish(finished, Path("reports"))
    page = re.sub(r"<[^>]+>", " ", Path("reports/methods.html").read_text(encoding="utf-8"))
    text = " ".join(page.split())
    assert "a lr 0.1 80.5 2 diverged 1 b lr 1.0 83.5 1 diverged 1" in text
    assert "a b lr 100.0 diverged diverged lr 10.0 diverged diverged lr 0.1 80.5 73.5 lr 1.0 70.5 83.5" in text
    recorded = newest_plan(results, "methods").tuned["cells"]
    assert [(each["axes"], each["values"]) for each in recorded] == [
        ({"method": "a"}, {"lr": 0.1}),
        ({"method": "b"}, {"lr": 1.0}),
    ]
    assert [each["score"] for each in recorded[0]["scores"]] == [None, None, 80.5, 70.5]
    assert [len(cell.measured) for cell in judge_study(results, "methods.toml").cells] == [1, 1]


def test_cells_that_tune_other_settings_have_tables_of_their_own_on_the_page(results: Results) -> None:
    Path("methods.toml").write_text(
        STUDY.replace("lr = [0.1, 1.0]", "lr = [0.1, 1.0], bonus = [0, 2, 1]")
        + "when = { bonus = \"method == 'b'\" }\n"
    )
    finished = run_study("methods.toml", PlanOptions(), INLINE, results)
    finish(finished, Path("reports"))
    recorded = newest_plan(results, "methods").tuned["cells"]
    assert [each["values"] for each in recorded] == [{"lr": 0.1}, {"lr": 1.0, "bonus": 2}]
    assert [len(each["scores"]) for each in recorded] == [2, 6]
    html = Path("reports/methods.html").read_text(encoding="utf-8")
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    assert "rank untuned a lr 0.1 80.5 2 80.5 1 b lr 1.0, bonus 2 85.5 1 73.5 2 Scores" in text
    of_b = zip(
        [f"lr {lr}, bonus {bonus}" for lr in (0.1, 1.0) for bonus in (0, 2, 1)],
        ("73.5", "75.5", "74.5", "83.5", "85.5", "84.5"),
        strict=True,
    )
    assert "Scores of all values a lr 0.1 80.5 lr 1.0 70.5 b " + " ".join(map(" ".join, of_b)) in text
    assert "Every cell tried all combinations of the settings that it tunes, 2 to 6 of them." in html
    assert "lr 1.0 is the highest value" in html
    assert list(map(list, _curve(results))) == [
        ["a", "lr", "0.1", "80.5", "yes"], ["a", "lr", "1.0", "70.5", ""],
        ["b", "lr", "0.1", "75.5", ""], ["b", "lr", "1.0", "85.5", "yes"],
        ["b", "bonus", "0", "83.5", ""], ["b", "bonus", "1", "84.5", ""], ["b", "bonus", "2", "85.5", "yes"],
    ]  # fmt: skip
    assert "bonus 2 is the highest value that was tried, so a better one may lie beyond: try 3.0, too" in html


def _curve(results: Results) -> Sequence[Sequence[str]]:
    """The rows of the chart of what cells tried."""
    figure = tuning_figure(judge_study(results, "methods.toml").evidence)
    assert figure is not None
    return figure.rows


def test_a_cell_that_chose_anew_has_lost_the_trials_of_its_earlier_choice(results: Results) -> None:
    run_study("methods.toml", PlanOptions(seeds=[0, 1]), INLINE, results)
    for key in _scored(results):
        file = results.trial(key).result
        file.write_text(file.read_text().replace('"validation": ', '"validation": 1'))  # 70.0 -> 170.0
    again = run_study("methods.toml", PlanOptions(only={"method": ["a"]}), INLINE, results).plan
    assert [trial.config.lr for trial in again.expansion.trials] == [1.0]  # type: ignore[attr-defined]
    cells = judge_study(results, "methods.toml").cells
    assert [(cell.cell.label, cell.asked) for cell in cells] == [("method=a", (0,)), ("method=b", (0, 1))]


def _scored(results: Results) -> list[str]:
    """The trials of the first stage with method a and the rate 1.0."""
    (first,) = load_plans(results, "methods_tuning")
    return [trial.key for trial in first.trials if trial.cell.axes == {"method": "a", "lr": 1.0}]


def test_retry_and_mirror_work_before_and_after_the_first_stage_has_ended(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored: list[tuple[str, int, str]] = []

    def fake(names: Sequence[str], trials: Sequence[Any], results: Results, study: str, say: Any, *more: Any) -> Any:
        mirrored.append((study, len(trials), more[-1]))
        return contextlib.nullcontext()

    Path("no_data").touch()
    failed = run_study("methods.toml", PlanOptions(), INLINE, results)
    assert (failed.plan.loaded.study.name, len(failed.failed)) == ("methods_tuning", 4)
    assert to_retry_elsewhere(results, "methods_tuning", "small") == [
        "4 at embedded: ablate retry methods --profile embedded"
    ]
    monkeypatch.setattr("ablate.run.mirrors.mirrored", fake)
    assert mirror_study("methods.toml", PlanOptions(), ["tensorboard"], results) == {"tensorboard": 8}
    monkeypatch.setattr("ablate.run.mirrors.mirrored", lambda *given, asked: contextlib.nullcontext())
    Path("no_data").unlink()
    retried = retry_study("methods.toml", PlanOptions(), INLINE, results)
    assert retried
    assert len(retried.outcomes) == 4
    run_study("methods.toml", PlanOptions(), INLINE, results)
    monkeypatch.setattr("ablate.run.mirrors.mirrored", fake)
    assert mirror_study("methods.toml", PlanOptions(), ["tensorboard"], results) == {"tensorboard": 10}
    assert to_retry_elsewhere(results, "methods_tuning", "small") == []
    assert mirrored == [("methods_tuning", 8, "methods")] * 2 + [("methods", 2, "methods")]


@pytest.mark.parametrize(("most", "tried"), [(2, "try 2.0, too"), (10, "try 3.2, too"), (1.6, "")])
def test_no_value_beyond_the_limits_of_a_setting_is_suggested(most: float, tried: str) -> None:
    chose_the_highest = Tries("a", ({"margin": 0.4}, {"margin": 0.8}, {"margin": 1.6}), (1.0, 2.0, 3.0), 2)
    said = list(_warnings([chose_the_highest], lambda setting: (0, most)))
    assert [each.endswith(tried) for each in said] == [True] * bool(tried)
