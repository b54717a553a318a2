import json
import time
from pathlib import Path

import pytest

from ablate.records.coordination import request_cancel
from ablate.records.files import Results
from ablate.run.cluster import Cluster
from ablate.run.slurm import queue, scheduler
from ablate.run.slurm.controller import SlurmError
from ablate.run.slurm.ledger import Ledger, Submission
from ablate.run.slurm.packing import Array, Share
from ablate.run.slurm.queue import queued, read_queue
from ablate.run.slurm.scheduler import ended_jobs
from ablate.study.schema.resources import Resources


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
    monkeypatch.setattr(scheduler, "ask", slurm.ask)
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
    request_cancel(results.trial("b"))
    assert bool(queued(results, read_queue(results))) == (state != "COMPLETING"), "it ends, and is not requeued"


def test_array_tasks_that_were_cancelled_while_pending_are_over(slurm: Slurm, results: Results) -> None:
    slurm.squeue = "toy-1|7|N/A|CANCELLED||None\ntoy-1|7|0|RUNNING|node1|None\n"
    queue = read_queue(results)
    assert list(queued(results, queue)) == ["a"]
    (array,) = queue.submissions[0].arrays
    assert [(job.id, job.over) for index in range(3) if (job := queue.job(array, index))] == [
        ("7_0", False), ("7_1", True), ("7_2", True),
    ]  # fmt: skip


def test_pending_array_tasks_share_one_line_of_squeue(slurm: Slurm, results: Results) -> None:
    slurm.squeue = "toy-1|7|1-2%5|PENDING||Resources\ntoy-1|7|0|RUNNING|node1|None\n"
    waiting = queued(results, read_queue(results))
    assert {key: job.id for key, job in waiting.items()} == {"a": "7_0", "b": "7_1", "c": "7_2"}


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "CANCELLED"])
def test_a_job_that_is_over_lets_its_trials_be_submitted_again(slurm: Slurm, results: Results, state: str) -> None:
    slurm.squeue = f"toy-1|7|1|{state}|node2|NonZeroExitCode\n"
    assert queued(results, read_queue(results)) == {}


def test_a_job_of_another_name_with_the_same_id_is_ignored(slurm: Slurm, results: Results) -> None:
    slurm.squeue = "other|7|1|RUNNING|node2|None\n"
    assert queued(results, read_queue(results)) == {}


def test_without_an_answer_of_squeue_all_trials_count_as_queued(slurm: Slurm, results: Results) -> None:
    slurm.squeue = None
    found = read_queue(results)
    assert not found.answered
    assert list(queued(results, found)) == ["a", "b", "c"]


def test_one_answer_of_squeue_serves_all_calls_within_seconds(slurm: Slurm, results: Results) -> None:
    for _ in range(5):
        read_queue(results)
    assert slurm.calls == ["squeue"]
    read_queue(results, fresh=True)
    assert slurm.calls == ["squeue", "squeue"]


def test_slurm_is_not_asked_if_nothing_was_submitted(slurm: Slurm, tmp_path: Path) -> None:
    read_queue(Results(tmp_path))
    assert slurm.calls == []


def test_the_accounting_says_how_a_job_ended_and_is_optional(slurm: Slurm, results: Results) -> None:
    (submission,) = Ledger(results).open()
    names = [array.name for array in submission.arrays]
    slurm.sacct = """\
toy-1|7_0|CANCELLED by 0|None assigned|0:0
toy-1|7_1|NODE_FAIL|node2|1:0
toy-1|7_[2-3,5%4]|CANCELLED by 0||0:0
toy-1|7_8|PENDING||0:0
"""
    found = {job.index: job for job in ended_jobs(names, submission.created)}
    assert [found[0].state, found[1].nodes] == ["CANCELLED", "node2"]
    assert list(found) == [0, 1, 2, 3, 5]
    slurm.sacct = None
    assert ended_jobs(names, submission.created) == []


def test_a_trial_whose_attempt_has_ended_is_not_queued(slurm: Slurm, results: Results) -> None:
    from ablate.records.attempt import AttemptWriter

    writer = AttemptWriter(results.trial("b").new_attempt("slurm-7_1"))
    writer.event("started", place="slurm-7_1")
    writer.end(state="failed", cause="exception", message="boom")
    writer.close()
    slurm.squeue = "toy-1|7|1|RUNNING|node2|None\ntoy-1|7|2|RUNNING|node2|None\n"
    assert list(queued(results, read_queue(results))) == ["c"]


@pytest.mark.parametrize(
    "damage",
    [
        "[]", '{"time": "x", "names": ["toy-1"], "jobs": [], "answered": true}',
        '{"time": 9e300, "names": ["toy-1", "one-follow"], "jobs": [], "answered": true}',
        '{"time": TIME, "names": null, "jobs": [], "answered": true}',
        '{"time": TIME, "names": ["toy-1", "one-follow"], "jobs": [["toy-1"]], "answered": true}',
        '{"time": TIME, "names": ["toy-1", "one-follow"], "jobs": [[1, 2, 3, 4, 5, []]], "answered": true}',
    ],
)  # fmt: skip
def test_a_damaged_answer_of_squeue_is_asked_for_again(slurm: Slurm, results: Results, damage: str) -> None:
    (results.submissions / "queue.json").write_text(damage.replace("TIME", str(time.time())))
    slurm.squeue = "toy-1|7|1|PENDING||Priority\n"
    assert list(queued(results, read_queue(results))) == ["b"]
    assert slurm.calls == ["squeue"]
    read_queue(results)
    assert slurm.calls == ["squeue"]


@pytest.mark.parametrize("created", ["NaN", "1e300", "-1", '"now"'])
def test_a_submission_with_an_impossible_time_is_not_believed(results: Results, created: str) -> None:
    file = results.submissions / "one/submission.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"created": 0}).replace('"created": 0', f'"created": {created}'))
    assert Ledger(results).open() == []


def test_only_ids_of_jobs_that_are_text_are_believed(results: Results) -> None:
    (results.submissions / "one/jobs.json").write_text('{"toy-1": "12", "toy-2": ["13"], "toy-3": null}')
    assert Ledger(results).jobs("one") == {"toy-1": "12"}
