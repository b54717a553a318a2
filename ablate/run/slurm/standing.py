"""What the submissions of a results folder wait for, who watches over them, and what they have cost so far."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import duckdb

from ablate.records.attempt import trial_status
from ablate.records.files import Results
from ablate.records.plans import load_plans, name_in_commands
from ablate.run.slurm.ledger import Ledger, Submission, Watch
from ablate.run.slurm.packing import ranks
from ablate.run.slurm.queue import Queue, queued
from ablate.run.slurm.scheduler import Job
from ablate.run.slurm.watch import SENDING_SECONDS, unwatched

NO_ROOM = "no room in the queue yet"
SENDING = "being submitted"


@dataclass(frozen=True)
class OnCluster:
    """One study at one profile on one cluster, as long as its submission has not ended."""

    study: str
    profile: str
    cluster: str
    waiting: dict[str, int]
    """What a trial waits for, in Slurm's own words -> how many trials do."""
    watched_by: str | None
    """The follow-up job; None if nobody watches."""
    unwatched: str | None
    """Why nobody watches; None if somebody does."""
    hours: float
    """What its trials have taken so far: hours of GPUs, or of nodes where they use none."""
    unit: str
    asked: str = ""
    """The name by which commands take the study, if it is another one."""

    @property
    def text(self) -> str:
        """A sentence."""
        waiting = ", ".join(f"{count} x {reason}" for reason, count in sorted(self.waiting.items()))
        parts = [f"waiting: {waiting}" if waiting else "", f"watched by {self.watched_by}" if self.watched_by else ""]
        if self.unwatched:
            repair = f"ablate run {self.asked or self.study} --on {self.cluster}"
            parts.append(f"nobody is watching: {self.unwatched}; {repair} repairs that")
        parts.append(f"{self.hours:.3g} {self.unit} so far")
        return f"{self.study} [{self.profile}] on {self.cluster}: {'; '.join(filter(None, parts))}"


def waiting_trials(results: Results, queue: Queue) -> dict[str, str]:
    """Trial key -> what it waits for, of the trials that jobs will train: also of jobs that are being submitted now."""
    ledger = Ledger(results)
    found: dict[str, str] = {}
    for submission in queue.submissions:
        noted = ledger.jobs(submission.id)
        if time.time() - submission.created < SENDING_SECONDS:
            unsent = [array for array in submission.arrays if array.name not in noted]
            found |= {key: SENDING for array in unsent for share in array.shares for key in share.keys}
        found |= dict.fromkeys(submission.left, NO_ROOM)
    now = time.time()
    states = {key: trial_status(results.trial(key), now).state for key in found}
    found = {key: why for key, why in found.items() if states[key] not in ("done", "running")}
    return found | {key: _why(job) for key, job in queued(results, queue).items()}


def _why(job: Job) -> str:
    """The reason that squeue gives; the state of a job that has none, such as one that trains another trial first."""
    return job.state if job.reason in ("", "None") else job.reason


def on_clusters(
    store: duckdb.DuckDBPyConnection, results: Results, queue: Queue, waiting: Mapping[str, str]
) -> tuple[OnCluster, ...]:
    """How each submission stands that has trials without a result, or that nobody watches.

    waiting: what waiting_trials returned for this queue.
    """
    if not queue.submissions:
        return ()
    seconds: dict[str, float] = dict(
        store.execute(
            "SELECT key, sum(coalesce(ended, epoch(now())) - started) FROM attempts "
            "WHERE started IS NOT NULL AND attempt LIKE '%slurm-%' GROUP BY key"
        ).fetchall()
    )
    done = {key for (key,) in store.execute("SELECT key FROM trials WHERE state = 'done'").fetchall()}
    shown = [each for each in queue.submissions if unwatched(each, queue) or not done.issuperset(each.keys)]
    found = [_standing(each, queue, waiting, seconds) for each in shown]
    return tuple(replace(each, asked=name_in_commands(each.study, load_plans(results, each.study))) for each in found)


def _standing(
    submission: Submission, queue: Queue, waiting: Mapping[str, str], seconds: Mapping[str, float]
) -> OnCluster:
    watch, job, missing = (
        queue.watches.get(submission.id, Watch()),
        queue.watcher(submission),
        unwatched(submission, queue),
    )
    who = None if missing else (job.summary if job else SENDING if queue.answered else "squeue does not answer")
    if who and watch.failures:
        who += f" (the one before failed: {watch.trouble})"
    gpus = submission.resources.gpus_per_node > 0
    hours = sum(seconds.get(key, 0.0) * size for key, size in _sizes(submission)) / 3600
    return OnCluster(
        submission.study,
        submission.profile,
        submission.cluster.name,
        dict(Counter(waiting[key] for key in submission.keys if key in waiting)),
        who,
        missing,
        hours,
        "GPU-hours" if gpus else "node-hours",
    )


def _sizes(submission: Submission) -> Iterator[tuple[str, float]]:
    """The key of each trial, and how many GPUs, or nodes without GPUs, it uses of its job."""
    for array in submission.arrays:
        for share in array.shares:
            for key in share.keys:
                yield key, ranks(array.resources) / share.at_once
