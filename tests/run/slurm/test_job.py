from pathlib import Path

import pytest

from ablate.records.files import Results
from ablate.run.cluster import Cluster
from ablate.run.slurm import job
from ablate.run.slurm.job import Canary, in_vain, run_job
from ablate.run.slurm.ledger import Ledger, Submission
from ablate.run.slurm.packing import Array, Share
from ablate.study.schema.resources import Resources


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr(job, "release", lambda name, at: names.append(name))
    return names


def canary(first: bool = True) -> Canary:
    arrays = tuple(
        Array(name=name, resources=Resources(), shares=(Share(keys=(name,)),), held=name != "a", canary=name == "a")
        for name in "abc"
    )
    about = {"id": "one", "study": "toy", "profile": "embedded", "by": "me", "code": "code", "created": 0.0}
    submission = Submission(cluster=Cluster(), arrays=arrays, **about)
    return Canary(submission, arrays[0 if first else 1])


def test_metrics_before_the_first_step_release_no_array(released: list[str]) -> None:
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


def test_only_the_canary_releases_arrays(released: list[str]) -> None:
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
def test_a_job_ran_in_vain_if_no_trial_was_done_or_saved(ends: list[str | None], vain: bool) -> None:
    states = {None: "done", "exception": "failed"}
    outcomes = {str(place): {"state": states.get(end, "interrupted"), "cause": end} for place, end in enumerate(ends)}
    assert in_vain(outcomes) is vain


def test_a_job_whose_code_was_damaged_ends_before_it_trains(tmp_path: Path) -> None:
    code = tmp_path / "code/0123456789abcdef"
    code.mkdir(parents=True)
    about = {"id": "one", "study": "toy", "profile": "embedded", "by": "me", "code": str(code), "created": 0.0}
    Ledger(Results(tmp_path)).write(Submission(cluster=Cluster(), arrays=(), **about))
    with pytest.raises(SystemExit, match=r"was damaged: .*files.sha256 cannot be read: .*; submit again"):
        run_job((str(tmp_path), "one", "a"), lambda *_: pytest.fail("it trained"))


def test_a_full_disk_keeps_no_requeued_job_from_its_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(attempt: Path, *anything: object, **details: object) -> None:
        told.append(attempt.parents[1].name)
        raise OSError(28, "No space left on device")

    told: list[str] = []
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    monkeypatch.setattr(job, "place", lambda: "slurm-7")
    for key in "ab":
        Results(tmp_path).trial(key).new_attempt("slurm-7")
    monkeypatch.setattr("ablate.records.attempt.add_event", full)
    job.end_own_attempts(Results(tmp_path), ["a", "b"])
    assert told == ["a", "b"]
