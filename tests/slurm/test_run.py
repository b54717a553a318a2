import os
from pathlib import Path

import pytest

from tests.slurm.cluster import PATIENCE, Cluster, wait_until
from tests.slurm.conftest import Shims
from tests.slurm.project import Project

pytestmark = pytest.mark.slurm
LATER = 'options.begin = "now+1hour"'
"""Jobs of a cluster like that wait."""


def test_a_study_on_a_cluster_has_the_results_of_a_local_run(cluster: Cluster, tmp_path: Path) -> None:
    local = Project(tmp_path / "local", range(5))
    remote = Project(tmp_path / "remote", range(5), cluster="trials_per_job = 2")
    local.ablate("run", "small", "--workers", "1")
    printed = remote.ablate("run", "small", "--on", "test", "--wait")
    assert "submitted 5 trials in 4 jobs to test" in printed
    assert printed.splitlines()[-1] == "page: reports/small.html"
    assert remote.results() == local.results()
    assert len(remote.results()) == 5


TUNE = """
[tune]
settings = { steps = [4, 7, 10] }
metric = "top1"
set = { does = "train" }
"""


def test_a_tuned_study_chooses_on_the_cluster_and_then_compares_there_as_a_local_run_does(
    cluster: Cluster, tmp_path: Path
) -> None:
    names = ("local", "returning", "waiting")
    local, returning, waiting = (Project(tmp_path / name, range(2), TUNE, "trials_per_job = 3") for name in names)
    local.ablate("run", "small", "--workers", "1")
    assert len(local.results()) == 2 * 3 + 2
    first = returning.ablate("run", "small", "--on", "test")
    assert "submitted 6 trials in 3 jobs to test" in first
    assert "When tuning has ended, run the same command again: it submits the comparison." in first
    wait_until(lambda: len(returning.results()) == 6, "the trials that choose")
    assert "submitted 2 trials in" in returning.ablate("run", "small", "--on", "test", "--wait")
    both = waiting.ablate("run", "small", "--on", "test", "--wait")
    assert [line.split(" in ")[0] for line in both.splitlines() if line.startswith("submitted")] == [
        "submitted 6 trials", "submitted 2 trials",
    ]  # fmt: skip
    for project in (returning, waiting):
        assert project.results() == local.results()
        assert "Tuning" in project.page.read_text()


def test_a_run_returns_and_the_cluster_continues_to_the_page_and_notifies_the_user(
    cluster: Cluster, tmp_path: Path
) -> None:
    notice = tmp_path / "notice"
    finish = f'trials_per_job = 2\non_finish = ["bash", "-c", "echo $ABLATE_STUDY $ABLATE_FAILED > {notice}"]'
    project = Project(tmp_path / "project", range(4), cluster=finish)
    assert "You can close this terminal" in project.ablate("run", "small", "--on", "slurm")
    again = project.ablate("run", "small", "--on", "slurm")
    assert "nothing to train" in again
    assert len(project.submissions()) == 1
    wait_until(notice.exists, "the end of the study")
    assert notice.read_text() == "small 0\n"
    assert project.page.exists()
    assert len(project.results()) == 4


@pytest.mark.ends_otherwise("its jobs are to begin in an hour")
def test_queued_trials_are_reported_and_their_jobs_end_when_they_are_cancelled(
    cluster: Cluster, tmp_path: Path
) -> None:
    project = Project(tmp_path / "project", range(3), cluster=f"trials_per_job = 2\n{LATER}")
    project.ablate("run", "small", "--on", "test")
    assert "3 queued; nothing to train" in project.ablate("plan", "small")
    header, row, on_cluster = project.ablate("status").splitlines()
    assert dict(zip(header.split("\t"), row.split("\t"), strict=True))["queued"] == "3"
    assert on_cluster.startswith("small [embedded] on test: waiting: ")
    assert "; watched by job " in on_cluster
    assert "PENDING" in project.ablate("why", "small:x=1")
    first = project.ablate("cancel", "small", "--where", "x = 0")
    assert "cancelled 1 cluster job: " in first
    project.ablate("cancel", "small")
    wait_until(lambda: len(cluster.jobs()) <= 1, "an empty queue")  # the follow-up job is left
    assert "3 new" in project.ablate("plan", "small")


