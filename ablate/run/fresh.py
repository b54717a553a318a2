"""A process of its own for each trial: a fork of a worker that has imported torch and has trained nothing.

Imported modules, settings of torch, environment, working folder, signal handlers, descriptors and random state are
then those of a new process, for about 0.05 s of a core (tests/bench/fresh.py). The worker does not import the trainer:
its module may start threads or use a GPU while it is imported, neither of which survives a fork, and what a module
holds belongs to one trial.
"""

import atexit
import contextlib
import ctypes
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from ablate.records.attempt import add_event, tidy
from ablate.run.machine import output_into

CAN_FORK = sys.platform == "linux" and hasattr(os, "fork")
"""Elsewhere system libraries do not work after a fork: there a worker trains one trial and is replaced."""
STOP_SECONDS = 60.0
"""How long a trial may take to finish its step and save its state before it is killed."""
_TICK_SECONDS = 0.1
_EXIT_SECONDS = 10.0
"""How long a process whose trial has ended may take to run what the trainer registered with atexit."""
_LEFT_SECONDS, _ASKED_SECONDS, _KILLED_SECONDS = 0.3, 1.3, 10.0
"""When processes that a trial left behind are asked to end, are killed, and are given up."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LONGEST_COMMAND = 80

Send = Callable[..., None]
"""Sends a message to the pool: its kind, and its content as plain values."""


def sender(connection: Connection) -> Send:
    """Sends messages as JSON: a pickle would import the trainer's classes in the processes that read it."""

    def send(*message: Any) -> None:
        with contextlib.suppress(OSError, ValueError):  # the reader is gone, or a number has too many digits
            connection.send_bytes(json.dumps(message, default=str).encode())

    return send


@dataclass
class Forked:
    """The worker's side: the process of one trial."""

    pid: int
    connection: Connection
    code: int | None = None
    """The exit code once it has ended, negative for a signal."""

    def messages(self) -> Iterator[list[Any] | None]:
        """What it sends until it has ended; None a few times per second, whatever it does."""
        connected = True
        while not self._ended():
            yield None
            # It ends within moments once its connection is closed, unless the trainer closed it or a child holds it.
            if not connected:
                time.sleep(_TICK_SECONDS / 10)
            elif self.connection.poll(_TICK_SECONDS):
                try:
                    yield json.loads(self.connection.recv_bytes())
                except (EOFError, OSError):
                    connected = False
        with contextlib.suppress(EOFError, OSError):
            while connected and self.connection.poll():
                yield json.loads(self.connection.recv_bytes())

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None


def fork(train: Callable[[Send], Path | None]) -> Forked:
    """Let a new process train; `train` returns the folder of its attempt, if it made one."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    worker = os.getpid()
    if pid := os.fork():
        theirs.close()
        return Forked(pid, ours)
    try:
        ours.close()
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # its worker's main thread, which lives as long as the worker
        if os.getppid() != worker:
            os._exit(1)
        _forget_parent()
        attempt = train(sender(theirs))
        for child in multiprocessing.active_children():
            if child.daemon:
                child.terminate()  # as multiprocessing does at an exit
        if attempt and atexit._ncallbacks():
            with output_into(attempt):
                _run_at_exit()
            tidy(attempt)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def _forget_parent() -> None:
    """Drop what a fork takes along and a new process would not have."""
    atexit._clear()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # from the operating system, as in a new process; Python's random does so itself


def leave() -> NoReturn:
    """End this process without waiting for threads; what was registered with atexit runs."""
    _run_at_exit()
    os._exit(0)


def _run_at_exit() -> None:
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def train_in_fork(
    train: Callable[[Send], Path | None],
    send: Send,
    started: Callable[[Forked], None],
    abandoned: Callable[[], bool],
    attempts: Path,
) -> None:
    """Train in a new process, pass on what it sends, and then end what it left behind.

    started: called with the process, for signals. abandoned: whether the pool is gone. attempts: the folder of the
    trial's attempts. Sends "outcome" or, if the process died before it, "lost" at once and ("died", how) at the end.
    """
    outcome: dict[str, Any] | None = None
    attempt: str | None = None
    until = float("inf")
    trial = fork(train)
    started(trial)
    for message in trial.messages():
        if message is None:
            if abandoned() and until == float("inf"):
                trial.signal(signal.SIGTERM)
                until = time.monotonic() + STOP_SECONDS
            elif time.monotonic() > until:
                trial.signal(signal.SIGKILL)
        elif message[0] == "outcome":
            outcome, until = message[1], time.monotonic() + _EXIT_SECONDS
        else:
            attempt = message[1] if message[0] == "begun" else attempt
            send(*message)
    trial.connection.close()
    if outcome is None:
        send("lost")
    if (left := end_those_left()) and attempt:
        processes = "a process" if len(left) == 1 else f"{len(left)} processes"
        _warn(attempts / attempt, f"ended {processes} that the trial left behind: {'; '.join(left)}")
    if outcome is not None:
        send("outcome", outcome)
    else:
        send("died", death(trial.code or 0))


def death(code: int) -> str:
    """How a process ended, from its exit code."""
    with contextlib.suppress(ValueError):  # a signal without a name
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"signal {-code}"


def adopt_orphans() -> None:
    """Become the parent of processes below this one whose own parent ends, so that none is lost."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_those_left() -> list[str]:
    """End all child processes, after a moment in which they may do so themselves; returns what the others were."""
    left: dict[int, str] = {}
    began = time.monotonic()
    while (waited := time.monotonic() - began) < _KILLED_SECONDS:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            break
        for pid in _children() if waited > _LEFT_SECONDS else ():
            left.setdefault(pid, f"{_command(pid)} (process {pid})")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if waited > _ASKED_SECONDS else signal.SIGTERM)
        time.sleep(0.02)
    return list(left.values())


def _children() -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (
                    (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:2]
                )
                if int(parent) == os.getpid() and state != "Z":
                    found.append(int(entry.name))
    return found


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " ").strip()
        return "".join(takewhile(str.isprintable, text))[:_LONGEST_COMMAND].strip()
    return "a process"


def _warn(attempt: Path, message: str) -> None:
    """Write a warning into the record of an attempt that has ended."""
    with contextlib.suppress(OSError):
        add_event(attempt, "warning", message=message)
        with (attempt / "stderr").open("a", encoding="utf-8") as file:
            file.write(f"ablate: {message}\n")


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
