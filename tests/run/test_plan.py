"""Plans: states and their reasons, shared trials, cost."""

import io
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ablate.commands.plan import print_plan
from ablate.errors import UserError
from ablate.records.files import Results, write_json
from ablate.records.plain import duration, size
from ablate.run.history import environment
from ablate.run.plan import Plan, make_plan, record_plan
from ablate.run.plan_text import as_json
from ablate.run.speeds import measured_speeds
from ablate.simclr.config import RECIPE_VERSION
from ablate.workflow.budget import check_budget
from tests.conftest import Ablate


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """The results folder of a project with a tiny study, which is the working folder."""
    monkeypatch.chdir(project)
    return Results(project / "results")


def finish(plan: Plan, results: Results, seconds: float = 36.0, **environment: Any) -> None:
    """Write records of all trials of a plan, as if each had taken `seconds`, an untrained encoder a twelfth of them."""
    record_plan(plan, results, ["test"])
    for number, trial in enumerate(plan.distinct.values()):
        folder = results.trial(trial.key)
        attempt = folder.new_attempt("local")
        write_json(attempt / "env.json", {"device": "cpu", "processor": "a processor", **environment})
        pretraining = (seconds + number - 6.0) / (1 if getattr(trial.config, "epochs", 1) else 12)
        result = {"key": trial.key, "attempt": attempt.name, "seconds": pretraining + 6.0}
        write_json(folder.result, result | {"metrics": {"evaluate_seconds": 6.0, "top1": 50.0}})
        end = results.pretrained(trial.pretrain_key) / "final-0123456789abcdef.pt"
        end.parent.mkdir(parents=True, exist_ok=True)
        end.write_bytes(b"")


def rewrite(plan: Plan, results: Results, **changes: Any) -> None:
    """Change the result of a plan's first trial: `metrics` are added to its metrics."""
    path = results.trial(plan.expansion.trials[0].key).result
    result = json.loads(path.read_text())
    metrics = result["metrics"] | changes.pop("metrics", {})
    write_json(path, result | changes | {"metrics": metrics})


def test_metrics_with_names_of_the_tool_do_not_mislead_a_plan(here: Results) -> None:
    plan = make_plan("tiny", "embedded", here)
    finish(plan, here)
    rewrite(plan, here, metrics={"evaluate_seconds": "fast", "precision": 0.87})
    key = plan.expansion.trials[0].key
    assert (environment(here, key) or {})["precision"] is None
    (sample,) = measured_speeds(plan.expansion.trainer, here, [key])
    assert sample.evaluation == 0.0
    rewrite(plan, here, key="f" * 64)
    assert measured_speeds(plan.expansion.trainer, here, [key]) == []
    assert environment(here, key) is None


def change(project: Path, old: str, new: str) -> None:
    path = project / "studies" / "tiny.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_result_of_other_settings_is_stale_and_the_plan_says_which_setting_changed(
    here: Results, project: Path
) -> None:
    finish(make_plan("tiny", "embedded", here), here)
    change(project, "[base]\n", "[base]\nhead.output_dimension = 16\n")
    plan = make_plan("tiny", "embedded", here)
    assert plan.counts == {"stale": 5}
    assert {stale.why for stale in plan.stale.values()} == {"head.output_dimension: 8 -> 16"}
    assert len(plan.to_run) == 5


def test_a_result_of_an_older_recipe_is_stale_and_the_plan_names_both_versions(here: Results) -> None:
    plan = make_plan("tiny", "embedded", here)
    record = json.loads(record_plan(plan, here, ["test"]).read_text())
    old = "0" * 64
    record["trials"] = [{**record["trials"][0], "key": old}]
    write_json(here.plans("tiny") / "plan-2.json", record)
    first = json.loads(here.trial(plan.expansion.trials[0].key).trial.read_text())
    write_json(here.trial(old).trial, first | {"key": old, "recipe_version": 1})
    write_json(here.trial(old).result, {"key": old, "attempt": "001-local", "seconds": 1.0, "top1": 1.0})
    again = make_plan("tiny", "embedded", here)
    assert again.stale[plan.expansion.trials[0].key].why == f"recipe_version: 1 -> {RECIPE_VERSION}"


