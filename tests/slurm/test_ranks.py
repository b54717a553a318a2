import json
from pathlib import Path

import pytest

from ablate.records.attempt import environment_of
from tests.conftest import TINY_PROFILE, TINY_STUDY
from tests.slurm.cluster import Cluster, wait_until
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
    found = {path.parent.name: json.loads(path.read_text())["metrics"] for path in paths}
    return {key: (result["loss"], result["top1"]) for key, result in found.items()}


def test_two_nodes_of_two_ranks_compute_what_one_process_does(cluster: Cluster, tmp_path: Path) -> None:
    cells = ("--only", "first=color", "--only", "temperature=1.0", "--set", "precision=float64")
    alone = a_tiny_project(tmp_path / "alone", TINY_PROFILE)
    alone.ablate("run", "tiny", *cells, "--workers", "1", "--device", "cpu")
    many = a_tiny_project(tmp_path / "many", TINY_PROFILE + RANKS)
    many.ablate("run", "tiny", *cells, "--on", "test", "--wait")
    (expected,) = losses(alone).values()
    assert losses(many)[next(iter(losses(alone)))] == pytest.approx(expected, abs=1e-9)
    (attempt,) = (many.folder / "results" / "trials").glob("*/attempts/0*")
    assert environment_of(attempt)["slurm"]["nodes"] == "node[1-2]"


def test_a_failing_rank_ends_the_others_and_its_error_is_reported(cluster: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path / "p", [1], 'does = "raise on the last rank"' + RANKS)
    project.ablate("run", "small", "--on", "test", "--wait", code=1)
    assert project.ends() == [("failed", "exception")]
    assert "rank-3: RuntimeError: boom" in project.ablate("why", "small:x=1")


def test_a_lost_rank_is_named_and_its_trial_is_trained_again_elsewhere(cluster: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path / "p", [1], 'does = "die on the first rank"\n[resources]\nnodes = 2\n')
    project.ablate("run", "small", "--on", "test")
    wait_until(project.page.exists, "the page")
    assert [cause for _, cause in project.ends()] == ["rank_lost", None]
    events = (project.folder / "results" / "trials").glob("*/attempts/001*/events.jsonl")
    assert "rank-0 ended without a note" in next(events).read_text()
    first, second = (submission["arrays"][0] for submission in project.submissions())
    assert (first["avoid"], len(second["avoid"])) == ([], 1)
