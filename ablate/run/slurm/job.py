"""A job on a cluster: it trains a share of a submission's trials, and saves their state when Slurm ends it.

python -m ablate.run.slurm.job RESULTS SUBMISSION ARRAY
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from submitit import JobEnvironment

from ablate.records.attempt import end_attempt_of_dead_process, is_done
from ablate.records.code import damage, is_snapshot
from ablate.records.files import Results
from ablate.run.causes import Outcome
from ablate.run.pool import Pool
from ablate.run.slurm.controller import controller_of
from ablate.run.slurm.ledger import Ledger, Submission
from ablate.run.slurm.packing import Array, Share, grace_seconds, job_memory, job_minutes
from ablate.run.slurm.scheduler import release

_SLACK_SECONDS = 90
"""The signal before a time limit may come a minute early: slurm.conf(5)."""
_WAIT_SECONDS = 600
"""Longer than any KillWait or GraceTime."""
_REQUEUE_ATTEMPTS = 5
_MOST_REQUEUES = 50
"""After that many, the job ends, and the rules for retries decide."""


class Leave(Exception):
    """The job has to end. in_vain: no trial was finished or saved, so the same job would fail again."""

    def __init__(self, cause: str, in_vain: bool = False) -> None:
        super().__init__(cause)
        self.cause, self.in_vain = cause, in_vain


class Signals:
    """Records the signals with which Slurm announces the end of a job. seconds: until its time limit."""

    def __init__(self, seconds: float) -> None:
        self._until_limit = time.monotonic() + seconds
        self.received: int | None = None
        for number in (signal.SIGUSR2, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number

    @property
    def cause(self) -> str | None:
        """Why the job has to end; None as long as it need not."""
        if self.received is None:
            return None
        if self.received == signal.SIGTERM:
            return "stopped"
        return "timeout" if time.monotonic() > self._until_limit else "preempted"

    def check(self, outcomes: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Raise Leave if the job has to end. outcomes: how its trials ended, by key, once they have."""
        if self.cause:
            raise Leave(self.cause, in_vain(outcomes or {}))

    def leave(self, requeue: bool = True) -> None:
        """Requeue the job if Slurm asked it to save its state, otherwise wait for Slurm to end it.

        requeue: whether the cluster allows that. Where it does not, and in a container without Slurm's commands, the
        job ends, and the follow-up job continues its trials in a new one.

        SIGTERM comes with a preemption, after which Slurm requeues the job itself, or with scancel, after which the
        job must not return. In both cases a job that exits by itself would count as completed.
        """
        job = JobEnvironment()
        if self.received != signal.SIGUSR2 or job.global_rank:
            time.sleep(_WAIT_SECONDS)
            return
        left = _MOST_REQUEUES - int(os.environ.get("SLURM_RESTART_COUNT", 0))
        for attempt in range(_REQUEUE_ATTEMPTS if left > 0 and requeue and shutil.which("scontrol") else 0):
            with contextlib.suppress(subprocess.SubprocessError):
                job._requeue(left)
                return
            time.sleep(2**attempt)


