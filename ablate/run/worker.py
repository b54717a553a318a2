"""A worker process as the pool that started it sees it; `ablate.run.serve` is what the process does."""

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from ablate.run.causes import GPU_ERROR, Outcome
from ablate.run.fresh import death
from ablate.run.mps import is_shared

SILENT_SECONDS = 5.0
"""How long a worker without a trial, or one that has closed its connection, may take to exit."""
_LAST_BYTES, _LAST_LINES = 4000, 8
_BOOTSTRAP = """
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.SIG_IGN)
pool, descriptor, ended = int(sys.argv[1]), int(sys.argv[2]), threading.Event()
def watch():
    while os.getppid() == pool:
        if ended.wait(0.5):
            return
    os._exit(1)
watching = threading.Thread(target=watch, daemon=True)
watching.start()
def imported():
    ended.set()
    watching.join()
from multiprocessing.connection import Connection
connection = Connection(descriptor)
sys.path[:], sys.argv[:] = connection.recv()
from ablate.run.serve import serve
serve(connection, pool, imported)
"""
"""Not multiprocessing's spawn: that would rerun the main module of the caller, and import ablate from there.

It ends with its pool from the first line on. Not by PR_SET_PDEATHSIG, which a thread's end sends, too: a notebook may
start its pool from any thread."""


@dataclass
class Worker:
    """The pool's side: one process, and its current trial."""

    task: "Task"
    process: subprocess.Popen[bytes]
    connection: Connection
    output: IO[bytes]
    """What the process prints while it has no trial."""
    ready: bool = False
    """Whether it has imported torch and takes trials."""
    leaving: bool = False
    """Whether it ends after a trial that met an error of the GPU; the trials that remain go to another worker."""
    key: str | None = None
    companions: Sequence[str] = ()
    """Trials that are not given to another worker meanwhile, since this one may pretrain them."""
    attempt: str | None = None
    """The attempt's name, once the attempt has started."""
    pid: int | None = None
    """The process of the attempt: this one, or one of its own."""
    lost: bool = False
    """Whether the process of its trial ended without an outcome; what that left behind may still run."""
    died: str | None = None
    """How the process of its trial ended, if that died and this one lives on."""
    share: float = 0.0
    metrics: Mapping[str, Any] = field(default_factory=dict)
    failed_starts: int = 0
    """How many workers in a row died in its place while they started."""
    over_memory: str | None = None
    """How much memory it used, if it was killed for that."""
    environment: Mapping[str, str] | None = None
    """Of its trial; where it trains several in one process, that of its first: CUDA reads it once."""
    runs_again: str | None = None
    """Why its trial was killed though it shall run again."""

    def give(self, key: str, environment: Mapping[str, str], companions: Sequence[str] = ()) -> None:
        """Let it train a trial. companions: keys of those that it may pretrain, too."""
        self.companions = companions
        self.key, self.attempt, self.pid, self.over_memory, self.share, self.metrics = key, None, None, None, 0.0, {}
        self.runs_again, self.lost = None, False
        if self.environment is None or self.task.fresh:
            self.environment = environment
        with contextlib.suppress(OSError):  # the process died: the pool notices when it next receives
            self.connection.send((key, self.environment, companions))

    @property
    def keys(self) -> list[str]:
        """Its trial and the companions."""
        return [] if self.key is None else [self.key, *self.companions]

    @property
    def under_mps(self) -> bool:
        """Whether its trial runs or ran under the MPS of the pool."""
        return is_shared(self.environment or {})

    def receive(self) -> Outcome | None:
        """Take one message; the outcome of its trial, if it is that. Raises EOFError if the trial's process died."""
        try:
            if not self.connection.poll():
                raise EOFError
            kind, *content = json.loads(self.connection.recv_bytes())
        except OSError as error:
            raise EOFError from error
        if kind == "ready":
            self.ready = True
        elif kind == "begun":
            self.attempt, self.pid = content
        elif kind == "report":
            self.share, self.metrics = content
        elif kind == "released":
            self.companions = ()
        elif kind == "lost":
            self.lost = True
        elif kind == "died":
            (self.died,) = content
            raise EOFError
        else:
            self.key = None
            outcome: Outcome = content[0]
            self.leaving = outcome.get("cause") == GPU_ERROR and not self.task.fresh
            return outcome
        return None

    def kill(self) -> None:
        """Kill the process of its trial; the worker then reports that, and ends what the trial left behind."""
        if self.key is None or self.pid is None:
            self.process.kill()
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def death(self) -> str:
        """How the trial's process ended; a worker that only closed its connection is killed."""
        if self.died:
            return self.died
        try:
            code = self.process.wait(SILENT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return death(code)

    def last_lines(self) -> list[str]:
        """The last lines that it printed outside of trials."""
        size = os.fstat(self.output.fileno()).st_size
        text = os.pread(self.output.fileno(), _LAST_BYTES, max(0, size - _LAST_BYTES)).decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()][-_LAST_LINES:]

    def close(self) -> None:
        """Close the connection and the output of a process that has ended."""
        self.connection.close()
        self.output.close()


@dataclass(frozen=True)
class Task:
    """What a worker receives at its start: how to train each of its trials."""

    results: Path
    index: int
    threads: int
    device: str
    place: str
    """The first part of attempts' names."""
    workers: int
    """The number of workers of the pool."""
    shared: bool
    """Whether they share the cores of one job."""
    fresh: bool
    """Whether each trial runs in its own process."""


def start_worker(task: Task, code: Path | None, failed_starts: int = 0) -> Worker:
    """Start a process that imports ablate from `code`. failed_starts: how many died in its place."""
    ours, theirs = multiprocessing.Pipe()
    output = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the worker
    descriptor = theirs.fileno()
    with _ctrl_c_ignored(), theirs:
        process = subprocess.Popen(
            # -P: without the working folder; -B: without caches in the code
            (sys.executable, "-P", "-B", "-c", _BOOTSTRAP, str(os.getpid()), str(descriptor)),
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    path = [str(Path(entry).absolute()) for entry in sys.path]
    with contextlib.suppress(OSError):  # the process died: the pool notices when it next receives
        ours.send(([str(code), *path] if code else path, sys.argv))
        ours.send(task)
    return Worker(task, process, ours, output, failed_starts=failed_starts)


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Processes started here ignore Ctrl-C, which the terminal sends to all processes: the parent decides."""
    if threading.current_thread() is not threading.main_thread():  # signal.signal works in the main thread only
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
