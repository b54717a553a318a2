"""A job's own life: where it is, the signals that announce its end, what its earlier lives left, who waits for it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

from ablate.records.attempt import end_attempt_of_dead_process
from ablate.records.files import Results
from ablate.run.slurm.commands import release

if TYPE_CHECKING:
    from ablate.run.slurm.ledger import Array, Submission

_WAIT_SECONDS = 600
"""Longer than any KillWait or GraceTime."""
_REQUEUES = 5


class Leave(Exception):
    """The job has to end; the trials under way are to save their state. in_vain: the same job would come no further."""

    def __init__(self, cause: str, in_vain: bool = False) -> None:
        super().__init__(cause)
        self.cause, self.in_vain = cause, in_vain


class Signals:
    """Notes the signals by which Slurm announces the end of a job; `ask` raises Leave after one."""

    def __init__(self, seconds: float) -> None:
        self._until_limit = time.monotonic() + seconds
        self.received: int | None = None
        self._requeue: Callable[[int, FrameType | None], Any] | Any = signal.getsignal(signal.SIGUSR2)
        for number in (signal.SIGUSR2, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number

    @property
    def cause(self) -> str | None:
        """Why the job has to end; None while it has not."""
        if self.received is None:
            return None
        if self.received == signal.SIGTERM:
            return "stopped"
        return "timeout" if time.monotonic() > self._until_limit else "preempted"

    def ask(self, outcomes: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Raise Leave where the job has to end; outcomes: how its trials ended, by key, once they have."""
        if self.cause:
            raise Leave(self.cause, in_vain(outcomes or {}))

    def leave(self) -> None:
        """Have the job queued again where Slurm asked it to save its state; else wait for the end, which is near.

        SIGTERM comes with a preemption, after which Slurm itself queues the job again, and with scancel, after which
        nobody does: either way a job that ended by itself would be taken for one that is complete.
        """
        if self.received == signal.SIGUSR2 and callable(self._requeue):
            for attempt in range(_REQUEUES):
                with contextlib.suppress(subprocess.SubprocessError):
                    self._requeue(signal.SIGUSR2, None)  # submitit's: it ends this process
                time.sleep(2**attempt)
            return
        time.sleep(_WAIT_SECONDS)


def in_vain(outcomes: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a job's time went by without one trial done or saved, by how each ended."""
    return {outcome.get("cause") for outcome in outcomes.values() if outcome["state"] != "failed"} == {"unsaved"}


def place() -> str:
    """What attempts of this job are named after: `slurm-12_3`."""
    known = os.environ
    array = known.get("SLURM_ARRAY_JOB_ID")
    return f"slurm-{array}_{known['SLURM_ARRAY_TASK_ID']}" if array else f"slurm-{known['SLURM_JOB_ID']}"


def end_own_attempts(results: Results, keys: Iterable[str], place: str) -> None:
    """Write the end of what an earlier life of this job was at: it cannot be at it any more."""
    again = os.environ.get("SLURM_RESTART_COUNT")
    for key in keys if again else ():
        for attempt in results.trial(key).attempt_folders():
            if attempt.name.partition("-")[2] == place:
                told = f"its job was queued again (restart {again}); it goes on from its last checkpoint"
                end_attempt_of_dead_process(attempt, "interrupted", "requeued", told)


class Canary:
    """Releases what waits for the first trial of a group, once that has passed its first steps."""

    def __init__(self, submission: "Submission", array: "Array") -> None:
        self._held = [each.name for each in submission.arrays if each.held] if array.canary else []
        self._rows: list[dict[str, Any]] = []

    def look(self, share: float, metrics: Mapping[str, Any]) -> None:
        """It has passed them when it is some way through, or has told of a second row of metrics."""
        if self._held and metrics and dict(metrics) not in self._rows:
            self._rows.append(dict(metrics))
        if share > 0 or len(self._rows) > 1:
            self.passed()

    def passed(self) -> None:
        """Release the others."""
        while self._held:
            release(self._held.pop())
