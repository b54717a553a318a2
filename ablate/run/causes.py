"""Why an attempt ended: one word for the cause, and a message that the user can act on."""

import contextlib
import errno
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.errors import UserError
from ablate.records.files import Results, write_json
from ablate.records.provenance import PACKAGE
from ablate.records.reading import read_object
from ablate.trainer.contract import DataError, Diverged, TrialFailed

_SIGNALS = {"stopped": "SIGTERM", "timeout": "SIGUSR2", "preempted": "SIGUSR1"}
STOPS = {cause: getattr(signal, name) for cause, name in _SIGNALS.items() if hasattr(signal, name)}
"""Cause of an interruption -> the signal that asks a worker process to stop for it."""
CAUSES = {number: cause for cause, number in STOPS.items()}
GPU_ERROR = "gpu_error"
"""The cause of a trial after which CUDA no longer works in its process, which therefore ends."""
_NO_MEMORY = re.compile(
    r"out of memory|bad_alloc|RESOURCE_EXHAUSTED|OOM when allocating|not enough memory|can(?:'t|not) allocate memory"
    r"|worker \(pid \d+\) is killed by signal: Killed"
    r"|cudaErrorMemoryAllocation|CU[A-Z]+_(?:STATUS_)?(?:[A-Z]+_)*ALLOC(?:ATION)?_FAILED",
    re.IGNORECASE,
)
"""What torch, its libraries on a GPU (cuBLAS, cuDNN, cuFFT, ...), JAX, TensorFlow and C++ say when memory is short.

Where memory is limited, the system may kill a process that loads data and leave the trial's own: torch then tells of
the signal that killed a worker."""
_OF_A_GPU = re.compile(r"cuda|cudnn|cublas|cufft|cusolver|cusparse|nccl|\bhip\b|\bgpu\b", re.IGNORECASE)
RANK_LOST = "rank_lost"
"""The cause of a trial of which one rank disappeared without saying why."""
_CONNECTION_LOST = re.compile(
    r"connection (?:was )?(?:closed|reset|refused|aborted)|broken pipe|remote process exited|ncclRemoteError"
    r"|socket timeout|timed out (?:after|waiting)|no route to host|host is unreachable",
    re.IGNORECASE,
)
"""What gloo and NCCL say on the ranks that are left when another one is gone."""
_NOTE_SECONDS = 2.0
"""How long the first rank waits for the notes of others: they notice a loss at the same time."""
Outcome = dict[str, Any]
"""How a trial ended: {"state": "done" | "failed" | "interrupted" | "running", "cause", "message", "attempt"}.

"by_signal" is true if a signal ended a process that the trainer had started, as a command, whatever the cause.
There is no attempt if another process runs or has finished the trial, or if the trial cannot be read."""


@dataclass(frozen=True)
class Failure:
    """The cause of a failed attempt, and the message about it."""

    cause: str
    message: str


class SettingsRefused(UserError):
    """The trainer rejects a trial's settings."""


def classify(error: BaseException) -> Failure:
    """The cause of an exception that ended a trial."""
    said = _text(error) if isinstance(error, TrialFailed) else f"{type(error).__name__}: {_text(error)}"
    said = said.removesuffix(": ")
    message = "; ".join(filter(None, (said, _advice(error))))
    if isinstance(error, Diverged):
        return Failure("diverged", str(error))
    if any(map(_is_full_disk, _chain(error))):
        return Failure("disk_full", "no space left on the disk of the results folder")
    if any(map(_is_out_of_memory, _chain(error))):
        return Failure("out_of_memory", f"{message}; more memory may help")
    if any(map(_is_gpu_error, _chain(error))):
        return after_gpu_error(message)
    if isinstance(error, TrialFailed):
        return Failure(error.cause, str(error))
    if isinstance(error, UserError):
        return Failure("config" if isinstance(error, SettingsRefused) else "trainer", error.problems[0].message)
    if isinstance(error, DataError):
        return Failure("data", str(error))
    if isinstance(error, FileNotFoundError):
        return Failure("data", message)
    if isinstance(error, SystemExit):
        return Failure("exception", f"the trainer exited ({message})")
    return Failure("exception", message)


def after_gpu_error(message: str) -> Failure:
    """The failure of a trial that met an error of the GPU after which its process cannot use CUDA any more."""
    return Failure(GPU_ERROR, f"{message}; CUDA no longer works in this process, so other trials run in a new one")


def is_of_gpu(message: str) -> bool:
    """Whether the message of a failure tells of a GPU or its libraries."""
    return _OF_A_GPU.search(message) is not None


