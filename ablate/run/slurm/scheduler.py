"""Slurm as a scheduler of three operations: write a job's script, submit it, and list the active jobs.

make_script   pure, by submitit: the text that `ablate plan --on` prints, tests compare, and sbatch receives
submit        sends a script once, even if the controller fails before it answers
active_jobs   what squeue knows of jobs with certain names

Below them: what happened to jobs that squeue has forgotten, and the controls of jobs that were submitted. Every command
that fails because the controller is busy is repeated. What else a site prints, such as a banner, is ignored.
"""

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.records.files import write_text
from ablate.run.slurm.controller import HERE, Controller, SlurmError, ask

WHOLE = -1
"""The index of a job that is not an array task; also of the tasks that were pending when their array was cancelled."""
_OVER = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
_SUBMITTED = re.compile(r"^Submitted batch job (\d+)(?: on cluster \S+)?\s*$", re.MULTILINE)
_MOST_NAMES = 400
"""In one command: an argument takes 131,072 bytes, and a site without arrays may have thousands of jobs."""
_SQUEUE = "%j|%F|%K|%T|%N|%r"
_SACCT = "JobName,JobID,State,NodeList,ExitCode"
_SKEW_SECONDS = 600
"""By which the clocks of two machines may differ."""
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds between attempts: two minutes in all, the time that a controller takes to fail over."""
_BUSY = re.compile(
    r"socket timed out|unable to contact slurm controller|temporarily unable|connection refused|zero bytes|"
    r"connection timed out|resource temporarily unavailable|controller.*not responding|"
    r"communication (connection|shutdown)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Job:
    """The state of one job."""

    name: str
    index: int
    """Of the array task; -1 (WHOLE) for a job that is not one."""
    id: str
    """`12`, or `12_3` for a task of an array."""
    state: str
    """Slurm's word for it: PENDING, RUNNING, NODE_FAIL."""
    nodes: str = ""
    reason: str = ""
    """Why it is pending, or its exit code."""
    log: Path | None = None
    """Its output, if known."""

    @property
    def over(self) -> bool:
        """Whether it has ended. A job in any other state may still run, including SUSPENDED and REQUEUE_HOLD."""
        return self.state in _OVER

    @property
    def summary(self) -> str:
        """`job 12_3 is PENDING (Priority)`."""
        why = f" ({self.reason})" if self.reason not in ("", "None") else ""
        where = f" on {self.nodes}" if self.nodes else ""
        return f"job {self.id} {'was' if self.over else 'is'} {self.state}{where}{why}"


def make_script(command: str, folder: str, parameters: Mapping[str, Any]) -> str:
    """The text of a batch script, as submitit writes it.

    command: a line of bash, the last of the script. folder: for the job's output. parameters: options of sbatch in
    submitit's words, `setup` (lines of bash to run first) and `additional_parameters` (any further options) among them.
    """
    from submitit.slurm.slurm import _make_sbatch_string

    return _make_sbatch_string(command, Path(folder), wckey=None, stderr_to_stdout=True, **parameters)  # type: ignore[arg-type]


def submit(script: str, path: Path, name: str | None = None, at: Controller = HERE) -> str:
    """Send a script to sbatch, and keep it at `path`; returns the id of its job or array.

    name: of the job, if no other job has it. If sbatch accepts a job but its answer is lost or names no id, the job is
    found by that name instead of being sent again. Raises SlurmError if sbatch refuses it, or the controller is away
    for minutes.
    """
    write_text(path, script)

    def send() -> str:
        answer = ask(*at.command("sbatch", at.seen(path.absolute())))
        ids = set(_SUBMITTED.findall(answer))
        if len(ids) == 1:
            return str(ids.pop())
        found = job_named(name, at) if name else None  # a site's own sbatch answers in other words
        if found is None:
            raise SlurmError("sbatch", f"its answer names no job: {answer.strip()!r}")
        return found

    return patiently(send, lambda: job_named(name, at) if name else None)


def active_jobs(names: Iterable[str], at: Controller = HERE) -> list[Job]:
    """The jobs with these names that squeue still knows, including those that ended minutes ago.

    One call for hundreds of names, and no retries: the caller decides what an unanswered question means. Raises
    SlurmError.
    """
    wanted = set(names)
    options = ("--noheader", "--array", "--states=all", f"--format={_SQUEUE}")
    text = "\n".join(ask(*at.command("squeue", *options, each)) for each in _named(wanted))
    found = []
    for line in text.splitlines():
        if line.count("|") >= 5 and line.partition("|")[0] in wanted:
            name, id, tasks, state, nodes, reason = line.split("|", 5)
            if tasks == "N/A":
                found.append(Job(name, WHOLE, id, state, nodes, reason))
            found += [Job(name, index, f"{id}_{index}", state, nodes, reason) for index in _indices(tasks)]
    return found


