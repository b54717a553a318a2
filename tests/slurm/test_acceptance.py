"""Whole studies on a real cluster, also while parts of it fail."""

import json
import os
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TINY_PROFILE
from tests.slurm.cluster import PATIENCE, Cluster, wait_until
from tests.slurm.conftest import Shims
from tests.slurm.project import Project

pytestmark = pytest.mark.slurm
STUDIES = Path(__file__).parents[2] / "studies"
_OF_ONE_ATTEMPT = ("pretrain_seconds", "evaluate_seconds")


def the_49_cells(folder: Path, profile: str, cluster: str = "") -> Project:
    """Fig. 5: the 7 x 7 pairs of augmentations and the untrained encoder."""
    project = Project(folder, [0], cluster=cluster)
    shutil.copy(STUDIES / "augment_pairs.toml", folder / "studies")
    (folder / "studies" / "profiles" / "embedded.toml").write_text(profile)
    return project


def numbers(project: Project) -> dict[str, dict[str, Any]]:
    """Trial key -> everything that its trainer returned, without durations."""
    found = {}
    for path in (project.folder / "results" / "trials").glob("*/result.json"):
        result = json.loads(path.read_text())["metrics"]
        found[path.parent.name] = {name: value for name, value in result.items() if name not in _OF_ONE_ATTEMPT}
    return found


_SLOW = pytest.mark.skipif("ABLATE_SLOW" not in os.environ, reason="takes many minutes: set ABLATE_SLOW=1")
_EMBEDDED = (STUDIES / "profiles" / "embedded.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("profile", "seconds"),
    [
        pytest.param(TINY_PROFILE, PATIENCE, id="tiny"),
        pytest.param(_EMBEDDED, 7200.0, id="embedded", marks=[_SLOW, pytest.mark.timeout(15_000)]),
    ],
)
def test_the_49_cells_have_the_numbers_of_a_local_run_and_a_second_run_submits_nothing(
    cluster: Cluster, tmp_path: Path, shim: Shims, profile: str, seconds: float
) -> None:
    local = the_49_cells(tmp_path / "local", profile)
    remote = the_49_cells(tmp_path / "remote", profile, "trials_per_job = 13\nmost_jobs = 2")
    sbatch = shim("sbatch")
    remote.ablate("run", "augment_pairs", "--on", "test")
    here = local.start("run", "augment_pairs", "--workers", "1")
    printed, _ = here.communicate(timeout=seconds)
    assert here.returncode == 0, printed
    wait_until((remote.folder / "reports" / "augment_pairs.html").exists, "the page", seconds=seconds)
    assert len(numbers(local)) == 50
    assert numbers(remote) == numbers(local)
    before = len(sbatch.calls)
    assert "nothing to train" in remote.ablate("run", "augment_pairs", "--on", "test")
    assert len(sbatch.calls) == before
    assert cluster.jobs() == {}


def test_a_thousand_trials_take_a_handful_of_submissions_and_all_of_them_end(
    cluster: Cluster, tmp_path: Path, shim: Shims
) -> None:
    project = Project(tmp_path / "p", range(1000), "steps = 1", "trials_per_job = 125\nmost_jobs = 2")
    sbatch, squeue = shim("sbatch"), shim("squeue")
    began = time.monotonic()
    project.ablate("run", "small", "--on", "test")
    print(f"1,000 trials were submitted in {time.monotonic() - began:.1f} s")
    assert len(sbatch.calls) <= 3  # the trials, the canary, and the follow-up job
    wait_until(project.page.exists, "the page", seconds=2 * PATIENCE)
    results = (project.folder / "results" / "trials").glob("*/result.json")
    last = max(path.stat().st_mtime for path in results)
    print(f"the page was written {project.page.stat().st_mtime - last:.1f} s after the last result")
    wait_until(lambda: not cluster.jobs(), "an empty queue")
    assert pause_before_the_last_job(cluster, project) <= 10  # the rest is a matter of the machine's load
    assert len(sbatch.calls) <= 4  # and the follow-up job of those that the canary released
    assert len([call for call in squeue.calls if "--name=" in call]) <= 10
    assert len(project.results()) == 1000
    assert len(project.ends()) == 1000


def pause_before_the_last_job(cluster: Cluster, project: Project) -> float:
    """The seconds between the end of the last job that trained and the start of the last follow-up job, says Slurm."""
    ids = [each["id"] for each in project.submissions()]

    def rows() -> list[dict[str, str]]:
        every = cluster.accounted("--starttime=now-1day", fields="JobName,Start,End")
        return [row for row in every if any(id in row["JobName"] for id in ids)]

    wait_until(lambda: "Unknown" not in {value for row in rows() for value in row.values()}, "the accounting")
    follow = [row for row in rows() if "-follow" in row["JobName"]]
    trained = [row for row in rows() if "-follow" not in row["JobName"]]
    assert follow
    assert trained
    begun = max(datetime.fromisoformat(row["Start"]) for row in follow)
    return (begun - max(datetime.fromisoformat(row["End"]) for row in trained)).total_seconds()


def test_thirty_seven_jobs_go_through_arrays_of_ten(cluster: Cluster, tmp_path: Path) -> None:
    cluster.configure(MaxArraySize=10)
    project = Project(tmp_path / "p", range(37), "steps = 1", "trials_per_job = 1\nmost_jobs = 4")
    project.ablate("run", "small", "--on", "test")
    wait_until(project.page.exists, "the page")
    sizes = [len(array["shares"]) for submission in project.submissions() for array in submission["arrays"]]
    assert sorted(sizes) == [1, 6, 10, 10, 10]
    assert len(project.results()) == 37


def test_killing_the_controller_and_the_accounting_during_a_study_loses_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    base = f'steps = 20\nseconds = 4\ndiary = "{tmp_path}/p/diary"'
    project = Project(tmp_path / "p", range(8), base, "trials_per_job = 1\nmost_jobs = 3")
    project.ablate("run", "small", "--on", "test")
    wait_until(lambda: len(project.results()) >= 2, "two results")
    cluster.wait_for_saved_jobs()
    cluster.kill_controller()
    assert "queued" in project.ablate("status")
    assert "nothing is lost" in project.ablate("run", "small", "--on", "test", code=1)
    cluster.revive_controller()
    cluster.stop_accounting()
    assert "nothing to train" in project.ablate("run", "small", "--on", "test")
    assert len(project.submissions()) == 1
    wait_until(project.page.exists, "the page")
    assert len(project.results()) == 8
    assert sorted(line.split()[0] for line in project.diary if line.endswith(" 0")) == [str(x) for x in range(8)]
