"""Jobs that end before their trials are done, and trials that reach their results nevertheless."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.slurm.cluster import PATIENCE, Cluster, wait_until
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


def test_a_preempted_job_saves_its_state_and_ends_with_the_result_of_an_undisturbed_one(
    cluster: Cluster, tmp_path: Path
) -> None:
    project = a_project(tmp_path / "p", [3], 20, 100, 'partition = "preempt"')
    project.ablate("run", "small", "--on", "test")
    wait_until(lambda: project.diary, "the trial's first step")
    (trial,) = (project.folder / "results" / "trials").iterdir()
    reader = project.start("logs", trial.name, "-f")
    time.sleep(3)
    other = cluster.run(
        "sbatch", "--parsable", "--partition=gpu", "--exclusive", "--nodes=4", "--output=/dev/null", "--wrap", "sleep 8"
    )
    wait_until(lambda: len(project.diary) == 2, "a second attempt")
    assert int(project.diary[1].split()[2]) > 0
    wait_until(lambda: project.results(), "the result")
    assert list(project.results().values()) == undisturbed([3], 100)
    assert project.ends()[0] == ("interrupted", "preempted")
    assert other not in cluster.jobs()
    followed, _ = reader.communicate(timeout=PATIENCE)
    lines = [line for line in followed.splitlines() if "attempt" in line or "ended" in line]
    assert [re.sub(r"slurm-\S+", "slurm", line) for line in lines if "has started" not in line] == [
        "==> 001-slurm ended: interrupted, preempted <==",
        "==> 002-slurm ended: done <==",
    ]


def first_process_of_the_job(project: Project) -> int:
    """The one that started the workers, of which one has the trial's process."""
    (events,) = (project.folder / "results" / "trials").glob("*/attempts/*/events.jsonl")
    process = int(json.loads(events.read_text().splitlines()[0])["pid"])
    while "ablate.run.slurm.job" not in Path(f"/proc/{process}/cmdline").read_text():
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return process


@pytest.mark.parametrize("what", ["node", "job"])
def test_a_trial_whose_node_or_job_dies_resumes(cluster: Cluster, tmp_path: Path, what: str) -> None:
    project = a_project(tmp_path / "p", [2], 15, 100)
    project.ablate("run", "small", "--on", "test")
    wait_until(lambda: project.diary, "the trial's first step")
    (job,) = running_jobs(cluster)
    node = cluster.run("squeue", "--noheader", f"--job={job}", "--format=%N")
    if what == "node":
        cluster.kill_node(node)
    else:
        os.kill(first_process_of_the_job(project), signal.SIGKILL)
    wait_until(lambda: project.results(), "the result")
    assert list(project.results().values()) == undisturbed([2], 100)


def test_an_error_in_a_trainer_costs_one_trial_and_the_others_are_not_started(cluster: Cluster, tmp_path: Path) -> None:
    base = f'does = "raise"\ndiary = "{tmp_path}/p/diary"'
    project = Project(tmp_path / "p", range(20), base, "trials_per_job = 1")
    project.ablate("run", "small", "--on", "test")
    wait_until(lambda: not cluster.jobs(), "the end of all jobs")
    assert len(project.diary) == 1
    assert project.ends() == [("failed", "exception")]
    assert len(project.submissions()) == 1
    assert project.page.exists()
    assert "19 new" in project.ablate("plan", "small")


def test_a_job_that_a_user_cancelled_is_not_started_again(cluster: Cluster, tmp_path: Path) -> None:
    project = a_project(tmp_path / "p", [2], 60, 100)
    project.ablate("run", "small", "--on", "test")
    wait_until(lambda: project.diary, "the trial's first step")
    cluster.run("scancel", *running_jobs(cluster))
    wait_until(lambda: not cluster.jobs(), "the end of all jobs")
    assert len(project.submissions()) == 1
    ((state, cause),) = project.ends()
    assert state == "interrupted"
    assert "CANCELLED" in project.ablate("why", "small:x=2")
    assert "(by root)" in project.ablate("why", "small:x=2")
    assert cause in ("cancelled", "stopped")


def test_a_killed_trial_is_retried_with_more_memory_up_to_the_cap(cluster: Cluster, tmp_path: Path) -> None:
    resources = '\n[resources]\nmemory = "600MB"\n'
    base = f'does = "die"\ndiary = "{tmp_path}/p/diary"'
    project = Project(tmp_path / "p", [1], base + resources, 'memory_cap = "1000MB"')
    project.ablate("run", "small", "--on", "test")
    wait_until(lambda: not cluster.jobs(), "the end of all jobs")
    asked = [array["resources"]["memory"] for each in project.submissions() for array in each["arrays"]]
    assert asked == ["600MB", "1000MB"]
    assert [cause for _, cause in project.ends()] == ["killed", "killed"]


def test_a_study_completes_without_accounting(cluster: Cluster, tmp_path: Path) -> None:
    cluster.configure(accounting=False)
    project = a_project(tmp_path / "p", [1, 2, 3], 2, 10, "trials_per_job = 1")
    project.ablate("run", "small", "--on", "test")
    wait_until(project.page.exists, "the page")
    assert sorted(project.results().values()) == sorted(undisturbed([1, 2, 3], 10))


def test_trials_without_room_are_submitted_when_there_is_room(cluster: Cluster, tmp_path: Path) -> None:
    cluster.run("sacctmgr", "--immediate", "modify", "user", "root", "set", "MaxSubmitJobs=4")
    try:
        project = Project(tmp_path / "p", range(6), cluster="trials_per_job = 1")
        assert "3 more will be submitted when the queue has room" in project.ablate("run", "small", "--on", "test")
        wait_until(lambda: len(project.results()) == 6, "all results")
    finally:
        cluster.run("sacctmgr", "--immediate", "modify", "user", "root", "set", "MaxSubmitJobs=-1")
    assert len(project.submissions()) > 1
