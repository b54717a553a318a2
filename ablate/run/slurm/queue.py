"""The queue of a results folder: the jobs of all submissions, from one squeue whose answer is cached."""

import contextlib
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ablate.records.attempt import attempt_status, is_done
from ablate.records.coordination import cancel_requested
from ablate.records.files import Results, write_json
from ablate.records.reading import read_object
from ablate.run.slurm.controller import Controller, SlurmError, controller_of
from ablate.run.slurm.ledger import Ledger, Submission, Watch
from ablate.run.slurm.packing import Array
from ablate.run.slurm.scheduler import WHOLE, Job, active_jobs, cancel, ended_jobs, release

KEEP_SECONDS = 20.0
"""How long an answer of squeue is served from the cache, to all processes."""
ENDING = "COMPLETING"
"""The state of a job that ends, or that is about to be requeued."""


class _Answer(BaseModel):
    """The last answer of squeue: queue.json."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    time: float = 0.0
    """Seconds since 1970."""
    names: list[str] = []
    """The jobs that squeue was asked for."""
    jobs: list[tuple[str, int, str, str, str, str]] = []
    """The fields of each job, without its log."""
    answered: bool = True


@dataclass(frozen=True)
class Queue:
    """The jobs of all submissions that have not ended."""

    submissions: tuple[Submission, ...]
    jobs: Mapping[tuple[str, int], Job]
    """Array name and index, or WHOLE -> the job, for those that Slurm still knows."""
    answered: bool = True
    """Whether squeue answered. If not, all jobs are assumed to be queued still, so that nothing is submitted twice."""
    watches: Mapping[str, Watch] = field(default_factory=dict)
    """Id of a submission -> its newest follow-up job."""

    def job(self, array: Array, index: int) -> Job | None:
        """The job of a share; None if Slurm has forgotten it."""
        if found := self.jobs.get((array.name, index)):
            return found
        whole = self.jobs.get((array.name, WHOLE))
        return whole and (replace(whole, id=f"{whole.id}_{index}") if len(array.shares) > 1 else whole)

    def alive(self, array: Array, index: int) -> bool:
        """Whether the job of a share is pending or running."""
        job = self.job(array, index)
        return not job.over if job else not self.answered

    def without(self, id: str | None) -> "Queue":
        """The same with one job counted as over: the one that asks is about to end."""
        jobs = {place: replace(job, state="COMPLETED") if job.id == id else job for place, job in self.jobs.items()}
        return replace(self, jobs=jobs)

    def watcher(self, submission: Submission) -> Job | None:
        """The newest follow-up job of a submission; None if Slurm has forgotten it, or never had it."""
        return self.jobs.get((self.watches.get(submission.id, Watch()).name(submission.id), WHOLE))

    def followed(self, submission: Submission) -> bool:
        """Whether the follow-up job of a submission is pending or running."""
        job = self.watcher(submission)
        return not job.over if job else not self.answered

    @property
    def active(self) -> dict[str, Job]:
        """Trial key -> the job that will train it, or is training it."""
        found: dict[str, Job] = {}
        for submission in self.submissions:
            for array in submission.arrays:
                for index, share in enumerate(array.shares):
                    if self.alive(array, index):
                        unknown = Job(array.name, index, "?", "UNKNOWN", reason="squeue does not answer")
                        found |= dict.fromkeys(share.keys, self.job(array, index) or unknown)
        return found


def read_queue(results: Results, fresh: bool = False) -> Queue:
    """The jobs of all submissions, from one squeue; Slurm is not asked if nothing was submitted.

    fresh: ask squeue now; otherwise an answer of the last seconds is good enough.
    """
    ledger = Ledger(results)
    submissions = tuple(each for each in ledger.open() if _can_ask(each))
    watches = {submission.id: ledger.watch(submission.id) for submission in submissions}
    wanted = _names(submissions, watches)
    names = sorted(name for each in wanted.values() for name in each)
    if not names:
        return Queue((), {})
    cached = _read_cache(ledger)
    is_new = 0 <= time.time() - cached.time < KEEP_SECONDS  # not one of the future, as a clock that was wrong leaves
    if fresh or not is_new or not set(names) <= set(cached.names):
        jobs, answered = cached.jobs, True
        try:
            jobs = [astuple(job)[:-1] for at, own in wanted.items() for job in active_jobs(own, at)]
        except SlurmError:
            answered = False
        cached = _Answer(time=time.time(), names=names, jobs=jobs, answered=answered)
        with contextlib.suppress(OSError):  # another user's folder
            write_json(_cache_file(ledger), cached.model_dump(mode="json"))
    known = by_place(Job(*fields) for fields in cached.jobs)
    return Queue(submissions, known, cached.answered, watches)


def _names(submissions: Iterable[Submission], watches: Mapping[str, Watch]) -> dict[Controller, list[str]]:
    """Controller -> the names of the jobs to ask it for."""
    wanted: dict[Controller, list[str]] = {}
    for submission in submissions:
        own = wanted.setdefault(controller_of(submission.cluster), [])
        own += [*(array.name for array in submission.arrays), watches[submission.id].name(submission.id)]
    return wanted


def _can_ask(submission: Submission) -> bool:
    """Whether this machine has the command that asks for its jobs: not where records were copied from a cluster."""
    return shutil.which(controller_of(submission.cluster).command("squeue")[0]) is not None


def queued(results: Results, queue: Queue) -> dict[str, Job]:
    """Trial key -> its job, for trials that a job has yet to train: not those that it has ended or is training now.

    A job that is COMPLETING may be requeued; after a request to cancel its trial it ends.
    """
    found = {}
    for key, job in queue.active.items():
        folder = results.trial(key)
        if is_done(folder) or (job.state == ENDING and cancel_requested(folder)):
            continue
        own = [path for path in folder.attempt_folders() if path.name.partition("-")[2] == f"slurm-{job.id}"]
        if not own or job.state != "RUNNING" or attempt_status(own[-1], time.time()).state == "interrupted":
            found[key] = job
    return found


def find_job(results: Results, key: str) -> Job | None:
    """The newest job that was to train a trial, with its log; None if there is none, or Slurm has forgotten it."""
    ledger = Ledger(results)
    queue = read_queue(results)
    for id in reversed(ledger.all_ids()):
        with contextlib.suppress(OSError, ValueError):
            submission = ledger.read(id)
            if (place := submission.share_of(key)) is not None:
                array, index = place
                job = queue.job(array, index) or by_place(
                    ended_jobs([array.name], submission.created, controller_of(submission.cluster))
                ).get((array.name, index))
                return job and replace(job, log=ledger.log(id) / f"{job.id}_0_log.out")  # see script.py
    return None


def cancel_jobs(results: Results) -> list[str]:
    """End the jobs that have nothing left to train but trials that were cancelled; returns their ids.

    Jobs that waited for a canary which ends so wait no longer: its trial would not have failed.
    """
    queue = read_queue(results, fresh=True)
    cancelled: dict[Controller, list[str]] = {}
    for submission in queue.submissions:
        own = cancelled.setdefault(controller_of(submission.cluster), [])
        for array in submission.arrays:
            for index, share in enumerate(array.shares):
                job = queue.job(array, index)
                folders = [results.trial(key) for key in share.keys]
                unfinished = [folder for folder in folders if not is_done(folder)]
                if job and not job.over and unfinished and all(map(cancel_requested, unfinished)):
                    own.append(job.id)
    for at, ids in cancelled.items():
        cancel(ids, at)
        for each in [each for each in queue.submissions if controller_of(each.cluster) == at]:
            if each.canary and (job := queue.job(each.canary, 0)) and job.id in ids:
                for array in filter(lambda array: array.held, each.arrays):
                    release(array.name, at)
    forget_queue(results)
    return [id for ids in cancelled.values() for id in ids]


def forget_queue(results: Results) -> None:
    """Drop the cached answer, which is out of date once jobs were submitted or cancelled."""
    with contextlib.suppress(OSError):
        _cache_file(Ledger(results)).unlink(missing_ok=True)


def by_place(jobs: Iterable[Job]) -> dict[tuple[str, int], Job]:
    """Array name and index, or WHOLE -> the job."""
    return {(job.name, job.index): job for job in jobs}


def _cache_file(ledger: Ledger) -> Path:
    return ledger.root / "queue.json"


def _read_cache(ledger: Ledger) -> _Answer:
    with contextlib.suppress(ValueError):
        return _Answer.model_validate(read_object(_cache_file(ledger)))
    return _Answer()
