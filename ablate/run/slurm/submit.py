"""Submission: arrays through submitit, noted before they are sent, found again where nobody heard their ids."""

import getpass
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.run.slurm.commands import SlurmError, ask, clean_environment, configuration, patiently, scancel
from ablate.run.slurm.job import RunShare
from ablate.run.slurm.ledger import Array, Ledger, Submission
from ablate.run.slurm.queue import forget_answer
from ablate.run.slurm.shares import Share, job_memory, job_minutes, ranks
from ablate.study.schema import Resources, hours

_MOST_TIMEOUTS = 50
"""A job goes on after its time limit, or a preemption late in it, so often; then the rules decide."""
_GRACE_SECONDS = 120
"""Before its time limit a job is told to save its state; a quarter of the time where that is less."""
_FULL = re.compile(r"MaxSubmitJob|GrpSubmitJob|job submit limit", re.IGNORECASE)
_FOLLOW_UP_MINUTES = 30
_LATER = "now+10minutes"


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

    ledger, cluster = Ledger(results), submission.cluster
    command = [sys.executable, "-P", "-m", "ablate", "follow", submission.id, "--results", str(results.root.absolute())]
    if submission.reports:
        command += ["--reports", submission.reports]
    minutes = round(hours(cluster.follow_up.time) * 60) if cluster.follow_up.time else _FOLLOW_UP_MINUTES
    found = _common(submission) | {"job_name": f"{submission.id}-follow", "time": minutes}
    if cluster.follow_up.partition:
        found["partition"] = cluster.follow_up.partition
    if after:
        found["dependency"] = f"afterany:{':'.join(after)}"
    else:  # there was no room for any other
        found["additional_parameters"] = {**found["additional_parameters"], "begin": _LATER}
    executor = _executor(ledger, submission, found, srun=False)

    def send() -> str:
        return _job_id(executor, lambda: executor.submit(CommandFunction(command)))

    return patiently(send)


def _send(ledger: Ledger, submission: Submission, array: Array) -> str:
    """Submit one array; the id of its job."""
    multiple = ranks(array.resources) > 1
    executor = _executor(ledger, submission, _parameters(submission, array), srun=multiple)
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
            delayed.set_timeout(_minutes(submission, array), _MOST_TIMEOUTS)
            delayed.dump(path)


def _executor(ledger: Ledger, submission: Submission, parameters: dict[str, Any], srun: bool) -> Any:
    """Submitit's executor. Without srun the shell becomes Python, so that signals reach it."""
    from submitit import SlurmExecutor

    python = f"{shlex.quote(sys.executable)} -P"
    log = ledger.log(submission.id)
    log.mkdir(parents=True, exist_ok=True)
    executor = SlurmExecutor(log, max_num_timeout=_MOST_TIMEOUTS, python=python if srun else f"exec {python}")
    executor.update_parameters(**parameters, use_srun=srun, wckey=None, stderr_to_stdout=True)
    return executor


def _common(submission: Submission) -> dict[str, Any]:
    """What all jobs of a submission have, those that follow too."""
    cluster = submission.cluster
    names = ("partition", "account", "qos", "constraint")
    path = ":".join(map(shlex.quote, (submission.code, *submission.path)))
    setup = [*cluster.setup, f'export PYTHONPATH={path}"${{PYTHONPATH:+:$PYTHONPATH}}"']
    return {
        **{name: value for name in names if (value := getattr(cluster, name))},
        "setup": setup,
        "additional_parameters": {"requeue": True, **cluster.options},
    }


def _parameters(submission: Submission, array: Array) -> dict[str, Any]:
    """Of the jobs of an array, in submitit's words."""
    cluster, resources = submission.cluster, array.resources
    at_once = max(share.at_once for share in array.shares)
    minutes, memory = _minutes(submission, array), job_memory(resources, at_once)
    batch = "B:" if ranks(resources) == 1 else ""
    found = _common(submission)
    signal = f"{batch}USR2@{min(_GRACE_SECONDS, minutes * 15)}"
    found["additional_parameters"] = {"signal": signal, **found["additional_parameters"]}
    if array.held:
        found["additional_parameters"]["hold"] = True
    arrays = sum(not each.canary for each in submission.arrays)
    return {
        **found,
        "job_name": array.name,
        "time": minutes,
        "nodes": resources.nodes,
        "ntasks_per_node": ranks(resources) // resources.nodes,
        "cpus_per_task": (resources.cpus_per_task or 1) * at_once,
        **({"gpus_per_node": resources.gpus_per_node} if _asks_for_gpus(submission, resources) else {}),
        **({"mem": f"{memory}M"} if memory else {}),
        **({"exclude": ",".join(array.avoid)} if array.avoid else {}),
        **({"srun_args": ["--kill-on-bad-exit=1"]} if ranks(resources) > 1 else {}),
        "array_parallelism": max(1, (cluster.most_jobs or len(array.shares) * arrays) // max(1, arrays)),
    }


def _asks_for_gpus(submission: Submission, resources: Resources) -> bool:
    """Whether GPUs are asked for by their number; a cluster's own `gres` or `gpus` does that otherwise."""
    return bool(resources.gpus_per_node) and not {"gres", "gpus", "gpus-per-node"} & set(submission.cluster.options)


def _minutes(submission: Submission, array: Array) -> int:
    return job_minutes(array.resources, submission.cluster.time, array.shares)


def log_of(results: Results, id: str, job: str) -> Path:
    """What a job printed outside of trials; submitit names it so."""
    return Ledger(results).log(id) / f"{job}_0_log.out"