@pytest.mark.ends_otherwise("its jobs are to begin in an hour")
def test_plan_prints_the_scripts_that_sbatch_then_receives(cluster: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", range(3), cluster=f'partition = "gpu"\ntrials_per_job = 1\n{LATER}')
    printed = project.ablate("plan", "small", "--on", "test")
    project.ablate("run", "small", "--on", "test")
    (submission,) = project.submissions()
    log = project.folder / "results" / "slurm" / submission["id"] / "log"
    names = [array["name"] for array in submission["arrays"]]
    sent = {name: (log / f"{name}.sh").read_text() for name in [*names, f"{submission['id']}-follow"]}
    canary = next(array["name"] for array in submission["arrays"] if array["canary"])
    texts = "".join(f"\n==> results/slurm/ID/log/{name}.sh <==\n{text}" for name, text in sent.items())
    texts = texts.replace(f"afterany:{project.jobs()[canary]}", f"afterany:{canary}")
    assert printed.endswith(texts.replace(submission["id"], "ID"))
    assert len(sent) == 3


def test_two_runs_of_a_study_at_the_same_time_train_each_trial_once(cluster: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", range(4), f'diary = "{tmp_path}/project/diary"', "trials_per_job = 1")
    runs = [project.start("run", "small", "--on", "test", "--wait") for _ in range(2)]
    printed = [run.communicate(timeout=PATIENCE)[0] for run in runs]
    assert sum("submitted 4 trials" in text for text in printed) == 1, printed
    wait_until(lambda: len(project.results()) == 4, "all results")
    assert sorted(project.diary) == [f"{x} 0 0" for x in range(4)]


def test_a_run_that_is_killed_right_after_sbatch_loses_no_job(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "deadly"
    folder.mkdir()
    (folder / "sbatch").write_text(f'#!/bin/sh\nPATH="${{PATH#{folder}:}}"\nsbatch "$@"\nkill -9 $PPID\n')
    (folder / "sbatch").chmod(0o755)
    project = Project(tmp_path / "project", [1], f'diary = "{tmp_path}/project/diary"')
    with monkeypatch.context() as path:
        path.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        project.ablate("run", "small", "--on", "test", code=-9)
    assert project.jobs() == {}
    assert "nothing to train" in project.ablate("run", "small", "--on", "test")
    assert len(project.jobs()) == 1
    wait_until(project.page.exists, "the page, which is written by the job that follows")
    assert project.diary == ["1 0 0"]


@pytest.mark.ends_otherwise("its jobs are to begin in an hour")
def test_a_command_is_repeated_while_the_controller_is_busy(cluster: Cluster, tmp_path: Path, shim: Shims) -> None:
    sbatch = shim("sbatch")
    busy = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    sbatch.fail(busy, busy)
    project = Project(tmp_path / "project", [1, 2], cluster=f"trials_per_job = 2\n{LATER}")
    assert "submitted 2 trials in 1 job" in project.ablate("run", "small", "--on", "test")
    assert len(sbatch.calls) == 4  # two that fail, the array, and the follow-up job
    assert len(cluster.jobs()) == 2


def test_a_refusal_of_sbatch_is_reported_and_leaves_nothing_behind(cluster: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", [1, 2], cluster='partition = "nowhere"')
    printed = project.ablate("run", "small", "--on", "test", code=2)
    assert "sbatch refuses the jobs of 'small'" in printed
    assert "invalid partition specified: nowhere" in printed
    assert cluster.jobs() == {}
    assert "2 new" in project.ablate("plan", "small")


def test_no_variable_of_a_job_or_a_launcher_reaches_a_job(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_CPU_BIND", "SBATCH_PARTITION", "MASTER_ADDR", "PMIX_RANK", "KEPT"):
        monkeypatch.setenv(name, "nonsense")
    project = Project(tmp_path / "project", [1], cluster=f'setup = ["env > {tmp_path}/env"]')
    project.ablate("run", "small", "--on", "test", "--wait")
    found = (tmp_path / "env").read_text().splitlines()
    assert [line for line in found if line.endswith("=nonsense")] == ["KEPT=nonsense"]


@pytest.mark.ends_otherwise("its jobs are to begin in an hour")
def test_records_that_were_copied_from_a_cluster_need_none(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "project", [1, 2], cluster=LATER)
    project.ablate("run", "small", "--on", "test")
    with monkeypatch.context() as path:
        path.setenv("PATH", "/nowhere")
        assert "2 new" in project.ablate("plan", "small")
    assert "2 queued" in project.ablate("plan", "small")
