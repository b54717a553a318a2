"""How the jobs of a submission ended, and for what cause their trials have no result."""

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import replace

from ablate.records.attempt import State, attempt_status, end_attempt_of_dead_process, is_done
from ablate.records.coordination import cancel_requested
from ablate.records.files import Results
from ablate.run.causes import RANK_LOST, failure_of_another_rank, first_rank_lost, interruption
from ablate.run.slurm.controller import controller_of
from ablate.run.slurm.ledger import Ledger, Submission
from ablate.run.slurm.queue import Queue, by_place
from ablate.run.slurm.retry import Unfinished
from ablate.run.slurm.scheduler import Job, ended_jobs

_ENDS: dict[str, tuple[State, str]] = {
    "NODE_FAIL": ("interrupted", "node_failure"),
    "BOOT_FAIL": ("interrupted", "node_failure"),
    "OUT_OF_MEMORY": ("failed", "out_of_memory"),
    "TIMEOUT": ("interrupted", "timeout"),
    "DEADLINE": ("interrupted", "timeout"),
    "PREEMPTED": ("interrupted", "preempted"),
    "CANCELLED": ("interrupted", "cancelled"),
}
"""Slurm's state of a job -> state and cause of the attempt that it ended."""
UNKNOWN = "UNKNOWN"
"""The state of a job that Slurm has forgotten, on a cluster without accounting."""
_SAVED_SECONDS = 120
"""A controller that dies forgets the jobs of its last seconds; older ones it has saved."""


def unfinished_trials(results: Results, submission: Submission, queue: Queue) -> Iterator[Unfinished]:
    """The trials without a result whose jobs are over; records the end of their attempts."""
    ids = Ledger(results).jobs(submission.id)
    over = [
        (array, index)
        for array in submission.arrays
        for index, share in enumerate(array.shares)
        if not queue.alive(array, index) and not all(is_done(results.trial(key)) for key in share.keys)
    ]
    # Only the accounting knows jobs that squeue has forgotten, and who cancelled one.
    asked = [
        array.name for array, index in over if (job := queue.job(array, index)) is None or job.state == "CANCELLED"
    ]
    ended = by_place(ended_jobs(list(dict.fromkeys(asked)), submission.created, controller_of(submission.cluster)))
    for array, index in over:
        id = ids.get(array.name, "?")
        accounted = ended.get((array.name, index))
        job = queue.job(array, index) or accounted
        job = job or Job(array.name, index, f"{id}_{index}" if len(array.shares) > 1 else id, UNKNOWN)
        if accounted and accounted.state == job.state == "CANCELLED":
            job = replace(job, nodes=accounted.nodes, reason=accounted.reason)
        for key in array.shares[index].keys:
            if not is_done(results.trial(key)):
                cause, message = _record_end(results, submission, key, job)
                cancelled = cancel_requested(results.trial(key))
                yield Unfinished(key, array, array.shares[index], cause, message, job.nodes, cancelled)


def _record_end(results: Results, submission: Submission, key: str, job: Job) -> tuple[str, str]:
    """The cause and message of a trial without a result; ends the attempts that its job could not end itself."""
    folder = results.trial(key)
    state, cause = _ENDS.get(job.state, ("interrupted", "lost"))
    own = [path for path in folder.attempt_folders() if path.name.partition("-")[2] == f"slurm-{job.id}"]
    for attempt in own:
        if rank := failure_of_another_rank(attempt) or (first_rank_lost(attempt) if job.state not in _ENDS else None):
            words = "; ".join([rank.message, *_words_of_srun(results, submission, job)])
            end_attempt_of_dead_process(attempt, "failed", rank.cause, words)
        known, then = interruption(results, key, attempt.name, cause)
        end_attempt_of_dead_process(attempt, state, known, f"{job.summary}; {then}")
    if cancel_requested(folder) or job.state == "CANCELLED":
        return "cancelled", job.summary
    if not own:
        return _cause_without_attempt(results, submission, job)
    status = attempt_status(own[-1], time.time())
    if job.state == UNKNOWN and status.cause == "stopped":  # Slurm sent SIGTERM, and the job did not come back
        return "cancelled", f"job {job.id} was ended by SIGTERM, as scancel does; Slurm has forgotten by whom"
    if status.cause == RANK_LOST and job.state in _ENDS:  # Slurm knows why the rank is gone
        return cause, job.summary
    return status.cause or status.state, status.message or ""


def _words_of_srun(results: Results, submission: Submission, job: Job) -> list[str]:
    """What srun said about the first task that ended badly: `srun: error: node1: task 0: Killed`."""
    log = Ledger(results).log(submission.id) / f"{job.id}_0_log.out"
    with contextlib.suppress(OSError):
        return re.findall(r"^srun: error: .*: tasks? .*$", log.read_text(errors="replace"), re.MULTILINE)[:1]
    return []


def _cause_without_attempt(results: Results, submission: Submission, job: Job) -> tuple[str, str]:
    """Why a job that is over began none of its trials."""
    if job.state != UNKNOWN:
        return _ENDS.get(job.state, ("interrupted", "not_begun"))[1], job.summary
    ledger = Ledger(results)
    if (ledger.log(submission.id) / f"{job.id}_0_log.out").exists():  # it was started
        return "not_begun", job.summary
    if job.name not in ledger.jobs(submission.id) or time.time() - submission.created < _SAVED_SECONDS:
        return "lost", f"{job.summary}: the controller has forgotten it"
    return "cancelled", f"job {job.id} was never started, and Slurm has forgotten it: a user may have cancelled it"
