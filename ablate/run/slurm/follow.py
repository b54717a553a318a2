"""What is done when jobs have ended: their ends written into the records, a canary judged, the next wave submitted."""

import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from ablate.errors import UserError
from ablate.records.attempt import State, attempt_status, end_attempt_of_dead_process
from ablate.records.cancel import cancel_requested
from ablate.records.files import Results
from ablate.run.failures import failure_of_another_rank
from ablate.run.slurm.commands import release, scancel
from ablate.run.slurm.known import measured_of, pretrainings
from ablate.run.slurm.ledger import Array, Ledger, Submission
from ablate.run.slurm.queue import Job, Queue, accounted, queued, read_queue
from ablate.run.slurm.rules import OF_THE_PLACE, decide, with_more_memory
from ablate.run.slurm.shares import Share, share_out
from ablate.run.slurm.submit import Group, recover
from ablate.run.slurm.waves import alive_jobs, submit_wave
from ablate.run.stops import interruption
from ablate.study.schema import Resources

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


@dataclass(frozen=True)
class Step:
    """What looking after a submission came to."""

    submission: Submission
    alive: tuple[str, ...] = ()
    """Ids of its jobs that wait or run."""
    next: Submission | None = None
    """The wave that was submitted now."""
    given_up: dict[str, str] | None = None
    """Trial key -> cause, of those that are not done and are not tried again; None while jobs are left."""


@dataclass(frozen=True)
class _Open:
    """A trial without a result whose job is over."""

    key: str
    array: Array
    share: Share
    cause: str
    message: str
    nodes: str


def look_after(results: Results, id: str) -> Step:
    """Deal with what the jobs of a submission left; once all have ended, submit what is to be tried again.

    Raises UserError or SlurmError where the next wave cannot be submitted.
    """
    ledger = Ledger(results)
    with ledger.lock():
        submission = ledger.read(id)
        recover(results, submission)
        queue = read_queue(results, fresh=True)
        alive = alive_jobs(results, submission, queue)
        if not queue.answered:
            return Step(submission, alive)
        over = list(_open_trials(results, submission, queue))
        if alive:
            _judge_canary(submission, queue, over)
            return Step(submission, alive)
        if (ledger.folder(id) / "ended").exists():  # somebody else was quicker
            return Step(submission, given_up={})
        again = queued(results, queue)  # by somebody who ran the study meanwhile, or by this, cut off before it ended
        step = _next(results, submission, [trial for trial in over if trial.key not in again], again)
        ledger.end(id)
        return step


def _open_trials(results: Results, submission: Submission, queue: Queue) -> Iterator[_Open]:
    """The trials without a result whose jobs are over, their attempts ended with what Slurm says of the job."""
    ids = Ledger(results).jobs(submission.id)
    over = [
        (array, index)
        for array in submission.arrays
        for index, share in enumerate(array.shares)
        if not queue.alive(array, index) and not all(results.trial(key).result.exists() for key in share.keys)
    ]
    forgotten = {array.name: array for array, index in over if not queue.job(array, index)}
    told = accounted(list(forgotten.values()), submission.created)
    for array, index in over:
        id = ids.get(array.name, "?")
        job = queue.job(array, index) or told.get((array.name, index))
        job = job or Job(f"{id}_{index}" if len(array.shares) > 1 else id, "UNKNOWN")
        for key in array.shares[index].keys:
            if not results.trial(key).result.exists():
                cause, message = _ended(results, key, job)
                yield _Open(key, array, array.shares[index], cause, message, job.nodes)


def _ended(results: Results, key: str, job: Job) -> tuple[str, str]:
    """Why a trial of a job that is over has no result; an attempt that could not write its end gets it now."""
    folder = results.trial(key)
    state, cause = _ENDS.get(job.state, ("interrupted", "lost"))
    own = [path for path in folder.attempt_folders() if path.name.partition("-")[2] == f"slurm-{job.id}"]
    for attempt in own:
        if rank := failure_of_another_rank(attempt):
            end_attempt_of_dead_process(attempt, "failed", rank.cause, rank.message)
        known, then = interruption(results, key, attempt.name, cause)
        end_attempt_of_dead_process(attempt, state, known, f"{job.told}; {then}")
    if cancel_requested(folder) or job.state == "CANCELLED":
        return "cancelled", job.told
    if not own:
        return ("not_begun" if job.state in ("FAILED", "COMPLETED", "UNKNOWN") else cause), job.told
    status = attempt_status(own[-1], time.time())
    return status.cause or status.state, status.message or ""


