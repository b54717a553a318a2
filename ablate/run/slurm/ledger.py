"""What was submitted, written down before it is: the only thing that is needed to find the jobs again.

results/slurm/<id>/submission.json     a wave's arrays, with the trials of each job; written before the first sbatch
results/slurm/<id>/jobs.json           the id of each array's job, once sbatch has told it
results/slurm/<id>/log/                submitit's scripts, and what jobs print
results/slurm/<id>/ended               no job of it is left, and what it left behind was dealt with
results/slurm/.lock                    held while somebody decides what to submit
results/slurm/queue.json               the last answers of squeue and sacct
"""

import contextlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ablate.records.files import Results, write_json
from ablate.run.slurm.clusters import Cluster
from ablate.run.slurm.shares import Share
from ablate.study.schema import Resources


class Array(BaseModel):
    """One sbatch: jobs with the same resources, one for each share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """The job's name, unlike any other: by it Slurm knows the job even where its id was never heard."""
    resources: Resources
    shares: tuple[Share, ...]
    avoid: tuple[str, ...] = ()
    """Nodes that are not to be used."""
    canary: bool = False
    """It goes first, and releases the others when its first trial has passed its first steps."""
    held: bool = False
    """It waits for the canary."""


class Submission(BaseModel):
    """A wave of jobs of one plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    study: str
    profile: str
    created: float
    """Seconds since 1970."""
    by: str
    cluster: Cluster
    arrays: tuple[Array, ...]
    code: str
    """The snapshot's folder."""
    path: tuple[str, ...] = ()
    """Folders that Python looks in after that."""
    device: str = "auto"
    wave: int = 1
    reports: str | None = None
    """The folder of the page that is written when all have ended; beside the records where none is named."""
    causes: dict[str, dict[str, int]] = {}
    """Trial key -> cause -> how often it ended an attempt of this study's waves before this one."""
    left: tuple[str, ...] = ()
    """Trials that found no room, for the next wave."""
    resources: Resources = Resources()
    """What they need."""
    follows: bool = True
    """Whether a job looks after it; else somebody waits for it."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All trials."""
        return tuple(key for array in self.arrays for share in array.shares for key in share.keys) + self.left

    @property
    def told(self) -> str:
        """What was submitted, in a sentence."""
        trials, jobs = len(self.keys) - len(self.left), sum(len(array.shares) for array in self.arrays)
        told = f"submitted {trials} trial{'s' * (trials != 1)} in {jobs} job{'s' * (jobs != 1)} of {self.cluster.name}"
        told += "; the others start when the first trial has passed its first steps" if self.canary else ""
        return told + (f"; {len(self.left)} more find no room yet, and follow" if self.left else "")

    @property
    def follower(self) -> str:
        """The name of the job that looks after the others."""
        return f"{self.id}-follow"

    def place_of(self, key: str) -> tuple[Array, int] | None:
        """The array, and the place in it, of the share that has a trial; None where none has it."""
        return next(
            ((array, at) for array in self.arrays for at, share in enumerate(array.shares) if key in share.keys), None
        )

    @property
    def canary(self) -> Array | None:
        """The array that goes first, where one does."""
        return next((array for array in self.arrays if array.canary), None)


class Ledger:
    """The submissions below a results folder."""

    def __init__(self, results: Results) -> None:
        self.root = results.root / "slurm"

    def folder(self, id: str) -> Path:
        """Of one submission."""
        return self.root / id

    def log(self, id: str) -> Path:
        """The folder of submitit's files."""
        return self.folder(id) / "log"

    def write(self, submission: Submission) -> None:
        """Write a submission, before its jobs are."""
        write_json(self.folder(submission.id) / "submission.json", submission.model_dump(mode="json"))

    def read(self, id: str) -> Submission:
        """One submission. Raises OSError or ValueError where it cannot be read."""
        text = (self.folder(id) / "submission.json").read_text(encoding="utf-8")
        return Submission.model_validate_json(text)

    def jobs(self, id: str) -> dict[str, str]:
        """Array name -> job id, for those that are known."""
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, str] = json.loads((self.folder(id) / "jobs.json").read_text(encoding="utf-8"))
            return found
        return {}

    def note_job(self, id: str, name: str, job: str) -> None:
        """Keep the id that sbatch told."""
        write_json(self.folder(id) / "jobs.json", {**self.jobs(id), name: job})

    def end(self, id: str) -> None:
        """Say that nothing more comes of a submission."""
        with contextlib.suppress(OSError):  # somebody else's folder
            (self.folder(id) / "ended").touch()

    def open(self) -> list[Submission]:
        """The submissions that may have jobs, oldest first."""
        try:
            ids = sorted(path.name for path in self.root.iterdir() if path.is_dir() and not (path / "ended").exists())
        except FileNotFoundError:
            return []
        found = []
        for id in ids:
            with contextlib.suppress(OSError, ValueError):  # cut off before it was written: nothing was submitted
                found.append(self.read(id))
        return found

    def all_ids(self) -> list[str]:
        """Of all submissions, oldest first."""
        return sorted(path.name for path in self.root.iterdir() if path.is_dir()) if self.root.is_dir() else []

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Alone with the decision what to submit; on a file system without locks, the claims of trials still hold."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("a") as file:
            _lock(file)
            yield


def new_id() -> str:
    """`20250131-120000-3f9a`: by time, and unlike any other."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _lock(file: Any) -> None:
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
