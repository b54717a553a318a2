"""Coordinating processes that share a trial: the claim that one of them holds, and requests to cancel."""

import getpass
import os
import platform
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from ablate.records.attempt import attempt_status, started_by
from ablate.records.files import Results, TrialFolder, write_json
from ablate.records.reading import Damaged, OfAnotherTrial, open_flags, read_result, read_trial

Claim = Literal["ours", "theirs", "unknown"]
"""`ours`: this process holds the trial; `theirs`: another one does; `unknown`: locks are not supported here."""


@contextmanager
def claim(folder: TrialFolder, create: bool = True) -> Iterator[Claim]:
    """Hold a trial for this process during the block, unless another process of this machine holds it.

    The operating system releases the lock when the process dies. create: False raises FileNotFoundError without a
    folder.
    """
    if create:
        folder.path.mkdir(parents=True, exist_ok=True)
    with open_lock(folder.claim) as lock, _of_this_process(lock):
        yield _lock(lock)


def open_lock(path: Path) -> IO[Any]:
    """A file to lock. A link or FIFO in its place is removed, and anything else but a file is renamed."""
    _make_way(path)
    flags = open_flags(os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0))
    return os.fdopen(os.open(path, flags, 0o666), "a")


def _make_way(path: Path) -> None:
    """Remove a link or FIFO from a place where only a file belongs, and rename anything else, such as a folder."""
    with suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode) or stat.S_ISFIFO(mode):
            path.unlink()
        elif not stat.S_ISREG(mode):
            name = f".{path.name.removeprefix('.')}.{os.getpid()}-{os.urandom(4).hex()}"  # gc removes such names
            path.rename(path.with_name(name))


_held: set[IO[Any]] = set()
"""The files that this process has locked."""


@contextmanager
def _of_this_process(lock: IO[Any]) -> Iterator[None]:
    """Unlock a file afterwards, and keep forked processes from holding the lock: a copy of the file would."""
    _held.add(lock)
    try:
        yield
    finally:
        _held.discard(lock)
        unlock(lock)


def unlock(file: IO[Any]) -> None:
    """Release a lock, also where a forked process has a copy of the file."""
    with suppress(ImportError, OSError, ValueError):  # no locks here; this is a forked process, which has closed it
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)


def _close_copies() -> None:
    for file in _held:
        with suppress(OSError):
            file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_copies)


def running_elsewhere(folder: TrialFolder, claim: Claim) -> str | None:
    """Which other process runs a trial, as text, given the outcome of `claim`; None if there is none.

    Locks may not work across machines: an attempt on another machine counts as running while its heartbeat is fresh.
    """
    attempts = folder.attempt_folders()
    host, process = started_by(attempts[-1]) if attempts else (None, None)
    running = bool(attempts) and attempt_status(attempts[-1], time.time()).state == "running"
    message = "another process is running it" + (f" ({host}, process {process})" if running and host else "")
    if claim == "theirs":
        return message
    dead = host == platform.node() and (claim == "ours" or process == os.getpid())
    return message if running and not dead else None


def _lock(file: IO[Any]) -> Claim:
    # Not filelock: without native locks it falls back to a lock file that outlives a killed process, and would keep the
    # trial from ever being resumed. Here such a file system gives `unknown`, and heartbeats decide.
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


def set_aside(results: Results, key: str) -> list[Path]:
    """Move the damaged records of a trial to results/damaged, so that it can be trained again; returns where they are.

    The caller holds the trial's claim.
    """
    moved = []
    for path in _damaged_parts(results.trial(key)):
        away = results.root / "damaged" / f"{key}-{time.time_ns()}" / path.name
        away.parent.mkdir(parents=True)
        moved.append(path.rename(away))
    return moved


def make_trainable(results: Results, key: str) -> list[Path]:
    """Set aside the damaged records of a trial unless another process runs it; returns where they are."""
    folder = results.trial(key)
    if folder.path.is_symlink() or not folder.path.is_dir():  # no place for a claim
        return set_aside(results, key)
    with claim(folder) as held:
        return [] if held == "theirs" else set_aside(results, key)


def _damaged_parts(folder: TrialFolder) -> list[Path]:
    """The damaged files of a trial; all of its records, if they are of another trial."""
    parts: list[Path] = []
    try:
        read_trial(folder.trial)
    except OfAnotherTrial:
        parts = [folder.trial, folder.result, folder.attempts]
    except Damaged:
        parts = [folder.trial]
    except OSError:  # missing
        pass
    try:
        read_result(folder.result)
    except Damaged:
        parts += [] if folder.result in parts else [folder.result]
    except OSError:
        pass
    if os.path.lexists(folder.attempts) and not folder.attempts.is_dir():
        parts.append(folder.attempts)
    whole = (folder.path.is_symlink() and parts) or not folder.path.is_dir()
    return [path for path in ([folder.path] if whole else parts) if os.path.lexists(path)]


CANCEL_CHECK_SECONDS = 0.5
"""Interval at which a running attempt checks for a cancel request, since each check may cross the network."""


def request_cancel(folder: TrialFolder) -> None:
    """Stop a trial, and keep it from starting, until `clear_cancel`."""
    write_json(folder.cancel, {"time": datetime.now(UTC).isoformat(timespec="seconds"), "by": _requester()})


def clear_cancel(folder: TrialFolder) -> None:
    """Withdraw the request, so that the trial may run again."""
    _make_way(folder.cancel)
    folder.cancel.unlink(missing_ok=True)


def cancel_requested(folder: TrialFolder) -> bool:
    """Whether cancelling the trial was requested."""
    with suppress(PermissionError):
        return folder.cancel.exists()
    return False


def watch_for_cancel(folder: TrialFolder, clock: Callable[[], float] = time.monotonic) -> Callable[[], bool]:
    """A function, cheap enough to call at every step, that says whether cancelling was requested."""
    requested, checked = False, float("-inf")

    def cancelled() -> bool:
        nonlocal requested, checked
        if not requested and clock() - checked >= CANCEL_CHECK_SECONDS:
            requested, checked = cancel_requested(folder), clock()
        return requested

    return cancelled


def _requester() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        user = "?"
    return f"{user}@{platform.node()}"
