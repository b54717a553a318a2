"""`ablate run --until-decided`: which cells get more seeds, and when it ends."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Ablate

TRAINER = """
import random
import time
from pathlib import Path

from pydantic import BaseModel

class Settings(BaseModel):
    seed: int = 0
    depth: int = 1
    broken_seed: int = -1
    slow_seed: int = -1

VALUES = {1: 50.0, 2: 70.0, 3: 69.2, 4: 69.0}

def train(config: Settings, context):
    if config.seed == config.broken_seed:
        raise RuntimeError("boom")
    while (config.seed, config.depth) == (config.slow_seed, 2) and not Path("go on").exists():
        Path("waiting").touch()
        time.sleep(0.02)
    return {"accuracy": VALUES[config.depth] + random.Random(100 * config.depth + config.seed).gauss(0, 1)}
"""
STUDY = """
name = "mine"
title = "Mine"
question = "How deep?"
trainer = "mine_until:train"
metric = "accuracy"

[axes]
depth = [1, 2, 3, 4]

[[claims]]
id = "Clear"
text = "Two layers are better than one."
source = "here"
kind = "greater"
left = "depth == 2"
right = "depth == 1"

[[claims]]
id = "Close"
text = "Two layers are better than three."
source = "here"
kind = "greater"
left = "depth == 2"
right = "depth == 3"
"""


@pytest.fixture
def project(project: Path) -> Path:
    (project / "mine_until.py").write_text(TRAINER)
    (project / "studies/mine.toml").write_text(STUDY)
    return project


def seeds_of_cells(project: Path) -> dict[int, int]:
    """Depth -> how many seeds were trained."""
    done = [path.parent for path in project.glob("results/trials/*/result.json")]
    return dict(Counter(json.loads((trial / "trial.json").read_text())["config"]["depth"] for trial in done))


def test_seeds_are_added_to_the_cells_of_undecided_claims_only(ablate: Ablate, project: Path) -> None:
    run = ablate("run", "mine", "--until-decided", "--seeds", "12")
    assert run.returncode == 0, run.stderr
    counts = seeds_of_cells(project)
    assert counts[1] == counts[4] == 3
    assert "unpaired" not in run.stdout
    assert counts[2] == counts[3] > 3
    assert "undecided: Close; adding seeds to the 2 of 4 cells that they need (5 per cell)" in run.stdout
    judged = json.loads(ablate("judge", "mine", "--json").stdout)
    assert judged["sequential"] is True
    open_cells = {verdict["id"]: verdict["open_cells"] for verdict in judged["verdicts"]}
    assert open_cells == {"Clear": [], "Close": [] if counts[2] < 12 else ["depth 2", "depth 3"]}
    states = {verdict["id"]: verdict["state"] for verdict in judged["verdicts"]}
    assert states["Clear"] == "supported"
    assert (states["Close"] == "undecided") == ("(the limit): Close" in run.stdout)


def test_it_ends_at_the_most_seeds_and_goes_on_from_there_with_more(ablate: Ablate, project: Path) -> None:
    first = ablate("run", "mine", "--until-decided", "--seeds", "3")
    assert "still undecided after 3 seeds (the limit): Close" in first.stdout
    fourth = ablate("run", "mine", "--until-decided", "--seeds", "4")
    assert "still undecided after 4 seeds (the limit): Close" in fourth.stdout
    second = ablate("run", "mine", "--until-decided", "--seeds", "5")
    assert "nothing to train" in second.stdout
    assert "all looks up to 5 seeds" in ablate("judge", "mine").stderr  # the largest limit counts
    assert seeds_of_cells(project)[2] == 5
    assert seeds_of_cells(project)[4] == 3


def test_a_claim_that_needs_a_cell_left_out_gets_no_seeds(ablate: Ablate, project: Path) -> None:
    assert ablate("run", "mine").returncode == 0
    run = ablate("run", "mine", "--until-decided", "--only", "depth=2", "--seeds", "5")
    assert run.returncode == 0, run.stderr
    assert seeds_of_cells(project) == {1: 1, 2: 3, 3: 1, 4: 1}
    assert "adding seeds" not in run.stdout


def test_it_ends_where_a_round_may_cost_more_than_is_left(ablate: Ablate, project: Path) -> None:
    assert ablate("run", "mine", "--seeds", "2").returncode == 0
    refused = ablate("run", "mine", "--until-decided", "--budget", "0.0000001h")
    assert refused.returncode == 2
    assert "nothing was started" in refused.stderr
    assert ablate("run", "mine", "--seeds", "3").returncode == 0
    stopped = ablate("run", "mine", "--until-decided", "--budget", "0.0000001h")
    assert stopped.returncode == 0, stopped.stderr
    assert "undecided: Close; going to 5 seeds may exceed what is left of --budget 0.0000001h" in stopped.stdout
    assert seeds_of_cells(project) == dict.fromkeys((1, 2, 3, 4), 3)


def test_a_failed_trial_ends_nothing_but_its_own_comparisons(ablate: Ablate, project: Path) -> None:
    run = ablate("run", "mine", "--until-decided", "--set", "broken_seed=1", "--seeds", "5")
    assert run.returncode == 1
    assert "boom" in run.stderr
    assert "error: 4 of" in run.stderr  # each cell's second seed once, not once a round
    assert seeds_of_cells(project) == {1: 4, 2: 4, 3: 4, 4: 2}
    first = json.loads(ablate("judge", "mine", "--json", "--profile", "embedded+broken_seed=1").stdout)["verdicts"][0]
    assert (first["state"], first["comparisons"][0]["seeds"]) == ("supported", [0, 2, 3, 4])


def test_no_claim_is_judged_while_another_process_runs_a_trial_of_the_round(ablate: Ablate, project: Path) -> None:
    slow = ("--set", "slow_seed=2")
    command = [sys.executable, "-m", "ablate", "run", "mine", *slow, "--seeds", "3", "--only", "depth=2", "--inline"]
    other = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (project / "waiting").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run = ablate("run", "mine", *slow, "--until-decided", "--inline", "--only", "depth=2,3")
    (project / "go on").touch()
    other.wait(timeout=120)
    assert run.returncode == 1
    assert "error: 1 trial without a result: 1 running in another process" in run.stderr
    assert "not judged yet: no result of 1 trial that another process is running or has stopped" in run.stdout
    assert "adding seeds" not in run.stdout
    assert set(seeds_of_cells(project).values()) == {3}


def test_a_study_without_claims_and_a_suite_are_told(ablate: Ablate, project: Path) -> None:
    study = project / "studies/mine.toml"
    study.write_text(study.read_text().split("[[claims]]")[0])
    run = ablate("run", "mine", "--until-decided")
    assert "the study has no claims to decide" in run.stdout
    (project / "studies/suites").mkdir()
    (project / "studies/suites/all.toml").write_text('name = "all"\ntitle = "All"\nstudies = ["mine"]\n')
    suite = ablate("run", "all", "--until-decided")
    assert suite.returncode == 2
    assert "--until-decided takes one study" in suite.stderr
