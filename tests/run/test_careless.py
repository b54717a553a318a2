import os
import signal
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ablate.records.files import Results, write_json
from ablate.records.reading import ResultRecord
from ablate.run.attempt import run_trial
from ablate.run.causes import Outcome
from ablate.run.execute import InlineWorker
from ablate.run.pool import Pool
from ablate.run.progress import Progress
from tests.run.careless import NAME, Settings


def ask(results: Results, *does: str) -> list[str]:
    """Write a trial.json for each; returns their keys."""
    keys = [f"{number:03d}abc" for number in range(len(does))]
    for key, what in zip(keys, does, strict=True):
        config = Settings(does=what).model_dump(mode="json")
        spec = {"key": key, "pretrain_key": key, "trainer": NAME, "recipe_version": 1, "config": config}
        write_json(results.trial(key).trial, spec)
    return keys


def outcomes(pool: Pool, keys: list[str]) -> list[Outcome]:
    found = dict(pool.run({key: key for key in keys}, tick=lambda: None))
    return [found[key] for key in keys]


@pytest.mark.parametrize("does", ["change the folder", "close the output", "report a tensor"])
def test_what_a_trainer_does_to_its_process_costs_the_next_trial_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    monkeypatch.chdir(tmp_path)
    results = Results(Path("results"))  # as the command has it
    with Pool(results, 1, 1, "cpu") as pool:
        assert [outcome["state"] for outcome in outcomes(pool, ask(results, does, "nothing"))] == ["done", "done"]


def test_a_thread_that_a_trainer_left_does_not_keep_the_run_from_its_end(tmp_path: Path) -> None:
    with Pool(Results(tmp_path), 1, 1, "cpu") as pool:
        (outcome,) = outcomes(pool, ask(Results(tmp_path), "leave a thread"))
        began = time.monotonic()
    assert outcome["state"] == "done"
    assert time.monotonic() - began < 15


def test_a_trainer_that_returns_nothing_when_asked_to_stop_is_interrupted_and_not_failed(tmp_path: Path) -> None:
    (key,) = ask(Results(tmp_path), "return when asked to stop")
    until = time.monotonic() + 0.2
    outcome = run_trial(Results(tmp_path), key, "test", stopping=lambda: time.monotonic() > until, capture_output=False)
    assert (outcome["state"], outcome["cause"]) == ("interrupted", "stopped")


def test_a_terminal_that_is_closed_interrupts_the_trial_which_says_so(tmp_path: Path) -> None:
    (key,) = ask(Results(tmp_path), "return when asked to stop")
    hung_up = []

    def hang_up() -> None:
        if pool.workers[0].attempt is not None and not hung_up:
            hung_up.append(os.kill(pool.workers[0].process.pid, signal.SIGHUP))

    with Pool(Results(tmp_path), 1, 1, "cpu") as pool:
        ((_, outcome),) = pool.run({key: key}, tick=hang_up)
    assert (outcome["state"], outcome["cause"]) == ("interrupted", "stopped")


def test_a_trainer_with_signal_handlers_of_its_own_is_still_told_to_stop(tmp_path: Path) -> None:
    (key,) = ask(Results(tmp_path), "handle signals itself, as Lightning does")
    with Pool(Results(tmp_path), 1, 1, "cpu") as pool:
        began = time.monotonic()

        def stop_it() -> None:
            assert time.monotonic() - began < 120
            if pool.workers and pool.workers[0].attempt is not None:
                time.sleep(0.5)  # after its handlers are in place, rather than before
                stopped.extend(pool.stop())

        stopped: list[Any] = []
        list(pool.run({key: key}, tick=stop_it))
    ((_, outcome),) = stopped
    assert outcome["state"] == "interrupted"
    assert outcome["message"] == "stopped; the next attempt resumes from the last checkpoint"


def test_a_file_of_the_working_folder_with_a_name_of_the_standard_library_keeps_no_worker_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "socket.py").write_text("raise RuntimeError('not the one that was meant')")
    results = Results(tmp_path / "results")
    keys = ask(results, "nothing")
    monkeypatch.chdir(tmp_path)
    with Pool(results, 1, 1, "cpu") as pool:
        assert outcomes(pool, keys)[0]["state"] == "done"


@pytest.mark.parametrize("row", [{"top1": "87 %", "loss": None}, {"top1": None, "loss": "low"}])
def test_a_number_that_is_a_text_or_nothing_does_not_end_the_display(row: dict[str, Any]) -> None:
    console = Console(file=StringIO(), width=80, force_terminal=True, color_system=None)
    progress = Progress(console, {"k": "seed=0"}, 1)
    console.print(progress._render([InlineWorker("k", 0.5, {"phase": "pretrain", "epoch": 1, **row})]))
    progress.ended("k", {"state": "done"}, ResultRecord(key="k", seconds=1.0, metrics=row))
    assert "1/1  seed=0  done     1 s" in console.file.getvalue()  # type: ignore[attr-defined]
