"""Submission: arrays through submitit, noted before they are sent, found again where nobody heard their ids."""

import getpass
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.run.slurm.commands import SlurmError, ask, clean_environment, configuration, patiently, scancel
from ablate.run.slurm.job import RunShare
from ablate.run.slurm.ledger import Array, Ledger, Submission
from ablate.run.slurm.queue import forget_answer
from ablate.run.slurm.script import MOST_TIMEOUTS, executor_for, minutes_of, of_array, of_follow_up
from ablate.run.slurm.shares import Share, ranks
from ablate.study.schema import Resources

_FULL = re.compile(r"MaxSubmitJob|GrpSubmitJob|job submit limit", re.IGNORECASE)


@dataclass(frozen=True)
class Group:
    """Trials that need the same of a machine, in shares."""

    resources: Resources
    shares: tuple[Share, ...]
    avoid: tuple[str, ...] = ()
    canary: bool = False
    """Whether its first trial goes first."""


@dataclass(frozen=True)
class Room:
    """What a cluster takes at once."""

    array: int
    """Jobs of one array: MaxArraySize is one more than the greatest index."""
    jobs: int | None
    """Jobs that may still be submitted; None where nothing limits them."""


def room() -> Room:
    """What the controller and the accounting allow this user."""
    array = int(configuration().get("MaxArraySize", 1001))
    user = getpass.getuser()
    try:
        own = ask("sacctmgr", "-nP", "show", "assoc", "where", f"user={user}", "format=MaxSubmitJobs,GrpSubmitJobs")
        limits = [int(number) for number in re.findall(r"\d+", own)]
        if not limits:
            return Room(array, None)
        there = ask("squeue", "--noheader", "--array", f"--user={user}", "--format=%i").splitlines()
    except SlurmError:  # no accounting: sbatch itself tells
        return Room(array, None)
    return Room(array, max(0, min(limits) - len(there) - 1))  # one is for the job that follows


def arrays_of(groups: Iterable[Group], base: str, room: Room) -> tuple[tuple[Array, ...], tuple[str, ...]]:
    """Groups as arrays that a cluster takes, those that wait for a canary before it; and the trials without room."""
    arrays: list[Array] = []
    left: list[str] = []
    places = room.jobs
    for group in groups:
        first, shares = _canary(group)
        kept = len(shares) if places is None else max(0, min(len(shares), places - len(first)))
        places = None if places is None else places - kept - len(first)
        left += [key for share in shares[kept:] for key in share.keys]
        for start in range(0, kept, room.array):
            part = tuple(shares[start : min(kept, start + room.array)])
            arrays.append(_array(base, group, len(arrays), part, held=bool(first)))
        if first:
            arrays.append(_array(base, group, len(arrays), tuple(first), canary=True))
    return tuple(arrays), tuple(left)


def _array(base: str, group: Group, number: int, shares: tuple[Share, ...], **kind: bool) -> Array:
    return Array(name=f"{base}-{number + 1}", resources=group.resources, shares=shares, avoid=group.avoid, **kind)


def _canary(group: Group) -> tuple[Sequence[Share], Sequence[Share]]:
    """A share of the first trial alone, and the others."""
    if not group.canary or len(group.shares) < 2:
        return (), group.shares
    head, *rest = group.shares
    others = [head.model_copy(update={"keys": head.keys[1:]})] if len(head.keys) > 1 else []
    return (Share(keys=head.keys[:1]),), (*others, *rest)


def submit(results: Results, submission: Submission) -> Submission:
    """Write a submission down and send its arrays; returns it without what found no room after all.

    Raises UserError where sbatch refuses: what it had taken of the submission is cancelled. Raises SlurmError where
    the controller does not answer for minutes.
    """
    ledger = Ledger(results)
    ledger.write(submission)
    for array in submission.arrays:
        try:
            ledger.note_job(submission.id, array.name, _send(ledger, submission, array))
        except SlurmError as error:
            if _FULL.search(error.told) and not array.canary:
                submission = _without(submission, array)
                ledger.write(submission)
                continue
            scancel(list(ledger.jobs(submission.id).values()))
            ledger.end(submission.id)
            told = f"sbatch refuses the jobs of '{submission.study}': {error.told.strip()}"
            raise UserError(told, help="ablate doctor --on NAME compares the cluster file with the cluster") from error
    forget_answer(results)
    return submission


def _without(submission: Submission, array: Array) -> Submission:
    kept = tuple(each for each in submission.arrays if each is not array)
    left = tuple(key for share in array.shares for key in share.keys)
    return submission.model_copy(update={"arrays": kept, "left": submission.left + left})


def recover(results: Results, submission: Submission) -> None:
    """Find the ids that were never noted: whoever submitted them was killed in between."""
    ledger = Ledger(results)
    known = ledger.jobs(submission.id)
    for array in submission.arrays:
        if array.name not in known and (job := _by_name(array.name)):
            _leave_pickles(ledger, submission, array, job)
            ledger.note_job(submission.id, array.name, job)


def submit_follow_up(results: Results, submission: Submission, after: Sequence[str]) -> str:
    """Submit the small job that looks after a submission when jobs have ended; returns its id."""
    from submitit.helpers import CommandFunction

    ledger = Ledger(results)
    command = [sys.executable, "-P", "-m", "ablate", "follow", submission.id, "--results", str(results.root.absolute())]
    if submission.reports:
        command += ["--reports", submission.reports]
    executor = executor_for(ledger.log(submission.id), submission, of_follow_up(submission, after), srun=False)

    def send() -> str:
        return _job_id(executor, lambda: executor.submit(CommandFunction(command)))

    return patiently(send)


def _send(ledger: Ledger, submission: Submission, array: Array) -> str:
    """Submit one array; the id of its job."""
    multiple = ranks(array.resources) > 1
    executor = executor_for(ledger.log(submission.id), submission, of_array(submission, array), srun=multiple)
    count = len(array.shares)
    root = str(ledger.root.parent.absolute())

    def send() -> str:
        return _job_id(
            executor,
            lambda: executor.map_array(
                RunShare(), [root] * count, [submission.id] * count, [array.name] * count, range(count)
            )[0],
        )

    def heard_of() -> str | None:
        if job := _by_name(array.name):
            _leave_pickles(ledger, submission, array, job)
        return job

    return patiently(send, heard_of)


def _job_id(executor: Any, call: Any) -> str:
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        with clean_environment():
            return str(call().job_id).partition("_")[0]
    except (FailedJobError, FailedSubmissionError) as error:
        raise SlurmError("sbatch", str(error)) from error


def _by_name(name: str) -> str | None:
    """The id of the job of that name, where squeue knows one."""
    lines = patiently(lambda: ask("squeue", "--noheader", "--states=all", f"--name={name}", "--format=%F")).split()
    return lines[0] if lines else None


def _leave_pickles(ledger: Ledger, submission: Submission, array: Array, job: str) -> None:
    """What submitit leaves for each job after sbatch has returned."""
    from submitit.core.utils import DelayedSubmission, JobPaths

    for index in range(len(array.shares)):
        own = job if len(array.shares) == 1 else f"{job}_{index}"
        path = JobPaths(ledger.log(submission.id), job_id=own).submitted_pickle
        if not path.exists():
            root = str(ledger.root.parent.absolute())
            delayed = DelayedSubmission(RunShare(), root, submission.id, array.name, index)
            delayed.set_timeout(minutes_of(submission, array), MOST_TIMEOUTS)
            delayed.dump(path)
