"""A trial does not feel what other trials did in their processes."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ablate.records import plans
from ablate.records.attempt import read_json_lines
from ablate.records.coordination import claim
from ablate.records.files import Results, write_json
from ablate.run.attempt import _metric_of
from ablate.run.causes import Outcome
from ablate.run.pool import Pool
from ablate.run.serve import _read_ahead
from tests.run.neighbour import HABITS, NAME, Settings


class Worker:
    """One worker that trains what it is asked to."""

    def __init__(self, results: Results, pool: Pool) -> None:
        self.results, self.pool = results, pool
        self._count = 0

    def train(self, *changes: str, marker: Path | None = None) -> list[tuple[Outcome, dict[str, Any], Path]]:
        """The outcome, the metrics and the attempt's folder of a trial for each of some changes, in this order."""
        keys = []
        for what in changes:
            self._count += 1
            keys.append(key := f"{self._count:03d}abc")
            config = Settings(changes=what, marker=marker).model_dump(mode="json")
            spec = {"key": key, "pretrain_key": key, "trainer": NAME, "recipe_version": 1, "config": config}
            write_json(self.results.trial(key).trial, spec)
        outcomes = dict(self.pool.run({key: key for key in keys}, tick=lambda: None))
        folders = [self.results.trial(key) for key in keys]
        metrics = [json.loads(each.result.read_text())["metrics"] if each.result.exists() else {} for each in folders]
        attempts = [each.attempts / outcomes[each.path.name]["attempt"] for each in folders]
        return list(zip((outcomes[key] for key in keys), metrics, attempts, strict=True))


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    results = Results(tmp_path_factory.mktemp("results"))
    with Pool(results, 1, 1, "cpu") as pool:
        yield Worker(results, pool)


@pytest.fixture(scope="module")
def seen(worker: Worker) -> dict[str, dict[str, Any]]:
    """What a trial saw first, and what the one saw that came after each change."""
    order = [each for habit in HABITS for each in (habit, "")]
    found = worker.train("", *order)
    changed = {habit: each[1] for habit, each in zip(HABITS, found[1::2], strict=True)}
    after = {f"after {habit}": each[1] for habit, each in zip(HABITS, found[2::2], strict=True)}
    return {"first": found[0][1], **changed, **after}


@pytest.mark.parametrize("habit", HABITS)
def test_what_a_trial_changes_is_not_seen_by_the_next_one_nor_by_itself_at_its_start(
    seen: dict[str, dict[str, Any]], habit: str
) -> None:
    first = seen["first"][habit]
    assert seen[habit]["changed"] != first, "the trainer changed nothing"
    assert (seen[habit][habit], seen[f"after {habit}"][habit]) == (first, first)


def test_the_collector_of_a_trials_process_leaves_the_objects_of_its_worker_alone(
    seen: dict[str, dict[str, Any]],
) -> None:
    assert int(seen["first"]["frozen"]) > 100_000, "a collection copies their pages: a tenth of a second per trial"


def test_a_plan_is_read_before_the_fork_and_not_again_in_the_processes_of_its_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path)
    spec = {"key": "001abc", "pretrain_key": "001abc", "plan": "plan.json", "config": {}}
    write_json(results.trial("001abc").trial, spec)
    (tmp_path / "plan.json").touch()
    os.utime(tmp_path / "plan.json", (0, 0))
    read: list[Path] = []
    monkeypatch.setattr(plans, "_read_now", lambda path: read.append(path) or SimpleNamespace(metric="top1"))
    _read_ahead(results, "001abc")
    assert [_metric_of(results, spec) for _ in range(3)] == ["top1"] * 3
    assert read == [tmp_path / "plan.json"]
    _read_ahead(results, "002abc")  # a trial without a record is told of by its own process


def test_draws_without_a_seed_differ_between_trials(seen: dict[str, dict[str, Any]]) -> None:
    draws = [number for each in seen.values() for number in each["draws"].split()]
    assert len(set(draws)) == len(draws)


