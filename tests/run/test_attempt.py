import errno
import fcntl
import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ablate.records import attempt
from ablate.records.attempt import AttemptWriter, environment_of, trial_status
from ablate.records.coordination import claim, clear_cancel, request_cancel
from ablate.records.correct import Correct
from ablate.records.files import Results
from ablate.records.plans import read_plan
from ablate.records.reading import read_json_lines, read_result
from ablate.run import attempt as run_attempt
from ablate.run.attempt import run_trial
from ablate.run.context import RecordingContext
from ablate.trainer.world import World
from tests.records.by_hand import save_record
from tests.run.toy import Settings, ask


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path)


def end_of(results: Results, key: str) -> dict[str, Any]:
    """The last event of a trial's newest attempt."""
    return read_json_lines(results.trial(key).attempt_folders()[-1] / "events.jsonl")[-1]


def run(results: Results, **settings: Any) -> tuple[str, dict[str, Any]]:
    (key,) = ask(results, Settings(**settings))
    return key, run_trial(results, key, "test", capture_output=False)


def test_a_custom_trainer_leaves_its_metrics_rows_and_environment(results: Results) -> None:
    key, outcome = run(results)
    assert outcome == {"state": "done", "attempt": "001-test"}
    result = json.loads(results.trial(key).result.read_text())
    assert (result["metrics"], result["key"], result["attempt"]) == ({"accuracy": 0.5}, key, "001-test")
    folder = results.trial(key).attempts / "001-test"
    assert read_json_lines(folder / "metrics.jsonl") == [{"step": 1, "accuracy": 0.25}]
    assert environment_of(folder)["device"] == "cpu"


def test_the_test_examples_that_a_trainer_got_right_are_kept_with_its_result(results: Results) -> None:
    key, _ = run(results, does="right")
    record = read_result(results.trial(key).result)
    assert Correct.model_validate(record.correct["accuracy"]).data == b"\x80"
    assert record.warnings == []


def test_examples_whose_share_is_not_the_metric_are_left_out_and_warned_of(results: Results) -> None:
    key, outcome = run(results, does="right of another")
    record = read_result(results.trial(key).result)
    assert (outcome["state"], record.correct) == ("done", {})
    (warning,) = record.warnings
    assert warning == "accuracy is not the share of the examples that are right: these are left out"


def test_a_done_trial_leaves_five_files_and_its_output_if_it_has_any(results: Results) -> None:
    (key,) = ask(results, Settings())
    assert run_trial(results, key, "test")["state"] == "done"
    folder = results.trial(key).path
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    always = {
        "trial.json",
        "result.json",
        ".claim",
        "attempts/001-test/events.jsonl",
        "attempts/001-test/metrics.jsonl",
    }
    assert files == always


def run_for(results: Results, metric: str, does: str) -> tuple[str, dict[str, Any]]:
    """A trial of a study with this metric."""
    (key,) = ask(results, Settings(does=does))
    plan = save_record(results, "mine", {"metric": metric})
    spec = json.loads(results.trial(key).trial.read_text()) | {"plan": str(plan.relative_to(results.root))}
    results.trial(key).trial.write_text(json.dumps(spec))
    return key, run_trial(results, key, "test", capture_output=False)


@pytest.mark.parametrize(
    ("metric", "does", "message", "kept"),
    [
        ("accuracy", "nan", "the trainer returned nan as the study's metric 'accuracy', which is not a finite number; "
         "it returned no other number", {"accuracy": None}),
        ("accuracy", "text", "the trainer returned '0.75' as the study's metric 'accuracy', which is not a finite "
         "number; the other numbers that it returned are loss", {"accuracy": "0.75", "loss": 2.0}),
        ("acuracy", "return", "the trainer did not return the study's metric 'acuracy'; it returned accuracy; did you "
         "mean 'accuracy'?", {"accuracy": 0.5}),
    ],
)  # fmt: skip
def test_a_trial_without_the_number_of_its_study_fails_and_its_other_numbers_stay(
    results: Results, metric: str, does: str, message: str, kept: dict[str, Any]
) -> None:
    key, outcome = run_for(results, metric, does)
    assert outcome == {"state": "failed", "cause": "metric", "message": message, "attempt": "001-test"}
    assert not results.trial(key).result.exists()
    events = read_json_lines(results.trial(key).attempt_folders()[-1] / "events.jsonl")
    assert [event["metrics"] for event in events if event["event"] == "returned"] == [kept]


