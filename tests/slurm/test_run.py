import os
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, wait_until
from tests.slurm.conftest import Shims
from tests.slurm.project import Project

pytestmark = pytest.mark.slurm
LATER = 'options.begin = "now+1hour"'
"""Jobs of a cluster like that wait."""


def test_a_study_on_a_cluster_has_the_results_of_the_local_run(cluster: Cluster, tmp_path: Path) -> None:
    local = Project(tmp_path / "local", range(5))
    remote = Project(tmp_path / "remote", range(5), cluster="trials_per_job = 2")
    local.ablate("run", "small", "--workers", "1")
    printed = remote.ablate("run", "small", "--on", "test", "--wait")
    assert "submitted 5 trials in 4 jobs of test" in printed
    assert printed.splitlines()[-1] == "page: reports/small.html"
    assert remote.results() == local.results()
    assert len(remote.results()) == 5


def test_a_run_returns_and_the_cluster_goes_on_to_the_page_and_tells_of_it(cluster: Cluster, tmp_path: Path) -> None:
    told = tmp_path / "told"
    finish = f'trials_per_job = 2\non_finish = "echo $ABLATE_STUDY $ABLATE_FAILED > {told}"'
    project = Project(tmp_path / "project", range(4), cluster=finish)
    assert "it goes on without this terminal" in project.ablate("run", "small", "--on", "slurm")
    again = project.ablate("run", "small", "--on", "slurm")
    assert "nothing to train" in again
    assert len(project.submissions()) == 1
    wait_until(told.exists, "the end of the study", seconds=180)
    assert told.read_text() == "small 0\n"
    assert project.page.exists()
    assert len(project.results()) == 4


def test_what_waits_in_the_queue_is_told_and_ends_when_it_is_cancelled(cluster: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", range(3), cluster=f"trials_per_job = 2\n{LATER}")
    project.ablate("run", "small", "--on", "test")
    assert "3 queued; nothing to train" in project.ablate("plan", "small")
    (header, row) = project.ablate("status").splitlines()
    assert dict(zip(header.split("\t"), row.split("\t"), strict=True))["queued"] == "3"
    assert "PENDING" in project.ablate("why", "small:x=1")
    first = project.ablate("cancel", "small", "--where", "x = 0")
    assert "1 job of a cluster ended" in first
    project.ablate("cancel", "small")
    wait_until(lambda: len(cluster.jobs()) <= 1, "an empty queue")  # what is left is the job that follows
    assert "3 new" in project.ablate("plan", "small")


def test_two_who_run_a_study_at_once_train_each_trial_once(cluster: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", range(4), f'diary = "{tmp_path}/project/diary"', "trials_per_job = 1")
    runs = [project.start("run", "small", "--on", "test", "--wait") for _ in range(2)]
    printed = [run.communicate(timeout=300)[0] for run in runs]
    assert sum("submitted 4 trials" in text for text in printed) == 1, printed
    wait_until(lambda: len(project.results()) == 4, "all results", seconds=120)
    assert sorted(project.diary) == [f"{x} 0 0" for x in range(4)]


def test_who_is_killed_right_after_sbatch_loses_no_job(
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
    wait_until(project.page.exists, "the page, which is written by the job that follows", seconds=120)
    assert project.diary == ["1 0 0"]


def test_a_busy_controller_is_asked_again(cluster: Cluster, tmp_path: Path, shim: Shims) -> None:
    sbatch = shim("sbatch")
    busy = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    sbatch.fail(busy, busy)
    project = Project(tmp_path / "project", [1, 2], cluster=f"trials_per_job = 2\n{LATER}")
    assert "submitted 2 trials in 1 job" in project.ablate("run", "small", "--on", "test")
    assert len(sbatch.calls) == 4  # two in vain, the array, and the job that follows
    assert len(cluster.jobs()) == 2


def test_what_sbatch_refuses_is_told_and_leaves_nothing_behind(cluster: Cluster, tmp_path: Path) -> None:
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


def test_records_that_were_copied_from_a_cluster_need_none(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "project", [1, 2], cluster=LATER)
    project.ablate("run", "small", "--on", "test")
    with monkeypatch.context() as path:
        path.setenv("PATH", "/nowhere")
        assert "2 new" in project.ablate("plan", "small")
    assert "2 queued" in project.ablate("plan", "small")
