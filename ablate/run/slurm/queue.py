"""What Slurm knows of the jobs of all submissions: one squeue for all, one sacct where that does not do, both kept."""

import contextlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ablate.records.attempt import attempt_status
from ablate.records.files import Results, write_json
from ablate.run.slurm.commands import SlurmError, ask
from ablate.run.slurm.ledger import Array, Ledger, Submission

KEEP_SECONDS = 20.0
"""An answer of squeue or sacct serves everybody for so long, however often they look."""
_OVER = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
_WHOLE = -1
"""The place of a job that is no array; and of the tasks that waited when an array was cancelled, which have no row."""
_SQUEUE = "%j|%F|%K|%T|%N|%r"
_SACCT = "JobName,JobID,State,NodeList,ExitCode"


@dataclass(frozen=True)
class Job:
    """How one job stands."""

    id: str
    """`12`, or `12_3` of an array."""
    state: str
    """In Slurm's words, without who or what did it: PENDING, RUNNING, NODE_FAIL."""
    nodes: str = ""
    reason: str = ""
    """Why it waits, or its exit code."""
    log: Path | None = None
    """What it printed outside of trials, where `find_job` found it."""

    @property
    def over(self) -> bool:
        """Whether it ended; anything else may run again, also SUSPENDED and REQUEUE_HOLD."""
        return self.state in _OVER

    @property
    def told(self) -> str:
        """`job 12_3 is PENDING (Priority)`."""
        why = f" ({self.reason})" if self.reason not in ("", "None") else ""
        where = f" on {self.nodes}" if self.nodes else ""
        return f"job {self.id} {'was' if self.over else 'is'} {self.state}{where}{why}"


@dataclass(frozen=True)
class Queue:
    """The jobs of all submissions that are not dealt with."""

    submissions: tuple[Submission, ...]
    jobs: dict[tuple[str, int], Job]
    """By the array's name and the place in it, or _WHOLE; of those that Slurm still knows."""
    answered: bool = True
    """Whether squeue did; else everything is believed to be where it was, and nothing is submitted twice."""

    def job(self, array: Array, index: int) -> Job | None:
        """The job of a share; None where Slurm knows it no more."""
        if found := self.jobs.get((array.name, index)):
            return found
        whole = self.jobs.get((array.name, _WHOLE))
        return whole and (replace(whole, id=f"{whole.id}_{index}") if len(array.shares) > 1 else whole)

    def alive(self, array: Array, index: int) -> bool:
        """Whether the job of a share waits or runs."""
        job = self.job(array, index)
        return not job.over if job else not self.answered

    def followed(self, submission: Submission) -> bool:
        """Whether the job that looks after a submission waits or runs."""
        job = self.jobs.get((submission.follower, _WHOLE))
        return not job.over if job else not self.answered

    @property
    def waiting(self) -> dict[str, Job]:
        """Trial key -> the job that has it to train, or is at it."""
        found: dict[str, Job] = {}
        for submission in self.submissions:
            for array in submission.arrays:
                for index, share in enumerate(array.shares):
                    if self.alive(array, index):
                        unknown = Job("?", "UNKNOWN", reason="squeue gives no answer")
                        found |= dict.fromkeys(share.keys, self.job(array, index) or unknown)
        return found


def read_queue(results: Results, fresh: bool = False) -> Queue:
    """How all jobs stand, from one squeue; where nothing was ever submitted, nobody is asked.

    fresh: ask now; otherwise an answer of a few seconds ago serves.
    """
    ledger = Ledger(results)
    submissions = tuple(ledger.open())
    names = [array.name for submission in submissions for array in submission.arrays]
    names += [submission.follower for submission in submissions]
    if not names or shutil.which("squeue") is None:  # records that were copied from a cluster
        return Queue((), {})
    kept = _kept(ledger)
    known = kept["names"]
    if not fresh and time.time() - kept["time"] < KEEP_SECONDS and set(names) <= set(known):
        return Queue(submissions, _jobs(kept["rows"]), kept["answered"])
    rows, answered = kept["rows"], True
    try:
        text = ask(
            "squeue", "--noheader", "--array", "--states=all", f"--format={_SQUEUE}", f"--name={','.join(names)}"
        )
        rows = [line.split("|", 5) for line in text.splitlines() if line.count("|") >= 5]
    except SlurmError:
        answered = False
    _keep(ledger, kept | {"time": time.time(), "names": names, "rows": rows, "answered": answered})
    return Queue(submissions, _jobs(rows), answered)