def in_vain(outcomes: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a job's trials were interrupted before any of them was finished or saved."""
    return {outcome.get("cause") for outcome in outcomes.values() if outcome["state"] != "failed"} == {"unsaved"}


class Canary:
    """Releases the held arrays of a submission once the first trial has passed its first steps."""

    def __init__(self, submission: Submission, array: Array) -> None:
        self._at = controller_of(submission.cluster)
        self._held = [each.name for each in submission.arrays if each.held] if array.canary else []
        self._rows: list[dict[str, Any]] = []

    def look(self, share: float, metrics: Mapping[str, Any]) -> None:
        """Release them if some of the trial's steps are done, or a second row of metrics has arrived."""
        if self._held and metrics and dict(metrics) not in self._rows:
            self._rows.append(dict(metrics))
        if share > 0 or len(self._rows) > 1:
            self.passed()

    def passed(self) -> None:
        """Release the held arrays."""
        while self._held:
            release(self._held.pop(), self._at)


def place() -> str:
    """The name of this job in those of its attempts: `slurm-12_3`."""
    return f"slurm-{JobEnvironment().job_id}"


def end_own_attempts(results: Results, keys: Iterable[str]) -> None:
    """Record the end of attempts that this job made before it was requeued: their processes are gone."""
    restarts = os.environ.get("SLURM_RESTART_COUNT")
    for key in keys if restarts else ():
        for attempt in results.trial(key).attempt_folders():
            if attempt.name.partition("-")[2] == place():
                message = f"the job was requeued (restart {restarts}); the trial resumes from its last checkpoint"
                end_attempt_of_dead_process(attempt, "interrupted", "requeued", message)


Train = Callable[[Results, Submission, Array, Share, Signals], Mapping[str, Outcome]]
"""Trains a share; returns how each of its trials ended, by key. Raises Leave if the job has to end."""


def run_job(arguments: Sequence[str], train: Train) -> None:
    """Train the share of this job. Raises SystemExit if Slurm ends the job before its trials have ended."""
    from ablate.run.slurm.last import see_to_the_watch

    root, id, name = arguments
    results = Results(Path(root))
    submission = Ledger(results).read_own(id)
    submission = submission.model_copy(update={"code": controller_of(submission.cluster).seen(submission.code)})
    if what := is_snapshot(Path(submission.code)) and damage(Path(submission.code)):
        raise SystemExit(f"the snapshot {submission.code} was damaged: {what}; submit again, which uses another copy")
    array = next(array for array in submission.arrays if array.name == name)
    share = array.shares[int(JobEnvironment().array_task_id or 0)]
    minutes = job_minutes(array.resources, submission.cluster.time, array.shares)
    signals = Signals(minutes * 60 - grace_seconds(minutes) - _SLACK_SECONDS)
    try:
        train(results, submission, array, share, signals)
    except Leave as leave:
        if leave.in_vain or signals.received == signal.SIGTERM:  # this job may not come back
            see_to_the_watch(results, submission, array, stopping=not leave.in_vain)
        if not leave.in_vain:  # otherwise the follow-up job decides what to do
            signals.leave(submission.cluster.requeue)
        raise SystemExit(f"the job ends before its trials: {leave.cause}") from None
    except Exception:
        see_to_the_watch(results, submission, array)
        raise
    see_to_the_watch(results, submission, array)


def train_in_pool(
    results: Results, submission: Submission, array: Array, share: Share, signals: Signals
) -> dict[str, Outcome]:
    """Train a share with a pool of worker processes; see Train."""
    end_own_attempts(results, share.keys)
    unfinished = [key for key in share.keys if not is_done(results.trial(key))]
    pretrainings = {key: results.trial(key).pretrain_key for key in unfinished}
    if not pretrainings:
        return {}
    canary = Canary(submission, array)
    outcomes: dict[str, Outcome] = {}
    size = min(share.at_once, len(set(pretrainings.values())))
    threads, memory = array.resources.cpus_per_task or 1, job_memory(array.resources, 1)
    code, fresh = Path(submission.code), submission.fresh
    pool = Pool(results, size, threads, submission.device, code, place(), shared=True, memory=memory, fresh=fresh)
    with pool:

        def tick() -> None:
            signals.check()
            for worker in pool.workers:
                canary.look(worker.share, worker.metrics)

        try:
            for key, outcome in pool.run(pretrainings, tick):
                outcomes[key] = outcome
                if outcome["state"] == "done":
                    canary.passed()
        except Leave as leave:
            outcomes.update(pool.stop(leave.cause))
            raise Leave(leave.cause, in_vain(outcomes)) from None
    return outcomes


if __name__ == "__main__":
    run_job(sys.argv[1:], train_in_pool)