def test_a_trial_that_failed_for_want_of_a_metric_need_not_train_again_once_its_study_names_another(
    results: Results, tmp_path: Path
) -> None:
    key, _ = run_for(results, "acuracy", "return")
    plan = save_record(results, "mine", {"metric": "accuracy"})
    spec = json.loads(results.trial(key).trial.read_text()) | {"plan": str(plan.relative_to(results.root))}
    spec["config"]["marker"] = str(tmp_path / "trained")
    results.trial(key).trial.write_text(json.dumps(spec))
    outcome = run_trial(results, key, "test", capture_output=False)
    assert outcome == {"state": "done", "message": "attempt 001-test had returned the metric"}
    result = json.loads(results.trial(key).result.read_text())
    assert (result["key"], result["attempt"], result["metrics"]) == (key, "001-test", {"accuracy": 0.5})
    assert not (tmp_path / "trained").exists()


@pytest.mark.parametrize(
    "damage", [{"event": []}, {"event": "returned", "metrics": {"accuracy": 1.0}, "warnings": [1]}]
)
def test_a_damaged_event_of_an_earlier_attempt_never_ends_in_a_damaged_result(
    results: Results, damage: dict[str, Any]
) -> None:
    key, _ = run_for(results, "acuracy", "return")
    plan = save_record(results, "mine", {"metric": "accuracy"})
    spec = json.loads(results.trial(key).trial.read_text()) | {"plan": str(plan.relative_to(results.root))}
    results.trial(key).trial.write_text(json.dumps(spec))
    with (results.trial(key).attempts / "001-test" / "events.jsonl").open("a") as events:
        events.write(json.dumps(damage) + "\n")
    assert run_trial(results, key, "test", capture_output=False)["state"] == "done"
    assert read_result(results.trial(key).result).metrics == {"accuracy": 0.5}


