import pytest

from ablate.run.slurm import life
from ablate.run.slurm.clusters import Cluster
from ablate.run.slurm.ledger import Array, Submission
from ablate.run.slurm.life import Canary, in_vain
from ablate.run.slurm.shares import Share
from ablate.study.schema import Resources


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr(life, "release", names.append)
    return names


def canary(first: bool = True) -> Canary:
    arrays = tuple(
        Array(name=name, resources=Resources(), shares=(Share(keys=(name,)),), held=name != "a", canary=name == "a")
        for name in "abc"
    )
    about = {"id": "one", "study": "toy", "profile": "embedded", "by": "me", "code": "code", "created": 0.0}
    submission = Submission(cluster=Cluster(), arrays=arrays, **about)
    return Canary(submission, arrays[0 if first else 1])


def test_a_report_before_the_first_step_releases_nobody(released: list[str]) -> None:
    one = canary()
    for _ in range(3):
        one.look(0.0, {"loss": 1.0})
    assert released == []


def test_a_step_or_a_second_row_releases_each_array_once(released: list[str]) -> None:
    one = canary()
    one.look(0.01, {})
    one.look(0.02, {})
    assert sorted(released) == ["b", "c"]
    released.clear()
    other = canary()
    for loss in (1.0, 0.9, 0.8):
        other.look(0.0, {"loss": loss})
    assert sorted(released) == ["b", "c"]


def test_only_the_canary_releases_anybody(released: list[str]) -> None:
    canary(first=False).look(0.5, {})
    assert released == []


@pytest.mark.parametrize(
    ("ends", "vain"),
    [
        ([], False),
        (["unsaved"], True),
        (["unsaved", "timeout"], False),
        (["unsaved", None], False),
        (["unsaved", "exception"], True),
        (["exception"], False),
    ],
)
def test_a_job_was_in_vain_when_nothing_was_done_or_saved(ends: list[str | None], vain: bool) -> None:
    states = {None: "done", "exception": "failed"}
    outcomes = {str(place): {"state": states.get(end, "interrupted"), "cause": end} for place, end in enumerate(ends)}
    assert in_vain(outcomes) is vain
