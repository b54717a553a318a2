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
from ablate.records.attempt import AttemptWriter, read_json_lines, trial_status
from ablate.records.cancel import clear_cancel, request_cancel
from ablate.records.claim import claim
from ablate.records.files import Results
from ablate.records.plans import save_plan
from ablate.run.worker import run_trial
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


def test_a_trainer_of_ones_own_leaves_its_numbers_its_rows_and_its_surroundings(results: Results) -> None:
    key, outcome = run(results)
    assert outcome == {"state": "done", "attempt": "001-test"}
    result = json.loads(results.trial(key).result.read_text())
    assert (result["accuracy"], result["key"], result["attempt"]) == (0.5, key, "001-test")
    folder = results.trial(key).attempts / "001-test"
    assert read_json_lines(folder / "metrics.jsonl") == [{"step": 1, "accuracy": 0.25}]
    assert json.loads((folder / "env.json").read_text())["device"] == "cpu"


@pytest.mark.parametrize(
    ("metric", "warnings"),
    [
        ("accuracy", []),
        (
            "acuracy",
            [
                "the study is about a number that the trainer did not return: 'acuracy'; it returned accuracy; "
                "did you mean 'accuracy'?"
            ],
        ),
    ],
)
def test_a_trial_that_is_done_without_the_number_of_its_study_says_so(
    results: Results, metric: str, warnings: list[str]
) -> None:
    (key,) = ask(results, Settings())
    plan = save_plan(results, "mine", {"metric": metric})
    spec = json.loads(results.trial(key).trial.read_text()) | {"plan": str(plan.relative_to(results.root))}
    results.trial(key).trial.write_text(json.dumps(spec))
    assert run_trial(results, key, "test", capture_output=False)["state"] == "done"
    events = read_json_lines(results.trial(key).attempt_folders()[-1] / "events.jsonl")
    assert [event["message"] for event in events if event["event"] == "warning"] == warnings


@pytest.mark.parametrize(
    ("does", "cause", "message"),
    [
        ("nan", "diverged", "the trainer's accuracy is nan, which is no number"),
        ("none", "exception", "TypeError: the trainer returned NoneType, not a dictionary of numbers"),
        ("object", "exception", "TypeError: the trainer's model is of type object, no number and no text"),
        ("raise", "exception", "RuntimeError: boom"),
        ("exit", "exception", "the trainer ended its process (SystemExit: 3)"),
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
    assert outcome["message"].startswith(f"{results.trial(key).trial} cannot be read: ")
    assert "attempt" not in outcome
    assert results.trial(key).attempt_folders() == []


def test_a_trial_planned_with_another_recipe_of_its_trainer_fails_and_says_so(results: Results) -> None:
    (key,) = ask(results, Settings(), recipe_version=7)
    outcome = run_trial(results, key, "test", capture_output=False)
    told = "the trial was planned with recipe version 7 of its trainer, and this is 1"
    assert (outcome["cause"], outcome["message"]) == ("trainer", told)


def test_a_trial_that_another_process_is_at_is_running_and_gets_no_attempt(results: Results) -> None:
    (key,) = ask(results, Settings())
    with claim(results.trial(key)) as held:
        assert held == "ours"
        outcome = run_trial(results, key, "test")
    assert outcome == {"state": "running", "message": "running elsewhere"}
    assert results.trial(key).attempt_folders() == []
    assert run_trial(results, key, "test", capture_output=False)["state"] == "done"


def test_a_trial_that_another_process_has_done_meanwhile_is_done_without_an_attempt(results: Results) -> None:
    key, _ = run(results)
    assert run_trial(results, key, "test") == {"state": "done", "message": "done elsewhere meanwhile"}
    assert len(results.trial(key).attempt_folders()) == 1


def test_an_attempt_of_another_machine_is_left_alone_while_its_heart_beats(results: Results) -> None:
    (key,) = ask(results, Settings())
    writer = AttemptWriter(results.trial(key).new_attempt("there"))
    writer.event("started", host="another-host", pid=7)
    outcome = run_trial(results, key, "test")
    assert outcome == {"state": "running", "message": "running elsewhere (another-host, process 7)"}
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
        run_trial(results, key, "test", capture_output=False)
    assert (end_of(results, key)["state"], end_of(results, key)["cause"]) == ("interrupted", "stopped")


def test_settings_that_the_trainer_no_longer_takes_are_the_cause(results: Results) -> None:
    (key,) = ask(results, Settings())
    spec = json.loads(results.trial(key).trial.read_text())
    spec["config"]["seconds"] = "soon"
    results.trial(key).trial.write_text(json.dumps(spec))
    outcome = run_trial(results, key, "test", capture_output=False)
    assert outcome["cause"] == "config"
    assert outcome["message"].startswith("the trainer no longer takes the settings that were planned: ")


def test_two_processes_at_once_give_each_trial_one_attempt(results: Results, tmp_path: Path) -> None:
    marker = tmp_path / "trained"
    keys = ask(results, *(Settings(seed=seed, does="wait", seconds=0.2, marker=marker) for seed in range(5)))
    code = (
        "import sys; from pathlib import Path; from ablate.records.files import Results\n"
        "from ablate.run.worker import run_trial; import tests.run.toy; print('up', flush=True); sys.stdin.readline()\n"
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
