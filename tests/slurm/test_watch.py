"""Who watches over a submission on a real cluster; tests/run/slurm/test_watch.py acts what needs none."""

from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, wait_until
from tests.slurm.conftest import Shims
from tests.slurm.project import Project

pytestmark = pytest.mark.slurm


def test_what_keeps_every_job_from_starting_is_told_holds_nothing_and_is_mended_by_the_next_run(
    cluster: Cluster, tmp_path: Path, shim: Shims
) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    table = f'trials_per_job = 1\nsetup = ["[ ! -e {broken} ] || exit 3"]'
    project = Project(tmp_path / "p", range(3), cluster=table)
    project.ablate("run", "small", "--on", "test")
    wait_until(lambda: not cluster.jobs(), "the end of all jobs, also of those that were held")
    status = project.ablate("status", "small")
    assert "nobody is watching" in status
    assert "was FAILED" in status
    broken.unlink()
    squeue = shim("squeue")
    assert "submitted 3 trials" in project.ablate("run", "small", "--on", "test")
    wait_until(project.page.exists, "the page")
    assert len(project.results()) == 3
    asked = [call for call in squeue.calls if "--name=" in call]  # the others are this test's
    assert len(asked) <= 10
    for folder in (project.folder / "results" / "trials").iterdir():
        files = {path.name for path in folder.rglob("*") if path.is_file()}
        assert files == {".claim", "trial.json", "result.json", "events.jsonl", "metrics.jsonl"}, "docs/slurm.md"
