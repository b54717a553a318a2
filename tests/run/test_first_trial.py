"""After the first trial, a run stops if the others would fail as that did."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from ablate.errors import TrialsFailed
from ablate.records.files import Results
from ablate.run.execute import same_for_all
from ablate.run.options import PlanOptions, RunOptions
from ablate.workflow.run import plan_study, run_plan

STUDY = """
name = "mine"
title = "Mine"
question = "Why?"
command = ["sh", "-c", "echo accuracy=0.5", "{lr}"]
metric = "acuracy"
seeds = 3

[axes]
lr = [0.1, 0.01]
"""


def test_a_misspelt_metric_is_told_after_the_first_trial_and_the_same_command_then_trains_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(STUDY)
    results = Results(Path("results"))
    printed = StringIO()
    finished = run_plan(
        plan_study("mine.toml", PlanOptions(), results), results, RunOptions(workers=1), Console(file=printed)
    )
    assert len([each for each in finished.outcomes.values() if each["state"] == "failed"]) == 1
    assert "did not return the study's metric 'acuracy'" in printed.getvalue()
    assert "did you mean 'accuracy'?" in printed.getvalue()
    with pytest.raises(TrialsFailed):
        finished.raise_failures()


@pytest.mark.parametrize(
    ("outcome", "stops"),
    [
        (
            {"state": "failed", "cause": "metric", "message": "the trainer did not return x", "attempt": "001-local"},
            True,
        ),
        (
            {"state": "failed", "cause": "metric", "message": "the trainer did not return x", "attempt": "002-local"},
            False,
        ),
        ({"state": "failed", "cause": "metric", "message": "the trainer returned nan", "attempt": "001-local"}, False),
        ({"state": "failed", "cause": "not_started", "message": "x", "attempt": "001-local"}, True),
        ({"state": "failed", "cause": "exit_code", "message": "x", "attempt": "001-local"}, False),
        ({"state": "done", "attempt": "001-local"}, False),
    ],
)
def test_only_what_concerns_every_trial_stops_the_run(outcome: dict[str, str], stops: bool) -> None:
    assert (same_for_all(outcome) is not None) == stops