def ended_jobs(names: Sequence[str], since: float, at: Controller = HERE) -> list[Job]:
    """How jobs ended that squeue has forgotten, from one sacct; empty on a cluster without accounting.

    since: seconds since 1970 of their submission. Slurm uses ids again, so older jobs are not meant.
    """
    # Relative to now: behind a prefix, sacct runs on another machine, with its own clock and time zone.
    start = f"now-{max(0, round(time.time() - since)) + _SKEW_SECONDS}"
    options = ("--noheader", "--parsable2", "--allocations", f"--starttime={start}", f"--format={_SACCT}")
    found: list[Job] = []
    try:
        lines = "\n".join(ask(*at.command("sacct", *options, each)) for each in _named(names)).splitlines()
    except SlurmError:
        return found
    for line in lines:
        if line.count("|") < 4 or line.partition("|")[0] not in names:
            continue
        name, id, words, nodes, code = line.split("|")[:5]
        state = words.split()[0]  # CANCELLED by 0
        if state not in _OVER:  # the controller has forgotten it
            continue
        number, array, tasks = id.partition("_")
        reason, where = "" if code == "0:0" else f"exit code {code}", nodes.replace("None assigned", "")
        if state == "CANCELLED":
            reason = f"by {_user(words.rpartition(' ')[2])}"
        for index in _indices(tasks) if array else (0,):
            found.append(Job(name, index, f"{number}_{index}" if array else id, state, where, reason))
    return found


def _named(names: Collection[str]) -> Iterator[str]:
    """The options `--name=` that choose jobs of these names, each short enough for one command."""
    ordered = sorted(names)
    for first in range(0, len(ordered), _MOST_NAMES):
        yield f"--name={','.join(ordered[first : first + _MOST_NAMES])}"


def _user(number: str) -> str:
    """The name of the user with this number; the number itself where nobody knows it."""
    try:
        import pwd  # not on Windows, where Slurm does not run

        return pwd.getpwuid(int(number)).pw_name
    except (KeyError, ValueError):
        return number


def _indices(text: str) -> Iterator[int]:
    """`3`, `[0-2,7%4]`: array tasks that are pending, or were cancelled while they were, share a line."""
    for part in filter(None, text.strip("[]").partition("%")[0].split(",")):
        first, _, last = part.partition("-")
        if first.isdigit():
            yield from range(int(first), int(last if last.isdigit() else first) + 1)


def job_named(name: str, at: Controller = HERE) -> str | None:
    """The id of the job or array of that name; None if squeue knows none."""
    command = at.command("squeue", "--noheader", "--states=all", f"--name={name}", "--format=%F|%j")
    found = re.findall(rf"^(\d+)\|{re.escape(name)}\s*$", patiently(lambda: ask(*command)), re.MULTILINE)
    return found[0] if found else None


def cancel(jobs: Sequence[str], at: Controller = HERE) -> None:
    """End jobs by their ids, `12` or `12_3`; ids of jobs that have ended are ignored."""
    if jobs:
        patiently(lambda: ask(*at.command("scancel", "--quiet", *jobs)))


def release(name: str, at: Controller = HERE, id: str | None = None) -> bool:
    """Let held jobs of that name run, or one by its id; whether the controller did so.

    If it is busy, the follow-up job tries again.
    """
    with contextlib.suppress(SlurmError):
        ask(*at.command("scontrol", "release", id or f"jobname={name}"))
        return True
    return False


def change(job: str, what: str, at: Controller = HERE) -> None:
    """Change a job or an array, as in `arraytaskthrottle=2`, unless it has ended or the controller is busy."""
    with contextlib.suppress(SlurmError):
        ask(*at.command("scontrol", "update", f"jobid={job}", what))


def most_memory(partition: str | None, at: Controller = HERE) -> int | None:
    """The memory in MiB of the largest node of a partition, or of all partitions; None if Slurm does not answer."""
    chosen = [f"--partition={partition}"] if partition else []
    try:
        sizes = re.findall(r"\d+", ask(*at.command("sinfo", "--noheader", "--format=%m", *chosen)))
    except SlurmError:
        return None
    return max(map(int, sizes), default=None)


def own_job() -> str | None:
    """The id of the job in which this process runs, as squeue shows it: `12`, or `12_3`; None outside of jobs."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def is_busy(error: SlurmError) -> bool:
    """Whether the controller did not answer, in contrast to a refusal."""
    return _BUSY.search(error.text) is not None


def configuration(at: Controller = HERE) -> dict[str, str]:
    """The controller's configuration, from `scontrol show config`."""
    lines = patiently(lambda: ask(*at.command("scontrol", "show", "config"))).splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def patiently(call: Callable[[], str], already: Callable[[], str | None] = lambda: None) -> str:
    """The result of a call, which is repeated while the controller is busy. Raises SlurmError.

    already: asked before each repetition for the result of the previous call, which may have succeeded unheard.
    """
    for pause in _PAUSES:
        try:
            return call()
        except SlurmError as error:
            if not is_busy(error):
                raise
            if pause == _PAUSES[0]:
                said = error.text.strip().partition("\n")[0]
                print(f"Slurm does not answer ({said}); asking again for two minutes", file=sys.stderr)
        time.sleep(pause)
        if (found := already()) is not None:
            return found
    return call()
