"""Whole studies on a real cluster, and what must not harm them."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TINY_PROFILE
from tests.slurm.cluster import Cluster, wait_until
from tests.slurm.conftest import Shims
from tests.slurm.project import Project

pytestmark = pytest.mark.slurm
STUDIES = Path(__file__).parents[2] / "studies"
_OF_ONE_ATTEMPT = ("attempt", "seconds", "pretrain_seconds", "evaluate_seconds")


def the_49_cells(folder: Path, profile: str, cluster: str = "") -> Project:
    """Fig. 5: the 7 x 7 pairs of augmentations and the untrained encoder."""
    project = Project(folder, [0], cluster=cluster)
    shutil.copy(STUDIES / "augment_pairs.toml", folder / "studies")
    (folder / "studies" / "profiles" / "embedded.toml").write_text(profile)
    return project


def numbers(project: Project) -> dict[str, dict[str, Any]]:
    """Trial key -> all that its trainer returned, to the last digit, but for how long it took."""
    found = {}
    for path in (project.folder / "results" / "trials").glob("*/result.json"):
        result = json.loads(path.read_text())
        found[path.parent.name] = {name: value for name, value in result.items() if name not in _OF_ONE_ATTEMPT}
    return found


_SLOW = pytest.mark.skipif("ABLATE_SLOW" not in os.environ, reason="takes minutes: set ABLATE_SLOW=1, as CI does")
_EMBEDDED = (STUDIES / "profiles" / "embedded.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(TINY_PROFILE, id="tiny"),
        pytest.param(_EMBEDDED, id="embedded", marks=[_SLOW, pytest.mark.timeout(15_000)]),
    ],
)
def test_the_49_cells_have_the_numbers_of_the_local_run_and_a_second_run_submits_nothing(
    cluster: Cluster, tmp_path: Path, shim: Shims, profile: str
) -> None:
    local = the_49_cells(tmp_path / "local", profile)
    remote = the_49_cells(tmp_path / "remote", profile, "trials_per_job = 13\nmost_jobs = 2")
    sbatch = shim("sbatch")
    remote.ablate("run", "augment_pairs", "--on", "test")
    here = local.start("run", "augment_pairs", "--workers", "1")
    printed, _ = here.communicate(timeout=7200)
    assert here.returncode == 0, printed
    wait_until((remote.folder / "reports" / "augment_pairs.html").exists, "the page", seconds=7200)
    assert len(numbers(local)) == 50
    assert numbers(remote) == numbers(local)
    before = len(sbatch.calls)
    assert "nothing to train" in remote.ablate("run", "augment_pairs", "--on", "test")
    assert len(sbatch.calls) == before
    assert cluster.jobs() == {}


def test_a_thousand_trials_are_a_handful_of_submissions_and_all_of_them_end(
    cluster: Cluster, tmp_path: Path, shim: Shims
) -> None:
    project = Project(tmp_path / "p", range(1000), "steps = 1", "trials_per_job = 125\nmost_jobs = 2")
    sbatch = shim("sbatch")
    began = time.monotonic()
    project.ablate("run", "small", "--on", "test")
    print(f"1,000 trials were submitted in {time.monotonic() - began:.1f} s")
    assert len(sbatch.calls) <= 3  # the trials, one of them before the others, and the job that follows
    wait_until(project.page.exists, "the page", seconds=600)
    assert len(project.results()) == 1000
    assert len(project.ends()) == 1000


def test_thirty_seven_jobs_go_through_arrays_of_ten(cluster: Cluster, tmp_path: Path) -> None:
    cluster.configure(MaxArraySize=10)
    project = Project(tmp_path / "p", range(37), "steps = 1", "trials_per_job = 1\nmost_jobs = 4")
    project.ablate("run", "small", "--on", "test")
    wait_until(project.page.exists, "the page", seconds=600)
    sizes = [len(array["shares"]) for submission in project.submissions() for array in submission["arrays"]]
    assert sorted(sizes) == [1, 6, 10, 10, 10]
    assert len(project.results()) == 37


def test_a_killed_controller_and_accounting_that_goes_away_in_the_middle_of_a_study_cost_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    base = f'steps = 20\nseconds = 4\ndiary = "{tmp_path}/p/diary"'
    project = Project(tmp_path / "p", range(8), base, "trials_per_job = 1\nmost_jobs = 3")
    project.ablate("run", "small", "--on", "test")
    wait_until(lambda: len(project.results()) >= 2, "two results", seconds=200)
    cluster.wait_for_saved_jobs()
    cluster.kill_controller()
    assert "queued" in project.ablate("status")
    assert "nothing is lost" in project.ablate("run", "small", "--on", "test", code=1)
    cluster.revive_controller()
    cluster.stop_accounting()
    assert "nothing to train" in project.ablate("run", "small", "--on", "test")
    assert len(project.submissions()) == 1
    wait_until(project.page.exists, "the page", seconds=600)
    assert len(project.results()) == 8
    assert sorted(line.split()[0] for line in project.diary if line.endswith(" 0")) == [str(x) for x in range(8)]
