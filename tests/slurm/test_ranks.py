import json
from pathlib import Path

import pytest

from tests.conftest import TINY_PROFILE, TINY_STUDY
from tests.slurm.cluster import Cluster
from tests.slurm.project import Project

pytestmark = pytest.mark.slurm
RANKS = "\n[resources]\nnodes = 2\ngpus_per_node = 2\n"


def a_tiny_project(folder: Path, profile: str) -> Project:
    project = Project(folder, [0])
    (folder / "studies" / "tiny.toml").write_text(TINY_STUDY)
    (folder / "studies" / "profiles" / "embedded.toml").write_text(profile)
    return project


def losses(project: Project) -> dict[str, tuple[float, float]]:
    paths = (project.folder / "results" / "trials").glob("*/result.json")
    found = {path.parent.name: json.loads(path.read_text()) for path in paths}
    return {key: (result["loss"], result["top1"]) for key, result in found.items()}


def test_two_nodes_of_two_ranks_compute_what_one_process_does(cluster: Cluster, tmp_path: Path) -> None:
    cells = ("--only", "first=color", "--only", "temperature=1.0", "--set", "precision=float64")
    alone = a_tiny_project(tmp_path / "alone", TINY_PROFILE)
    alone.ablate("run", "tiny", *cells, "--workers", "1", "--device", "cpu")
    many = a_tiny_project(tmp_path / "many", TINY_PROFILE + RANKS)
    many.ablate("run", "tiny", *cells, "--on", "test", "--wait")
    (expected,) = losses(alone).values()
    assert losses(many)[next(iter(losses(alone)))] == pytest.approx(expected, abs=1e-9)
    (attempt,) = (many.folder / "results" / "trials").glob("*/attempts/*/env.json")
    assert json.loads(attempt.read_text())["slurm"]["nodes"] == "node[1-2]"


def test_a_rank_that_fails_ends_the_others_and_tells_why(cluster: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path / "p", [1], 'does = "raise on the last rank"' + RANKS)
    project.ablate("run", "small", "--on", "test", "--wait", code=1)
    assert project.ends() == [("failed", "exception")]
    assert "rank-3: RuntimeError: boom" in project.ablate("why", "small:x=1")