@pytest.mark.parametrize(
    ("trick", "message"),
    [
        ("cancel", "CancelledError: the loop was closed"),
        ("panic", "Panic"),
        ("exit a generator", "GeneratorExit"),
        ("interrupt itself", "KeyboardInterrupt"),
        ("exit", "the trainer exited (SystemExit: 3)"),
        ("fail without stderr", "RuntimeError: boom"),
        ("fail with another stderr", "RuntimeError: boom"),
    ],
)
def test_whatever_a_trainer_raises_is_an_exception_with_its_traceback(worker: Worker, trick: str, message: str) -> None:
    (failed, _, attempt), (after, _, _) = worker.train(trick, "")
    assert (failed["state"], failed["cause"], failed["message"]) == ("failed", "exception", message)
    text = (attempt / "stderr").read_text()
    assert "Traceback (most recent call last):" in text
    assert "neighbour.py" in text
    assert after["state"] == "done"


def test_a_trainer_that_ends_its_process_is_told_as_that_and_the_worker_goes_on(worker: Worker) -> None:
    before = worker.pool.workers[0].process.pid
    (failed, _, _), (after, _, _) = worker.train("os._exit", "")
    assert (failed["cause"], failed["message"]) == ("killed", "its process died (exit code 7)")
    assert after["state"] == "done"
    assert worker.pool.workers[0].process.pid == before


def test_a_forked_child_that_comes_back_from_the_trainer_writes_nothing(worker: Worker, tmp_path: Path) -> None:
    ((outcome, _, attempt),) = worker.train("fork", marker=tmp_path / "forked")
    assert outcome["state"] == "done"
    assert [event["event"] for event in read_json_lines(attempt / "events.jsonl")].count("ended") == 1


@pytest.mark.parametrize(
    ("trick", "left", "state"),
    [
        ("leave sleepers", ("sleep 1001", "sleep 1002", "sleep 1003", "python"), "done"),
        ("leave a sleeper and die", ("sleep 1005",), "failed"),
    ],
)
def test_processes_that_a_trial_left_behind_are_ended_and_told_of_and_hold_no_lock(
    worker: Worker, trick: str, left: tuple[str, ...], state: str
) -> None:
    ((outcome, _, attempt),) = worker.train(trick)
    assert outcome["state"] == state
    (warning,) = [each for each in read_json_lines(attempt / "events.jsonl") if each["event"] == "warning"]
    assert all(name in warning["message"] for name in left)
    assert warning["message"] in (attempt / "stderr").read_text()
    assert subprocess.run(["pgrep", "-f", "^sleep 100[1-5]"], capture_output=True).returncode == 1
    with claim(worker.results.trial(attempt.parents[1].name)) as held:
        assert held == "ours"


def test_what_a_trainer_registered_for_the_exit_runs_at_the_end_of_its_trial(worker: Worker, tmp_path: Path) -> None:
    worker.train("say bye", marker=tmp_path / "bye")
    assert (tmp_path / "bye").read_text() == "bye"


def test_a_lock_ends_with_its_block_though_a_forked_child_lives_on(tmp_path: Path) -> None:
    folder = Results(tmp_path).trial("001abc")
    reader, writer = os.pipe()
    with claim(folder):
        if (child := os.fork()) == 0:
            os.close(writer)
            os.read(reader, 1)  # until the parent ends it
            os._exit(0)
    with claim(folder) as held:
        assert held == "ours"
    os.close(writer)
    os.waitpid(child, 0)


def test_where_a_fork_is_not_safe_each_trial_has_a_worker_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; del os.fork")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path.cwd())]))
    results = Results(tmp_path / "results")
    with Pool(results, 1, 1, "cpu") as pool:
        (_, changed, one), (_, after, other) = Worker(results, pool).train("the default dtype", "")
    assert (changed["changed"], after["the default dtype"]) == ("torch.float64", "torch.float32")
    started = [read_json_lines(attempt / "events.jsonl")[0] for attempt in (one, other)]
    assert started[0]["pid"] != started[1]["pid"]
