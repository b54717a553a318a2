"""What ends jobs before their trials are done, and how each trial comes to its result all the same."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, wait_until
from tests.slurm.project import Project

pytestmark = pytest.mark.slurm
SLOW = "seconds = {seconds}\nsteps = {steps}\n"


def undisturbed(values: list[int], steps: int, seed: int = 0) -> list[float]:
    """What the trainer of small.py returns for each x."""
    found = []
    for x in values:
        value = 0.0
        for _ in range(steps):
            value = (value * 1.1 + x + seed) % 17
        found.append(value)
    return found


def a_project(folder: Path, values: list[int], seconds: float, steps: int, cluster: str = "") -> Project:
    base = SLOW.format(seconds=seconds, steps=steps) + f'diary = "{folder}/diary"'
    return Project(folder, values, base, cluster)


def running_jobs(cluster: Cluster) -> list[str]:
    return [job for job, state in cluster.jobs().items() if state == "RUNNING"]


def test_a_preempted_job_saves_its_state_and_ends_with_the_result_of_one_never_disturbed(
    cluster: Cluster, tmp_path: Path
) -> None:
    project = a_project(tmp_path / "p", [3], 20, 100, 'partition = "preempt"')
    project.ablate("run", "small", "--on", "test")
    wait_until(lambda: project.diary, "the trial's first step", seconds=120)
    (trial,) = (project.folder / "results" / "trials").iterdir()
    reader = project.start("logs", trial.name, "-f")
    time.sleep(3)
    other = cluster.run(
        "sbatch", "--parsable", "--partition=gpu", "--exclusive", "--nodes=4", "--output=/dev/null", "--wrap", "sleep 8"
    )
    wait_until(lambda: len(project.diary) == 2, "a second attempt", seconds=180)
    assert int(project.diary[1].split()[2]) > 0
    wait_until(lambda: project.results(), "the result", seconds=120)
    assert list(project.results().values()) == undisturbed([3], 100)
    assert project.ends()[0] == ("interrupted", "preempted")
    assert other not in cluster.jobs()
    followed, _ = reader.communicate(timeout=60)
    told = [line for line in followed.splitlines() if "attempt" in line or "ended" in line]
    assert [re.sub(r"slurm-\S+", "slurm", line) for line in told if "begun" not in line] == [
        "==> 001-slurm ended: interrupted, preempted <==",
        "==> 002-slurm ended: done <==",
    ]


def parent_of_the_worker(project: Project) -> int:
    """The process that the job began with."""
    (events,) = (project.folder / "results" / "trials").glob("*/attempts/*/events.jsonl")
    worker = json.loads(events.read_text().splitlines()[0])["pid"]
    return int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("what", ["node", "job"])
def test_a_trial_whose_node_or_job_dies_goes_on(cluster: Cluster, tmp_path: Path, what: str) -> None:
    project = a_project(tmp_path / "p", [2], 15, 100)
    project.ablate("run", "small", "--on", "test")
    wait_until(lambda: project.diary, "the trial's first step", seconds=120)
    (job,) = running_jobs(cluster)
    node = cluster.run("squeue", "--noheader", f"--job={job}", "--format=%N")
    if what == "node":
        cluster.kill_node(node)
    else:
        os.kill(parent_of_the_worker(project), signal.SIGKILL)
    wait_until(lambda: project.results(), "the result", seconds=240)
    assert list(project.results().values()) == undisturbed([2], 100)


def test_one_mistake_in_a_trainer_costs_one_trial_and_the_others_are_not_started(
    cluster: Cluster, tmp_path: Path
) -> None:
    base = f'does = "raise"\ndiary = "{tmp_path}/p/diary"'
    project = Project(tmp_path / "p", range(20), base, "trials_per_job = 1")
    project.ablate("run", "small", "--on", "test")
    wait_until(lambda: not cluster.jobs(), "the end of all jobs", seconds=240)
    assert len(project.diary) == 1
    assert project.ends() == [("failed", "exception")]
    assert len(project.submissions()) == 1
    assert project.page.exists()
    assert "19 new" in project.ablate("plan", "small")


def test_a_job_that_a_person_ended_is_not_started_again(cluster: Cluster, tmp_path: Path) -> None:
    project = a_project(tmp_path / "p", [2], 60, 100)
    project.ablate("run", "small", "--on", "test")
    wait_until(lambda: project.diary, "the trial's first step", seconds=120)
    cluster.run("scancel", *running_jobs(cluster))
    wait_until(lambda: not cluster.jobs(), "the end of all jobs", seconds=240)
    assert len(project.submissions()) == 1
    ((state, cause),) = project.ends()
    assert state == "interrupted"
    assert "CANCELLED" in project.ablate("why", "small:x=2")
    assert cause in ("cancelled", "stopped")


def test_a_trial_that_is_killed_is_given_more_memory_and_no_more_than_the_cap(cluster: Cluster, tmp_path: Path) -> None:
    resources = '\n[resources]\nmemory = "600MB"\n'
    base = f'does = "die"\ndiary = "{tmp_path}/p/diary"'
    project = Project(tmp_path / "p", [1], base + resources, 'memory_cap = "1000MB"')
    project.ablate("run", "small", "--on", "test")
    wait_until(lambda: not cluster.jobs(), "the end of all jobs", seconds=300)
    asked = [array["resources"]["memory"] for each in project.submissions() for array in each["arrays"]]
    assert asked == ["600MB", "1000MB"]
    assert [cause for _, cause in project.ends()] == ["killed", "killed"]


def test_a_study_ends_without_accounting(cluster: Cluster, tmp_path: Path) -> None:
    cluster.configure(accounting=False)
    project = a_project(tmp_path / "p", [1, 2, 3], 2, 10, "trials_per_job = 1")
    project.ablate("run", "small", "--on", "test")
    wait_until(project.page.exists, "the page", seconds=240)
    assert sorted(project.results().values()) == sorted(undisturbed([1, 2, 3], 10))


def test_what_finds_no_room_is_submitted_when_there_is_some(cluster: Cluster, tmp_path: Path) -> None:
    cluster.run("sacctmgr", "--immediate", "modify", "user", "root", "set", "MaxSubmitJobs=4")
    try:
        project = Project(tmp_path / "p", range(6), cluster="trials_per_job = 1")
        assert "3 more find no room yet" in project.ablate("run", "small", "--on", "test")
        wait_until(lambda: len(project.results()) == 6, "all results", seconds=300)
    finally:
        cluster.run("sacctmgr", "--immediate", "modify", "user", "root", "set", "MaxSubmitJobs=-1")
    assert len(project.submissions()) > 1