def queued(results: Results, queue: Queue) -> dict[str, Job]:
    """Trial key -> its job, of those that a job has still to train; not of those that this job has ended or is at."""
    found = {}
    for key, job in queue.waiting.items():
        folder = results.trial(key)
        if folder.result.exists():
            continue
        own = [path for path in folder.attempt_folders() if path.name.partition("-")[2] == f"slurm-{job.id}"]
        if not own or job.state != "RUNNING" or attempt_status(own[-1], time.time()).state == "interrupted":
            found[key] = job
    return found


def find_job(results: Results, key: str) -> Job | None:
    """The newest job that has, or had, a trial to train; None where there is none, or nobody knows it any more."""
    ledger = Ledger(results)
    queue = read_queue(results)
    for id in reversed(ledger.all_ids()):
        with contextlib.suppress(OSError, ValueError):
            submission = ledger.read(id)
            if (place := submission.place_of(key)) is not None:
                array, index = place
                job = queue.job(array, index) or accounted([array], submission.created).get((array.name, index))
                return job and replace(job, log=ledger.log(id) / f"{job.id}_0_log.out")  # as submitit names it
    return None


def _jobs(rows: Iterable[Sequence[str]]) -> dict[tuple[str, int], Job]:
    found = {}
    for name, id, places, state, nodes, reason in rows:
        if places == "N/A":
            found[name, _WHOLE] = Job(id, state, nodes, reason)
        for place in _places(places):
            found[name, place] = Job(f"{id}_{place}", state, nodes, reason)
    return found


def _places(text: str) -> Iterator[int]:
    """`3`, `[0-2,7%4]`: the tasks of an array that waited, or were cancelled while they did, stand together."""
    for part in filter(None, text.strip("[]").partition("%")[0].split(",")):
        first, _, last = part.partition("-")
        if first.isdigit():
            yield from range(int(first), int(last if last.isdigit() else first) + 1)


def accounted(arrays: Sequence[Array], since: float) -> dict[tuple[str, int], Job]:
    """How jobs ended that squeue knows no more, from one sacct; nothing where there is no accounting.

    since: seconds since 1970 of their submission: ids are used again, and so only newer ones are meant.
    """
    names = [array.name for array in arrays]
    if not names:
        return {}
    start = datetime.fromtimestamp(since - 60).strftime("%Y-%m-%dT%H:%M:%S")
    command = (
        "sacct",
        "--noheader",
        "--parsable2",
        "--allocations",
        f"--starttime={start}",
    )
    try:
        text = ask(*command, f"--format={_SACCT}", f"--name={','.join(names)}")
    except SlurmError:
        return {}
    return dict(_accounted(text))


def _accounted(text: str) -> Iterator[tuple[tuple[str, int], Job]]:
    for line in text.splitlines():
        name, id, words, nodes, code = line.split("|")[:5]
        state = words.split()[0]  # CANCELLED by 0
        if state not in _OVER:  # the controller has forgotten it
            continue
        number, array, places = id.partition("_")
        told, where = "" if code == "0:0" else f"exit code {code}", nodes.replace("None assigned", "")
        for place in _places(places) if array else (0,):
            yield (name, place), Job(f"{number}_{place}" if array else id, state, where, told)


def forget_answer(results: Results) -> None:
    """Let nobody read what was true before jobs were submitted or ended."""
    with contextlib.suppress(OSError):
        _path(Ledger(results)).unlink(missing_ok=True)


def _path(ledger: Ledger) -> Path:
    return ledger.root / "queue.json"


def _kept(ledger: Ledger) -> dict[str, Any]:
    nothing: dict[str, Any] = {"time": 0.0, "names": [], "rows": [], "answered": True}
    with contextlib.suppress(OSError, ValueError):
        return {**nothing, **json.loads(_path(ledger).read_text(encoding="utf-8"))}
    return nothing


def _keep(ledger: Ledger, kept: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a folder of somebody else's
        write_json(_path(ledger), kept)
