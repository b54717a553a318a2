"""The ledger of submissions: written before anything is submitted, so that jobs can be found again after a crash.

results/slurm/<id>/submission.json     the arrays of a wave and the trials of each job; written before the first sbatch
results/slurm/<id>/jobs.json           the id of each array's job, written when sbatch returns it
results/slurm/<id>/watch.json          the newest follow-up job; written before and after its sbatch
results/slurm/<id>/log/                the scripts of jobs, and their output
results/slurm/<id>/ended               all jobs have ended, and their results were dealt with: what became of the rest
results/slurm/.lock                    held while a process decides what to submit
results/slurm/queue.json               the last answer of squeue
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ablate.errors import UserError
from ablate.records.coordination import open_lock, unlock
from ablate.records.files import Results, write_json
from ablate.records.reading import json_object, read_object
from ablate.run.cluster import Cluster
from ablate.run.slurm.packing import Array
from ablate.study.schema.resources import Resources

_WRITABLE_BY_OTHERS = 0o022


class Submission(BaseModel):
    """A wave of jobs of one plan."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # an earlier version wrote a field more

    id: str
    study: str
    profile: str
    created: float = Field(ge=0, lt=2**40)
    """Seconds since 1970."""
    by: str
    cluster: Cluster
    arrays: tuple[Array, ...]
    code: str
    """The folder of the code snapshot."""
    path: tuple[str, ...] = ()
    """Further folders in which Python looks for modules."""
    device: str = "auto"
    wave: int = 1
    reports: str | None = None
    """The folder for the page that is written at the end; next to the records if None."""
    causes: dict[str, dict[str, int]] = {}
    """Trial key -> cause -> how many attempts it ended in earlier waves of this plan."""
    left: tuple[str, ...] = ()
    """Trials that the cluster had no room for; they go into the next wave."""
    resources: Resources = Resources()
    """What the trials in `left` need."""
    behind: tuple[str, ...] = ()
    """Ids of the study's other jobs that have to end first, where the number of jobs at once is limited."""
    needs: dict[str, Resources] = {}
    """Trial key -> what it needs, for those in `left` that need something else."""
    fresh: bool = True
    """Whether each trial runs in its own process."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All trials."""
        return tuple(key for array in self.arrays for share in array.shares for key in share.keys) + self.left

    @property
    def summary(self) -> str:
        """What was submitted, in a sentence."""
        trials, jobs = len(self.keys) - len(self.left), sum(len(array.shares) for array in self.arrays)
        text = f"submitted {trials} trial{'s' * (trials != 1)} in {jobs} job{'s' * (jobs != 1)} to {self.cluster.name}"
        text += "; the others start once the first trial has passed its first steps" if self.canary else ""
        return text + (f"; {len(self.left)} more will be submitted when the queue has room" if self.left else "")

    @property
    def canary(self) -> Array | None:
        """The array that runs first, if there is one."""
        return next((array for array in self.arrays if array.canary), None)

    def share_of(self, key: str) -> tuple[Array, int] | None:
        """The array of a trial, and the index of its share; None if no share has it."""
        return next(
            ((array, at) for array in self.arrays for at, share in enumerate(array.shares) if key in share.keys), None
        )


ON_LOGIN = "ablate watch, on a login node, has to look after it"
"""The trouble of submissions whose cluster has follow_up.by = "login"."""


class Watch(BaseModel):
    """The newest follow-up job of a submission, which looks after the other jobs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: int = 0
    """How many there were; the number is part of its name, so that no two have the same name."""
    job: str | None = None
    """Its id; None until sbatch has returned it."""
    sent: float = 0.0
    """Seconds since 1970."""
    delay: int = 0
    """Seconds before which it does not begin, whatever happens to other jobs."""
    failures: int = 0
    """How many follow-up jobs in a row could not do their work."""
    trouble: str = ""
    """Why sbatch refused it, or why the one before could not do its work."""

    def name(self, id: str) -> str:
        """Its name, given the submission's id."""
        return f"{id}-follow" if self.number < 2 else f"{id}-follow-{self.number}"