def test_what_failed_or_was_interrupted_runs_again_and_what_is_done_does_not(here: Results) -> None:
    plan = make_plan("tiny", "embedded", here)
    record_plan(plan, here, ["test"])
    failed, interrupted, done, *_ = plan.expansion.trials
    for trial, state in ((failed, "failed"), (interrupted, "interrupted")):
        attempt = here.trial(trial.key).new_attempt("local")
        (attempt / "events.jsonl").write_text(
            json.dumps({"event": "ended", "time": time.time(), "state": state}) + "\n"
        )
    write_json(here.trial(done.key).result, {"key": done.key, "attempt": "001-local", "seconds": 1.0, "top1": 1.0})
    again = make_plan("tiny", "embedded", here)
    assert again.counts == {"failed": 1, "interrupted": 1, "done": 1, "new": 2}
    assert {trial.key for trial in again.keep_states(("failed", "interrupted")).to_run} == {failed.key, interrupted.key}


def test_the_cost_is_that_of_done_trials_in_proportion_to_the_work(here: Results) -> None:
    first = make_plan("tiny", "embedded", here, only={"first": ["crop"]})
    assert first.cost.hours is None
    assert first.cost.unknown == 2
    finish(first, here, seconds=36.0)  # 30 s of pretraining for 2 epochs, 6 s of evaluation; and 31 s
    plan = make_plan("tiny", "embedded", here, overrides={"epochs": 4}, only={"first": ["color"]})
    assert plan.cost.samples == 2
    assert plan.cost.hours == pytest.approx(2 * (2 * 30.5 + 6) / 3600)
    assert plan.cost.low == pytest.approx(2 * (2 * 30 + 6) / 3600)
    assert plan.cost.high == pytest.approx(2 * (2 * 31 + 6) / 3600)
    assert plan.cost.devices == ("a processor",)


def test_trials_that_share_a_pretraining_pay_for_it_once(here: Results, project: Path) -> None:
    finish(make_plan("tiny", "embedded", here, only={"first": ["crop"], "temperature": ["0.1"]}), here)
    change(project, "[axes]\n", "[axes]\nl2 = { setting = 'evaluate.cached_linear.l2', values = [1e-5, 1e-4, 1e-3] }\n")
    plan = make_plan("tiny", "embedded", here, only={"first": ["color"], "temperature": ["0.1"]})
    assert len(plan.to_run) == 3
    assert plan.cost.hours == pytest.approx((30 + 3 * 6) / 3600)


def test_a_budget_stops_a_run_that_would_cost_more_or_whose_cost_is_unknown(here: Results) -> None:
    plan = make_plan("tiny", "embedded", here)
    with pytest.raises(UserError, match="the cost of 5 of 5 trials is unknown"):
        check_budget(plan, "10h")
    finish(make_plan("tiny", "embedded", here), here, seconds=3606.0)
    more = make_plan("tiny", "embedded", here, seeds=range(2))
    check_budget(more, "4.2h")
    with pytest.raises(UserError, match=r"the run may take 4\.09 worker-hours"):
        check_budget(more, "240min")
    with pytest.raises(UserError, match="--budget soon: must be a duration"):
        check_budget(more, "soon")


def test_a_pretraining_whose_checkpoints_were_removed_costs_again_and_counts_for_the_budget(
    here: Results, project: Path
) -> None:
    change(project, "[axes]\n", "[axes]\nl2 = { setting = 'evaluate.cached_linear.l2', values = [1e-4, 1e-3] }\n")
    finish(make_plan("tiny", "embedded", here, only={"l2": ["0.0001"]}), here, seconds=3606.0)
    plan = make_plan("tiny", "embedded", here, only={"l2": ["0.0001", "0.001"]})
    assert (len(plan.to_run), plan.cost.hours) == (4, pytest.approx(4 * 6 / 3600))
    check_budget(plan, "1h")
    shutil.rmtree(here.root / "pretrained")  # as `ablate gc --checkpoints` does
    again = make_plan("tiny", "embedded", here, only={"l2": ["0.0001", "0.001"]})
    assert again.cost.hours == pytest.approx(4 * 3607.5 / 3600)
    with pytest.raises(UserError, match="the run may take"):
        check_budget(again, "1h")


