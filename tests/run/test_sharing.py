"""What is trained once: counted by the attempts that wrote a row of pretraining."""

from pathlib import Path

from tests.conftest import Ablate

SECOND = """
name = "second"
title = "Another study"
question = "Does it share?"

[base]
loss.temperature = 0.5

[axes]
first = { setting = "augment.transforms.0", values = ["crop"] }
temperature = { setting = "loss.temperature", values = [0.1, 0.3] }
"""
EVALUATIONS = """
[evaluate.linear]
parts = ["cached_linear"]

[evaluate.neighbours]
parts = ["knn"]
knn.neighbours = 5
"""


def pretrainings(project: Path) -> int:
    """How many attempts trained an encoder."""
    metrics = (project / "results" / "trials").glob("*/attempts/*/metrics.jsonl")
    return sum('"phase": "pretrain"' in path.read_text() for path in metrics)


def results(project: Path) -> int:
    return len(list((project / "results" / "trials").glob("*/result.json")))


def test_a_cell_in_two_studies_is_trained_once(ablate: Ablate, project: Path) -> None:
    (project / "studies" / "second.toml").write_text(SECOND)
    ablate("run", "tiny", "--only", "first=crop")
    assert pretrainings(project) == 2
    printed = ablate("run", "second").stdout
    assert "1 done, 1 new; training 1" in printed
    assert pretrainings(project) == 3


def test_a_new_evaluation_on_an_old_study_trains_no_encoder_again(ablate: Ablate, project: Path) -> None:
    ablate("run", "tiny", "--only", "first=crop")
    assert (pretrainings(project), results(project)) == (2, 2)
    study = project / "studies" / "tiny.toml"
    study.write_text(study.read_text() + EVALUATIONS)
    run = ablate("run", "tiny", "--only", "first=crop")
    assert run.returncode == 0, run.stderr
    assert pretrainings(project) == 2
    assert results(project) == 4
    assert "evaluation=neighbours" in run.stdout
