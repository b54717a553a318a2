"""One process at a trial: the lock that whoever runs it holds, and that the system releases when that process dies."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from os import getpid
from typing import IO, Any, Literal

from ablate.records.attempt import attempt_status, started_by
from ablate.records.files import TrialFolder

Claim = Literal["ours", "theirs", "unknown"]
"""`unknown` where the file system or the platform has no locks."""


@contextmanager
def claim(folder: TrialFolder) -> Iterator[Claim]:
    """Take a trial for this process while the block runs, or find that another process of this machine has it."""
    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.claim.open("a") as lock:
        yield _lock(lock)


def running_elsewhere(folder: TrialFolder, claim: Claim) -> str | None:
    """Who else is at a trial, in words, given what a claim on it came to; None where nobody is.

    Locks may not reach other machines: an attempt of one of them is believed to live while its heart beats.
    """
    attempts = folder.attempt_folders()
    host, process = started_by(attempts[-1]) if attempts else (None, None)
    running = bool(attempts) and attempt_status(attempts[-1], time.time()).state == "running"
    words = f"running elsewhere ({host}, process {process})" if running and host else "running elsewhere"
    if claim == "theirs":
        return words
    dead = host == platform.node() and (claim == "ours" or process == getpid())
    return words if running and not dead else None


def _lock(file: IO[Any]) -> Claim:
    try:
        import fcntl
    except ImportError:  # Windows
        return "unknown"
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "theirs"
    except OSError:  # a file system without locks
        return "unknown"
    return "ours"