def test_files_that_vanish_while_they_are_measured_are_skipped(here: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(make_plan("tiny", "embedded", here), here)
    walk = os.walk

    def walk_with_a_ghost(folder: Path) -> Any:
        return ((root, folders, [*files, "gone"]) for root, folders, files in walk(folder))

    before = make_plan("tiny", "embedded", here, seeds=range(2)).cost.disk_bytes
    monkeypatch.setattr(os, "walk", walk_with_a_ghost)
    assert make_plan("tiny", "embedded", here, seeds=range(2)).cost.disk_bytes == before


def test_a_plan_counts_the_causes_of_failed_trials_and_says_where_to_read_more(here: Results) -> None:
    plan = make_plan("tiny", "embedded", here)
    record_plan(plan, here, ["test"])
    keys = [trial.key for trial in plan.expansion.trials]
    for key, causes in ((keys[0], ["data"]), (keys[1], ["data", "diverged"]), (keys[2], ["diverged"])):
        for cause in causes:  # the newest attempt's counts
            attempt = here.trial(key).new_attempt("local")
            end = {"event": "ended", "time": time.time(), "state": "failed", "cause": cause}
            (attempt / "events.jsonl").write_text(json.dumps(end) + "\n")
    plan = make_plan("tiny", "embedded", here)
    console = Console(file=io.StringIO(), width=120)
    print_plan(plan, console)
    failed = next(line for line in console.file.getvalue().splitlines() if line.startswith("failed"))
    assert failed.split(maxsplit=1)[1].strip() == f"2 x diverged, 1 x data; see ablate why {keys[1][:12]}"
    assert [trial["cause"] for trial in as_json(plan)["trials"]] == ["data", "diverged", "diverged", None, None]


def test_a_plan_names_the_studies_that_plan_the_same_trials(here: Results, project: Path) -> None:
    finish(make_plan("tiny", "embedded", here), here)
    (project / "studies" / "other.toml").write_text(
        (project / "studies" / "tiny.toml").read_text().replace('"tiny"', '"other"').replace("[0.1, 1.0]", "[0.1, 0.3]")
    )
    plan = make_plan("other", "embedded", here)
    assert plan.shared == {"tiny": 3}
    assert plan.counts == {"done": 3, "new": 2}


def test_results_of_several_machines_and_unpaired_seeds_cause_warnings(here: Results) -> None:
    finish(make_plan("tiny", "embedded", here, only={"first": ["crop"]}), here)
    finish(make_plan("tiny", "embedded", here, only={"first": ["color"]}, seeds=range(2)), here, device="NVIDIA H100")

    def warnings(**options: Any) -> str:
        return "\n".join(warning.message for warning in make_plan("tiny", "embedded", here, **options).warnings)

    both = warnings(seeds=range(2))
    assert "the comparison mixes results of different devices: 4 on NVIDIA H100, 2 on a processor" in both
    assert "unpaired" not in both  # the run itself fills what lacks
    assert "so they differ in more than their settings: first=crop temperature=0.1 lacks seed 1" in warnings()


def test_a_cancelled_trial_runs_again_when_it_is_planned_again(here: Results) -> None:
    from ablate.records.coordination import cancel_requested, request_cancel

    plan = make_plan("tiny", "embedded", here)
    folder = here.trial(plan.to_run[0].key)
    request_cancel(folder)
    record_plan(plan, here, ["test"])
    assert not cancel_requested(folder)


def test_a_run_trains_exactly_what_its_plan_lists(ablate: Ablate, project: Path) -> None:
    options = ("tiny", "--only", "first=color", "--only", "case=untrained")
    planned = json.loads(ablate("plan", *options, "--json").stdout)
    assert ablate("run", *options).returncode == 0
    trained = {path.parent.name for path in (project / "results/trials").glob("*/result.json")}
    assert trained == set(planned["to_run"])
    assert json.loads(ablate("plan", *options, "--json").stdout)["to_run"] == []


def test_json_of_a_plan_has_every_trial_with_its_state(here: Results) -> None:
    plan = as_json(make_plan("tiny", "embedded", here))
    assert [trial["label"] for trial in plan["trials"]][:2] == [
        "first=crop temperature=0.1 seed=0",
        "first=crop temperature=1.0 seed=0",
    ]
    assert {trial["state"] for trial in plan["trials"]} == {"new"}
    json.dumps(plan)


def test_durations_and_sizes_are_printed_in_readable_units() -> None:
    assert [duration(seconds / 3600) for seconds in (2.31, 14, 400, 9000)] == ["2.3 s", "14 s", "7 min", "2.5 h"]
    assert duration(72) == "3.0 days"
    assert [size(count) for count in (12, 1810000)] == ["12 bytes", "1.81 MB"]