class End(BaseModel):
    """How a submission ended."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    next: str | None = None
    """The id of the submission that continues it."""
    given_up: dict[str, str] = {}
    """Trial key -> why it has no result and will not be retried."""


class Ledger:
    """The submissions of a results folder."""

    def __init__(self, results: Results) -> None:
        self.root = results.submissions

    def folder(self, id: str) -> Path:
        """The folder of one submission."""
        return self.root / id

    def log(self, id: str) -> Path:
        """The folder of a submission's scripts and of their output."""
        return self.folder(id) / "log"

    def write(self, submission: Submission) -> None:
        """Record a submission, before its jobs are submitted."""
        folder = self.folder(submission.id)
        folder.mkdir(parents=True, exist_ok=True)
        _close_to_others(folder)
        write_json(folder / "submission.json", submission.model_dump(mode="json"))
        _close_to_others(folder / "submission.json")

    def read(self, id: str) -> Submission:
        """One submission. Raises OSError or ValueError if it cannot be read."""
        return Submission.model_validate(json_object(self.folder(id) / "submission.json"))

    def read_own(self, id: str) -> Submission:
        """A submission whose commands this user is about to run. Raises UserError if others could have written it."""
        file = self.folder(id) / "submission.json"
        for path in (file.parent, file):
            found = path.stat()
            if os.name == "posix" and (found.st_uid not in (os.geteuid(), 0) or found.st_mode & _WRITABLE_BY_OTHERS):
                whose = "can be changed by others" if found.st_mode & _WRITABLE_BY_OTHERS else "is another user's"
                message = f"{path} {whose}, and a job would run what it says"
                raise UserError(message, help="submit again with ablate run")
        return self.read(id)

    def owns(self, id: str) -> bool:
        """Whether a submission is this user's, so that its jobs run what this user writes into it."""
        with contextlib.suppress(UserError, OSError, ValueError):
            self.read_own(id)
            return True
        return False

    def jobs(self, id: str) -> dict[str, str]:
        """Array name -> job id, for the jobs whose id was recorded."""
        noted = read_object(self.folder(id) / "jobs.json")
        return {name: job for name, job in noted.items() if isinstance(job, str)}

    def note_job(self, id: str, name: str, job: str) -> None:
        """Record the id that sbatch returned."""
        write_json(self.folder(id) / "jobs.json", {**self.jobs(id), name: job})

    def watch(self, id: str) -> Watch:
        """The newest follow-up job of a submission."""
        with contextlib.suppress(ValueError):
            return Watch.model_validate(read_object(self.folder(id) / "watch.json"))
        return Watch()

    def note_watch(self, id: str, watch: Watch) -> None:
        """Record a follow-up job. Raises OSError."""
        write_json(self.folder(id) / "watch.json", watch.model_dump(mode="json"))

    def end(self, id: str, how: End | None = None) -> None:
        """Mark a submission as ended."""
        with contextlib.suppress(OSError):  # another user's folder
            (self.folder(id) / "ended").touch()  # a full disk has room for that
            write_json(self.folder(id) / "ended", (how or End()).model_dump(mode="json"))

    def end_of(self, id: str) -> End:
        """How a submission ended."""
        with contextlib.suppress(ValueError):
            return End.model_validate(read_object(self.folder(id) / "ended"))
        return End()

    def has_ended(self, id: str) -> bool:
        """Whether a submission is marked as ended."""
        return (self.folder(id) / "ended").exists()

    def why_given_up(self, key: str) -> str | None:
        """Why the newest submission of a trial will not retry it; None if that is not so."""
        for id in reversed(self.all_ids()):
            if why := self.end_of(id).given_up.get(key):
                return why
            with contextlib.suppress(OSError, ValueError):
                if key in self.read(id).keys:
                    return None
        return None

    def open(self) -> list[Submission]:
        """The submissions that may have jobs, oldest first."""
        found = []
        for id in self.all_ids():
            if not self.has_ended(id):
                with contextlib.suppress(OSError, ValueError):  # interrupted while writing: nothing was submitted
                    found.append(self.read(id))
        return found

    def all_ids(self) -> list[str]:
        """The ids of all submissions, oldest first."""
        return sorted(path.name for path in self.root.iterdir() if path.is_dir()) if self.root.is_dir() else []

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Decide alone what to submit. On a file system without locks, only claims keep trials from running twice."""
        self.root.mkdir(parents=True, exist_ok=True)
        with open_lock(self.root / ".lock") as file:
            _lock(file)
            try:
                yield
            finally:
                unlock(file)


def new_id() -> str:
    """`20250131-120000-3f9a`: unique, and sorted by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _close_to_others(path: Path) -> None:
    """Let nobody else write to a file or folder, whatever the umask: jobs run what submission.json says."""
    with contextlib.suppress(OSError):  # another user's
        path.chmod(path.stat().st_mode & ~_WRITABLE_BY_OTHERS)


def _lock(file: Any) -> None:
    with contextlib.suppress(ImportError, OSError):  # filelock would raise where the file system has no locks
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