def _judge_canary(submission: Submission, queue: Queue, over: list[_Open]) -> None:
    """Once the canary has ended: let go what waits for it, or end it where all would fail alike."""
    canary = submission.canary
    if canary is None or queue.alive(canary, 0):
        return
    held = [array for array in submission.arrays if array.held]
    failed = next((trial for trial in over if trial.array is canary), None)
    for array in held:
        jobs = [job for index in range(len(array.shares)) if (job := queue.job(array, index)) and not job.over]
        if not any(job.reason.startswith("JobHeld") for job in jobs):
            continue
        if failed is None or failed.cause in OF_THE_PLACE:
            release(array.name)
        else:
            scancel(sorted({job.id.partition("_")[0] for job in jobs}))  # all of them wait


def _next(results: Results, submission: Submission, over: list[_Open], again: Collection[str]) -> Step:
    """Submit what is to be tried again, and what found no room so far."""
    canary = next((trial for trial in over if trial.array.canary), None)
    groups: dict[tuple[Resources, tuple[str, ...], bool], list[str]] = {}
    given_up: dict[str, str] = {}
    causes = {key: dict(counts) for key, counts in submission.causes.items()}
    for trial in over:
        cause = trial.cause
        if canary and trial.array.held and cause == "cancelled" and not cancel_requested(results.trial(trial.key)):
            cause = canary.cause  # it was ended for that, and shares its fate
        counts = Counter(causes.get(trial.key, {})) + Counter([cause])
        causes[trial.key] = dict(counts)
        wanted = _wanted(submission, trial, cause, counts)
        if wanted is None:
            given_up[trial.key] = cause
        else:
            groups.setdefault(wanted, []).append(trial.key)
    left = [key for key in submission.left if key not in again and not results.trial(key).result.exists()]
    if left:
        groups.setdefault((submission.resources, (), False), []).extend(left)
    if not groups:
        return Step(submission, given_up=given_up)
    base = submission.model_copy(update={"causes": causes, "wave": submission.wave + 1})
    waves = [_group(results, submission, *wanted, keys) for wanted, keys in groups.items()]
    try:
        return Step(submission, next=submit_wave(results, base, waves), given_up=given_up)
    except UserError:
        if not any(group.avoid for group in waves):
            raise
    anywhere = [replace(group, avoid=()) for group in waves]  # no other node does
    return Step(submission, next=submit_wave(results, base, anywhere), given_up=given_up)


def _wanted(
    submission: Submission, trial: _Open, cause: str, counts: Counter[str]
) -> tuple[Resources, tuple[str, ...], bool] | None:
    """What a trial is tried again with: resources, nodes to avoid, whether alone; None where it is not."""
    resources, avoid = trial.array.resources, trial.array.avoid
    action = decide(cause, trial.message, counts, resources, trial.share.at_once)
    if action is None:
        return None
    if action == "more memory":
        more = with_more_memory(resources, submission.cluster.memory_cap)
        return (more, avoid, False) if more else None
    if action == "elsewhere" and trial.nodes and cause != "node_failure":  # a node that is down is not picked
        avoid = tuple(dict.fromkeys((*avoid, trial.nodes)))
    return resources, avoid, action == "alone"


def _group(
    results: Results, submission: Submission, resources: Resources, avoid: tuple[str, ...], alone: bool, keys: list[str]
) -> Group:
    resources = resources.model_copy(update={"at_once": 1}) if alone else resources
    measured = measured_of(results, submission.keys)
    return Group(resources, share_out(pretrainings(results, keys), resources, measured), avoid)
