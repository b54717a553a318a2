import time
from pathlib import Path

import pytest

from ablate.records.files import Results
from ablate.run.slurm import queue
from ablate.run.slurm.clusters import Cluster
from ablate.run.slurm.commands import SlurmError
from ablate.run.slurm.ledger import Array, Ledger, Submission
from ablate.run.slurm.queue import queued, read_queue
from ablate.run.slurm.shares import Share
from ablate.study.schema import Resources


class Slurm:
    """What squeue and sacct print, and how often they were asked."""

    def __init__(self) -> None:
        self.squeue: str | None = ""
        self.sacct: str | None = ""
        self.calls: list[str] = []

    def ask(self, command: str, *options: str) -> str:
        self.calls.append(command)
        answer = getattr(self, command)
        if answer is None:
            raise SlurmError(command, "Slurm accounting storage is disabled")
        return str(answer)


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Slurm:
    slurm = Slurm()
    monkeypatch.setattr(queue, "ask", slurm.ask)
    monkeypatch.setattr(queue.shutil, "which", lambda name: name)
    return slurm


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Records of one submission of three shares, a, b and c."""
    results = Results(tmp_path)
    array = Array(name="toy-1", resources=Resources(), shares=tuple(Share(keys=(key,)) for key in "abc"))
    about = {"study": "toy", "profile": "embedded", "by": "me", "code": "code", "created": time.time()}
    Ledger(results).write(Submission(id="one", cluster=Cluster(), arrays=(array,), **about))
    return results


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUSPENDED", "REQUEUE_HOLD", "CONFIGURING", "COMPLETING"])
def test_a_job_that_may_go_on_keeps_its_trials_from_being_submitted_again(
    slurm: Slurm, results: Results, state: str
) -> None:
    slurm.squeue = f"toy-1|7|1|{state}||Resources\n"
    waiting = queued(results, read_queue(results))
    assert list(waiting) == ["b"]
    assert waiting["b"].id == "7_1"


def test_tasks_that_were_cancelled_while_they_waited_are_over(slurm: Slurm, results: Results) -> None:
    slurm.squeue = "toy-1|7|N/A|CANCELLED||None\ntoy-1|7|0|RUNNING|node1|None\n"
    queue = read_queue(results)
    assert list(queued(results, queue)) == ["a"]
    (array,) = queue.submissions[0].arrays
    assert [(job.id, job.over) for index in range(3) if (job := queue.job(array, index))] == [
        ("7_0", False), ("7_1", True), ("7_2", True),
    ]  # fmt: skip


def test_tasks_that_wait_together_stand_in_one_line(slurm: Slurm, results: Results) -> None:
    slurm.squeue = "toy-1|7|1-2%5|PENDING||Resources\ntoy-1|7|0|RUNNING|node1|None\n"
    waiting = queued(results, read_queue(results))
    assert {key: job.id for key, job in waiting.items()} == {"a": "7_0", "b": "7_1", "c": "7_2"}


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "CANCELLED"])
def test_a_job_that_is_over_does_not(slurm: Slurm, results: Results, state: str) -> None:
    slurm.squeue = f"toy-1|7|1|{state}|node2|NonZeroExitCode\n"
    assert queued(results, read_queue(results)) == {}


def test_a_job_id_that_is_used_again_is_nobodys(slurm: Slurm, results: Results) -> None:
    slurm.squeue = "other|7|1|RUNNING|node2|None\n"
    assert queued(results, read_queue(results)) == {}


def test_where_squeue_gives_no_answer_everything_is_believed_to_wait(slurm: Slurm, results: Results) -> None:
    slurm.squeue = None
    found = read_queue(results)
    assert not found.answered
    assert list(queued(results, found)) == ["a", "b", "c"]


def test_one_squeue_serves_all_who_look_within_seconds(slurm: Slurm, results: Results) -> None:
    for _ in range(5):
        read_queue(results)
    assert slurm.calls == ["squeue"]
    read_queue(results, fresh=True)
    assert slurm.calls == ["squeue", "squeue"]


def test_nobody_is_asked_where_nothing_was_submitted(slurm: Slurm, tmp_path: Path) -> None:
    read_queue(Results(tmp_path))
    assert slurm.calls == []


def test_how_a_job_ended_is_read_from_the_accounting_and_not_needed(slurm: Slurm, results: Results) -> None:
    (submission,) = Ledger(results).open()
    slurm.sacct = """\
toy-1|7_0|CANCELLED by 0|None assigned|0:0
toy-1|7_1|NODE_FAIL|node2|1:0
toy-1|7_[2-3,5%4]|CANCELLED by 0||0:0
toy-1|7_8|PENDING||0:0
"""
    found = queue.accounted(submission.arrays, submission.created)
    assert [found["toy-1", 0].state, found["toy-1", 1].nodes] == ["CANCELLED", "node2"]
    assert [place for _, place in found] == [0, 1, 2, 3, 5]
    slurm.sacct = None
    assert queue.accounted(submission.arrays, submission.created) == {}


def test_a_trial_that_its_job_has_ended_waits_no_more(slurm: Slurm, results: Results) -> None:
    from ablate.records.attempt import AttemptWriter

    writer = AttemptWriter(results.trial("b").new_attempt("slurm-7_1"))
    writer.event("started", place="slurm-7_1")
    writer.end(state="failed", cause="exception", message="boom")
    writer.close()
    slurm.squeue = "toy-1|7|1|RUNNING|node2|None\ntoy-1|7|2|RUNNING|node2|None\n"
    assert list(queued(results, read_queue(results))) == ["c"]