def test_a_plan_is_read_before_training_only_if_an_earlier_attempt_returned_numbers(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr(run_attempt, "read_plan", lambda path: read.append(path) or read_plan(path))
    run_for(results, "acuracy", "raise")
    key, _ = run_for(results, "acuracy", "raise")
    assert read == []
    run_for(results, "acuracy", "return")
    assert len(read) == 1
    run_trial(results, key, "test", capture_output=False)
    assert len(read) == 3


def test_large_metrics_in_many_lists_are_read_back(results: Results) -> None:
    key, outcome = run(results, does="large")
    assert outcome["state"] == "done"
    assert read_result(results.trial(key).result).metrics.keys() == {"accuracy", "one", "two"}


@pytest.mark.parametrize(
    ("does", "metrics", "warning"),
    [
        ("nan beside", {"accuracy": 0.5, "seconds": 7.0, "key": "k", "worst": [1.0, None]},
         "worst[1] is NaN: recorded as null"),
        ("object", {"model": None, "accuracy": 0.5}, "model is of type object: recorded as null"),
        ("log", {"accuracy": 0.5}, "the logged loss, of type list, is not a number: left out"),
    ],
)  # fmt: skip
def test_what_is_no_number_beside_the_metric_is_null_and_warned_of(
    results: Results, does: str, metrics: dict[str, Any], warning: str
) -> None:
    key, outcome = run_for(results, "accuracy", does)
    assert outcome == {"state": "done", "message": f"warning: {warning}", "attempt": "001-test"}
    result = json.loads(results.trial(key).result.read_text())
    assert (result["metrics"], result["warnings"]) == (metrics, [warning])
    assert (result["key"], type(result["seconds"])) == (key, float)
    folder = results.trial(key).attempt_folders()[-1]
    rows = read_json_lines(folder / "metrics.jsonl")
    assert rows[1:] == ([{"loss": None, "step": 2}] if does == "log" else [])
    assert warning in [event.get("message") for event in read_json_lines(folder / "events.jsonl")]


@pytest.mark.parametrize(
    ("does", "cause", "message"),
    [
        ("none", "exception", "TypeError: the trainer returned NoneType; expected a dictionary of numbers"),
        ("raise", "exception", "RuntimeError: boom"),
        ("exit", "exception", "the trainer exited (SystemExit: 3)"),
        ("cancel", "exception", "CancelledError: the loop was closed"),
        ("ctrl-c", "exception", "KeyboardInterrupt"),
        ("full", "disk_full", "no space left on the disk of the results folder"),
        ("full in a library", "disk_full", "no space left on the disk of the results folder"),
    ],
)
def test_a_failure_is_told_with_its_cause_and_written_as_the_attempts_end(
    results: Results, does: str, cause: str, message: str
) -> None:
    key, outcome = run(results, does=does)
    assert outcome == {"state": "failed", "cause": cause, "message": message, "attempt": "001-test"}
    end = end_of(results, key)
    assert (end["event"], end["state"], end["cause"], end["message"]) == ("ended", "failed", cause, message)
    assert not results.trial(key).result.exists()


def test_a_full_disk_leaves_room_for_the_end_of_the_attempt(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    append = attempt._append

    def full(file: Any, row: dict[str, Any]) -> None:
        if (Path(file.name).parent / ".reserve").exists() and row.get("event") != "started":
            raise OSError(errno.ENOSPC, "No space left on device")
        append(file, row)

    monkeypatch.setattr(attempt, "_append", full)
    key, outcome = run(results)
    assert outcome["cause"] == end_of(results, key)["cause"] == "disk_full"


def test_a_trial_that_cannot_be_read_has_failed_without_an_attempt(results: Results) -> None:
    (key,) = ask(results, Settings())
    results.trial(key).trial.write_text("{")
    outcome = run_trial(results, key, "test")
    assert (outcome["state"], outcome["cause"]) == ("failed", "record")
    assert outcome["message"].startswith(f"{results.trial(key).path} cannot be trained: trial.json ")
    assert "attempt" not in outcome
    assert results.trial(key).attempt_folders() == []


def test_an_attempt_says_who_it_is_before_it_looks_at_its_machine_which_may_hang(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = ask(results, Settings())
    seen = []

    def look(*anything: Any) -> dict[str, Any]:
        seen.append(end_of(results, key)["event"])
        return {}

    monkeypatch.setattr(run_attempt, "provenance", look)
    run_trial(results, key, "test", capture_output=False)
    assert seen == ["started"]


def test_a_disk_without_space_for_the_reserve_of_an_attempt_is_the_cause_of_its_end(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = ask(results, Settings())

    def write(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", write)
    outcome = run_trial(results, key, "test", capture_output=False)
    assert (outcome["state"], outcome["cause"]) == ("failed", "disk_full")


class _FirstOfTwo(World):
    """The first of two ranks, without the other one."""

    def announce(self, value: Any = None) -> Any:
        return value


@pytest.mark.parametrize("does", ["interrupt", "none"])
def test_a_signal_that_another_rank_received_first_is_the_cause_of_the_end(results: Results, does: str) -> None:
    (key,) = ask(results, Settings(does=does))
    asked = iter([None, None, None])
    outcome = run_trial(results, key, "test", stopping=lambda: next(asked, "timeout"), world=_FirstOfTwo(0, 2))
    assert (outcome["state"], outcome["cause"]) == ("interrupted", "unsaved")


def test_a_trial_planned_with_another_recipe_of_its_trainer_fails_and_says_so(results: Results) -> None:
    (key,) = ask(results, Settings(), recipe_version=7)
    outcome = run_trial(results, key, "test", capture_output=False)
    told = "the trial was planned for recipe version 7 of its trainer; the current version is 1"
    assert (outcome["cause"], outcome["message"]) == ("trainer", told)


def test_a_trial_that_another_process_is_at_is_running_and_gets_no_attempt(results: Results) -> None:
    (key,) = ask(results, Settings())
    with claim(results.trial(key)) as held:
        assert held == "ours"
        outcome = run_trial(results, key, "test")
    assert outcome == {"state": "running", "message": "another process is running it"}
    assert results.trial(key).attempt_folders() == []
    assert run_trial(results, key, "test", capture_output=False)["state"] == "done"


def test_a_trial_that_another_process_has_done_meanwhile_is_done_without_an_attempt(results: Results) -> None:
    key, _ = run(results)
    assert run_trial(results, key, "test") == {"state": "done", "message": "another process finished it"}
    assert len(results.trial(key).attempt_folders()) == 1


def test_an_attempt_of_another_machine_is_left_alone_while_its_heart_beats(results: Results) -> None:
    (key,) = ask(results, Settings())
    writer = AttemptWriter(results.trial(key).new_attempt("there"))
    writer.event("started", host="another-host", pid=7)
    outcome = run_trial(results, key, "test")
    assert outcome == {"state": "running", "message": "another process is running it (another-host, process 7)"}
    writer.close()
    os.utime(writer.path / "heartbeat", (0, 0))
    assert run_trial(results, key, "test", capture_output=False)["state"] == "done"


def test_without_locks_an_attempt_of_another_process_is_left_alone_while_its_heart_beats(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    (key,) = ask(results, Settings())
    for pid, state in ((os.getppid(), "running"), (os.getpid(), "done")):
        writer = AttemptWriter(results.trial(key).new_attempt("local"))
        writer.event("started", host=platform.node(), pid=pid)
        assert run_trial(results, key, "test", capture_output=False)["state"] == state
        writer.close()


def test_a_second_ctrl_c_goes_on_and_is_written_as_the_attempts_end(results: Results) -> None:
    (key,) = ask(results, Settings(does="ctrl-c"))
    with pytest.raises(KeyboardInterrupt):
        run_trial(results, key, "test", stopping=lambda: True, capture_output=False)
    assert (end_of(results, key)["state"], end_of(results, key)["cause"]) == ("interrupted", "stopped")


def test_settings_that_the_trainer_no_longer_takes_are_the_cause(results: Results) -> None:
    (key,) = ask(results, Settings())
    spec = json.loads(results.trial(key).trial.read_text())
    spec["config"]["seconds"] = "soon"
    results.trial(key).trial.write_text(json.dumps(spec))
    outcome = run_trial(results, key, "test", capture_output=False)
    assert outcome["cause"] == "config"
    assert outcome["message"].startswith("the trainer rejects the planned settings: ")


def test_two_processes_at_once_give_each_trial_one_attempt(results: Results, tmp_path: Path) -> None:
    marker = tmp_path / "trained"
    keys = ask(results, *(Settings(seed=seed, does="wait", seconds=0.2, marker=marker) for seed in range(5)))
    code = (
        "import sys; from pathlib import Path; from ablate.records.files import Results\n"
        "from ablate.run.attempt import run_trial; import tests.run.toy\n"
        "print('up', flush=True); sys.stdin.readline()\n"
        f"for key in {keys!r}: print(run_trial(Results(Path({str(tmp_path)!r})), key, 'test')['state'])"
    )
    command = [sys.executable, "-c", code]
    pair = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in pair:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
    states = [process.communicate("go\n", timeout=60)[0].split() for process in pair]
    for one, other in zip(*states, strict=True):
        assert sorted((one, other)) in (["done", "done"], ["done", "running"])
    assert sorted(marker.read_text().split()) == ["0", "1", "2", "3", "4"]
    assert [len(results.trial(key).attempt_folders()) for key in keys] == [1] * 5


def test_a_running_trial_ends_within_two_seconds_of_being_cancelled(results: Results) -> None:
    (key,) = ask(results, Settings(does="wait", seconds=30))
    timer = threading.Timer(0.3, request_cancel, [results.trial(key)])
    timer.start()
    began = time.monotonic()
    outcome = run_trial(results, key, "test", capture_output=False)
    assert time.monotonic() - began < 2.3
    assert (outcome["state"], outcome["cause"]) == ("interrupted", "cancelled")
    assert end_of(results, key)["cause"] == "cancelled"
    timer.join()


def test_a_cancelled_trial_does_not_train_until_that_is_taken_back(results: Results, tmp_path: Path) -> None:
    (key,) = ask(results, Settings(marker=tmp_path / "trained"))
    request_cancel(results.trial(key))
    run_trial(results, key, "test", capture_output=False)
    assert not (tmp_path / "trained").exists()
    status = trial_status(results.trial(key), time.time())
    assert (status.state, status.cause) == ("interrupted", "cancelled")
    clear_cancel(results.trial(key))
    assert run_trial(results, key, "test", capture_output=False)["state"] == "done"


def test_warnings_of_names_without_end_are_counted(tmp_path: Path) -> None:
    writer = AttemptWriter(tmp_path)
    context = RecordingContext(tmp_path, writer, "cpu", None, lambda share, row: None, lambda: False)
    for step in range(1000):
        context.log({"loss": 1.0, f"image {step}": [1, 2], "image 0": [3]})
    writer.close()
    assert (len(context.warnings), context.warnings[-1]) == (21, "980 logged values of other names are left out too")
    events, rows = (read_json_lines(tmp_path / f"{name}.jsonl") for name in ("events", "metrics"))
    assert ([event["event"] for event in events], len(rows)) == (["warning"] * 20, 1000)