def _advice(error: BaseException) -> str | None:
    """What to do if a trainer misses a file that the snapshot of its code lacks; None for other errors."""
    folder, text = PACKAGE.parent, _text(error)
    left_out = read_object(folder / "code.json").get("left_out")
    if not isinstance(left_out, dict) or not isinstance(error, (ImportError, OSError, RuntimeError)):
        return None
    inside = f"{folder}/" in text
    for name, why in left_out.items():
        module = name.partition(".")[0].replace("/", ".")
        of_import = isinstance(error, ImportError) and (module in text or f"'{module.rpartition('.')[2]}'" in text)
        if of_import or (inside and re.search(rf"{re.escape(f'{folder}/{name}')}(?![\w.-])", text)):
            keep = "add it to git if it is code, else " if str(why).startswith("git ") else ""
            return f"{name} is not in the snapshot of the code ({why}): {keep}pass its path in a setting"
    if inside and isinstance(error, FileNotFoundError):
        return "the trainer runs from a snapshot of its code, without the files around it: pass the path in a setting"
    return None


def interruption(results: Results, key: str, attempt: str, cause: str) -> tuple[str, str]:
    """The cause of an attempt that ended before its trial was done, and where the next attempt starts.

    The cause `timeout` becomes `unsaved` if nothing was saved since the attempt started: with the same time limit the
    next attempt would get no further.
    """
    if cause == "timeout" and not _saved(results, key, attempt):
        return "unsaved", "nothing had been saved, so the next attempt starts over"
    return cause, "the next attempt resumes from the last checkpoint"


def record_failure_of_rank(attempt: Path, rank: int, error: BaseException) -> None:
    """Write down why a rank other than the first failed: the first rank only notices that it is gone."""
    failure = Failure(RANK_LOST, _text(error)) if lost_connection(error) else classify(error)
    write_json(attempt / f"rank-{rank}.json", {"cause": failure.cause, "message": failure.message})


def failure_of_another_rank(attempt: Path) -> Failure | None:
    """The failure of the rank that failed first by itself; None if no rank recorded one."""
    for name, note in _notes(attempt).items():
        if note["cause"] != RANK_LOST:
            return Failure(str(note["cause"]), f"{name}: {note['message']}")
    return None


def lost_connection(error: BaseException) -> bool:
    """Whether an exception says that another rank is gone, and nothing about this one."""
    return any(_CONNECTION_LOST.search(_text(each)) for each in _chain(error))


def failure_of_lost_rank(attempt: Path, ranks: int) -> Failure:
    """The failure that the first rank records when others are gone: their own, or which of them left no note.

    ranks: how many there were.
    """
    end = time.monotonic() + _NOTE_SECONDS
    while not failure_of_another_rank(attempt) and len(_notes(attempt)) < ranks - 2 and time.monotonic() < end:
        time.sleep(_NOTE_SECONDS / 20)
    silent = [f"rank-{rank}" for rank in range(1, ranks) if f"rank-{rank}" not in _notes(attempt)]
    return failure_of_another_rank(attempt) or Failure(RANK_LOST, _lost(silent))


def first_rank_lost(attempt: Path) -> Failure | None:
    """The failure of an attempt whose first rank wrote no end, if other ranks noticed that; None otherwise."""
    return Failure(RANK_LOST, _lost(["rank-0"])) if _notes(attempt) else None


def _lost(silent: Sequence[str]) -> str:
    if not silent:
        return "the ranks lost the connection to each other"
    return f"{', '.join(silent)} ended without a note, so it was killed or its node failed; the others only noticed"


def _notes(attempt: Path) -> dict[str, dict[str, Any]]:
    """What ranks other than the first wrote about their end: `rank-3` -> cause and message, the oldest first."""
    paths = sorted(attempt.glob("rank-*.json"), key=lambda path: path.stat().st_mtime_ns)
    found = {path.stem: read_object(path) for path in paths}
    return {name: note for name, note in found.items() if {"cause", "message"} <= note.keys()}


def _saved(results: Results, key: str, attempt: str) -> bool:
    """Whether one of the trial's checkpoints is newer than the attempt; True if that cannot be determined."""
    folder = results.trial(key)
    with contextlib.suppress(OSError):
        # Compare with a file that the attempt wrote first: both times then come from the clock of one file system.
        started = (folder.attempts / attempt / ".reserve").stat().st_mtime_ns
        files = results.pretrained(folder.pretrain_key).rglob("*")
        return any(path.stat().st_mtime_ns >= started for path in files if path.is_file())
    return True


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was short, of the machine or of a GPU: few libraries have an exception of their own for that."""
    full = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    return full or _NO_MEMORY.search(_text(error)) is not None


def _is_gpu_error(error: BaseException) -> bool:
    """Whether torch reports an error of CUDA itself, as an illegal access or a failed assertion in a kernel."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.AcceleratorError)


def _is_full_disk(error: BaseException) -> bool:
    """Whether a disk is full; some libraries raise exceptions of their own for that."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or "no space left on device" in _text(error).lower()


def _text(error: BaseException) -> str:
    """What an exception says; nothing if that cannot be written."""
    with contextlib.suppress(Exception):
        return str(error)
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that caused it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
