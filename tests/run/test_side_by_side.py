"""Trials that have one job's machine between them."""

import json
import time
from pathlib import Path

import pytest

from ablate.records.attempt import environment_of
from ablate.records.files import Results
from ablate.records.reading import read_json_lines
from ablate.run import pool as pool_module
from ablate.run.pool import Pool
from tests.run.toy import Settings, ask


class Begun(Exception):
    """The first trial runs."""


def begun(pool: Pool) -> None:
    if pool.workers[0].attempt:
        raise Begun


def test_a_trial_that_holds_more_than_its_part_of_the_memory_ends_as_out_of_memory(tmp_path: Path) -> None:
    results = Results(tmp_path)
    keys = ask(results, Settings(does="wait", seconds=60), Settings(does="wait", seconds=60))
    with Pool(results, 2, 1, "cpu", place="slurm-1", shared=True, memory=1) as pool:
        outcomes = dict(pool.run({key: key for key in keys}, tick=lambda: None))
    assert [outcome["cause"] for outcome in outcomes.values()] == ["out_of_memory"] * 2
    assert outcomes[keys[0]]["message"].endswith("more than its share of the job's memory (1 MiB)")


def test_a_trial_that_is_alone_has_all_the_memory(tmp_path: Path) -> None:
    results = Results(tmp_path)
    (key,) = ask(results, Settings(does="wait", seconds=1))
    with Pool(results, 1, 1, "cpu", place="slurm-1", shared=True, memory=1) as pool:
        assert dict(pool.run({key: key}, tick=lambda: None))[key]["state"] == "done"


def test_an_attempt_ends_with_the_most_memory_that_it_held_and_says_why_it_was_stopped(tmp_path: Path) -> None:
    results = Results(tmp_path)
    (key,) = ask(results, Settings(does="wait", seconds=60))
    with Pool(results, 1, 1, "cpu", place="slurm-1") as pool:
        with pytest.raises(Begun):
            list(pool.run({key: key}, tick=lambda: begun(pool)))
        ((_, outcome),) = pool.stop("preempted")
    assert (outcome["state"], outcome["cause"]) == ("interrupted", "preempted")
    (attempt,) = results.trial(key).attempt_folders()
    assert attempt.name == "001-slurm-1"
    last = json.loads((attempt / "events.jsonl").read_text().splitlines()[-1])
    assert last["memory"]["process"] > 10


@pytest.mark.parametrize(("saved", "cause"), [("before", "unsaved"), ("meanwhile", "timeout"), ("never", "unsaved")])
def test_an_attempt_whose_time_is_over_tells_whether_it_saved_anything(tmp_path: Path, saved: str, cause: str) -> None:
    results = Results(tmp_path)
    (key,) = ask(results, Settings(does="wait", seconds=60))
    checkpoint = results.pretrained(f"pre-{key}") / "encoder" / "step-1.pt"
    checkpoint.parent.mkdir(parents=True)
    if saved == "before":
        checkpoint.touch()
    with Pool(results, 1, 1, "cpu", place="slurm-1") as pool:
        with pytest.raises(Begun):
            list(pool.run({key: key}, tick=lambda: begun(pool)))
        if saved == "meanwhile":
            (attempt,) = results.trial(key).attempt_folders()
            while not (attempt / "metrics.jsonl").read_text():
                time.sleep(0.01)
            checkpoint.touch()
        ((_, outcome),) = pool.stop("timeout")
    assert (outcome["state"], outcome["cause"]) == ("interrupted", cause)


def test_an_attempt_that_does_not_end_in_time_tells_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "STOP_SECONDS", 1.0)
    results = Results(tmp_path)
    (key,) = ask(results, Settings(does="sleep", seconds=60))
    with Pool(results, 1, 1, "cpu", place="slurm-1") as pool:
        with pytest.raises(Begun):
            list(pool.run({key: key}, tick=lambda: begun(pool)))
        (attempt,) = results.trial(key).attempt_folders()
        while not environment_of(attempt):
            time.sleep(0.01)
        ((_, outcome),) = pool.stop("timeout")
    message = "it did not stop within 1 s (signal SIGKILL); nothing had been saved, so the next attempt starts over"
    assert outcome == {"state": "interrupted", "cause": "unsaved", "message": message, "attempt": "001-slurm-1"}
    assert read_json_lines(attempt / "events.jsonl")[-1]["cause"] == "unsaved"
