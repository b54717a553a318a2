import json
import os
import signal
import threading
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ablate.records.attempt import environment_of
from ablate.records.files import Results
from ablate.run.causes import Outcome
from ablate.run.execute import train_in_pool, train_inline
from ablate.run.options import RunOptions
from ablate.study.cells.cell import Cell
from ablate.study.expansion.trial import Trial
from tests.run.toy import Settings, ask


def run(results: Results, *settings: Settings, **how: Any) -> tuple[list[Outcome | None], str]:
    """How each trial ended, None where it was left, and what was printed."""
    keys = ask(results, *settings)
    trials = [
        Trial(Cell({"does": config.does}, None), config.seed, config, key, f"pre-{key}")
        for key, config in zip(keys, settings, strict=True)
    ]
    console = Console(file=StringIO(), width=80, highlight=False, markup=False)
    options = RunOptions(**{"workers": 1, "device": "cpu", **how})
    outcomes = (train_inline if options.inline else train_in_pool)(trials, results, console, options)
    return [outcomes.get(key) for key in keys], console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("inline", [False, True])
def test_the_first_failure_leaves_the_rest_new_where_that_is_asked_for(tmp_path: Path, inline: bool) -> None:
    outcomes, printed = run(
        Results(tmp_path), Settings(does="raise"), Settings(), stop_at_first_failure=True, inline=inline
    )
    assert [outcome and outcome["state"] for outcome in outcomes] == ["failed", None]
    assert "1/2  does=raise seed=0   failed: RuntimeError: boom" in printed


def test_the_first_failure_stops_what_is_under_way_where_that_is_asked_for(tmp_path: Path) -> None:
    began = time.monotonic()
    outcomes, printed = run(
        Results(tmp_path), Settings(does="wait", seconds=60), Settings(does="raise"), Settings(),
        workers=2, stop_at_first_failure=True,
    )  # fmt: skip
    assert time.monotonic() - began < 40
    assert [outcome and outcome["state"] for outcome in outcomes] in (
        ["interrupted", "failed", None],
        [None, "failed", None],  # it failed before the first one began
    )
    assert outcomes[0] is None or "interrupted: stopped; the next attempt resumes from the last checkpoint" in printed


def test_a_failure_costs_the_other_trials_nothing_without_that(tmp_path: Path) -> None:
    outcomes, printed = run(Results(tmp_path), Settings(does="raise"), Settings(seed=1), inline=True)
    assert [outcome and outcome["state"] for outcome in outcomes] == ["failed", "done"]
    assert "2/2  does=return seed=1  accuracy 0.5     0 s" in printed


def test_trials_in_this_process_end_with_an_error_of_the_gpu(tmp_path: Path) -> None:
    outcomes, printed = run(Results(tmp_path), Settings(does="illegal access"), Settings(), inline=True)
    assert [outcome and outcome["state"] for outcome in outcomes] == ["failed", None]
    assert "the same command runs the other trials" in printed.replace("\n", " ")


def test_a_trial_that_runs_elsewhere_is_told_as_that_and_not_as_failed(tmp_path: Path) -> None:
    from ablate.records.coordination import claim

    results = Results(tmp_path)
    (key,) = ask(results, Settings())
    with claim(results.trial(key)):
        outcomes, printed = run(results, Settings(), inline=True)
    assert [outcome and outcome["state"] for outcome in outcomes] == ["running"]
    assert printed == "1/1  does=return seed=0  another process is running it\n"


def test_workers_run_a_snapshot_and_this_process_runs_the_folder(tmp_path: Path) -> None:
    codes = []
    for name, inline in (("pool", False), ("inline", True)):
        results = Results(tmp_path / name)
        run(results, Settings(), inline=inline)
        (attempt,) = results.trials.glob("*/attempts/0*")
        codes.append(environment_of(attempt)["code"])
    (snapshot,) = (tmp_path / "pool/code").iterdir()
    assert codes == [snapshot.name, None]
    assert (snapshot / "ablate/paper/tableB1_lr_scaling.csv").is_file()


def test_ctrl_c_lets_the_trial_in_this_process_end_and_starts_no_other(tmp_path: Path) -> None:
    results = Results(tmp_path)
    timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(results, Settings(does="wait", seconds=30), Settings(), inline=True)
    (events,) = results.trials.glob("*/attempts/*/events.jsonl")
    assert json.loads(events.read_text().splitlines()[-1])["cause"] == "stopped"
