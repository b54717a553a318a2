"""What happens to a run while something else happens: another run, a cancellation, an edit of the code."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ablate

TRAINER = """
import time
from pathlib import Path

from pydantic import BaseModel

from ablate.trainer.contract import Interrupted

class Settings(BaseModel):
    seed: int = 0
    depth: int = 1
    seconds: float = 0.3

def train(config: Settings, context):
    with Path("trained").open("a") as file:
        file.write(f"{config.depth}\\n")
    deadline = time.monotonic() + config.seconds
    while time.monotonic() < deadline:
        if context.stopping():
            raise Interrupted
        time.sleep(0.02)
    return {"accuracy": 1.0}
"""
STUDY = """
name = "mine"
title = "Mine"
question = "How deep?"
trainer = "mine_at_once:train"
metric = "accuracy"

[axes]
depth = [1, 2, 3, 4]
"""


@pytest.fixture
def project(project: Path) -> Path:
    """A project with a study of a trainer of its own, which takes a moment."""
    (project / "mine_at_once.py").write_text(TRAINER)
    (project / "studies/mine.toml").write_text(STUDY)
    return project


def start(project: Path, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "ablate", "run", "mine", *options]
    return subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_training(run: "subprocess.Popen[str]", project: Path, count: int) -> None:
    """Until so many trials have begun."""
    path = project / "trained"
    while not path.exists() or len(path.read_text().split()) < count:
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)


def results_of(project: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in project.glob("results/trials/*/result.json")]


def test_two_runs_at_once_train_each_trial_once(project: Path) -> None:
    pair = [start(project, "--workers", "1") for _ in range(2)]
    for run in pair:
        out, _ = run.communicate(timeout=120)
        assert run.returncode == 0, out
    assert sorted((project / "trained").read_text().split()) == ["1", "2", "3", "4"]
    assert len(list(project.glob("results/trials/*/attempts/0*"))) == 4


def test_a_cancelled_trial_ends_alone_and_the_next_run_trains_it(project: Path, ablate: Ablate) -> None:
    study = project / "studies/mine.toml"
    study.write_text(
        study.read_text() + '\n[[cases]]\nname = "long"\nlabel = "long"\nset = { depth = 9, seconds = 300.0 }\n'
    )
    run = start(project, "--workers", "1", "--only", "depth=1", "--only", "case=long")
    wait_for_training(run, project, 2)
    told = ablate("cancel", "mine", "--where", "\"case\" = 'long'")
    assert "1 trial will stop at the next step" in told.stdout
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "error: 1 trial without a result: 1 cancelled" in out
    assert "interrupted: cancelled; the next attempt resumes from the last checkpoint" in out
    assert len(results_of(project)) == 1
    again = start(project, "--workers", "1", "--only", "case=long")
    wait_for_training(again, project, 3)
    again.terminate()
    again.communicate(timeout=60)


def test_an_edit_of_the_trainer_during_a_run_reaches_none_of_its_trials(project: Path) -> None:
    run = start(project, "--workers", "1", "--set", "seconds=1.5")
    wait_for_training(run, project, 1)
    (project / "mine_at_once.py").write_text("raise SystemError('half an edit')")
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 0, out
    assert len(results_of(project)) == 4
