"""A pool of worker processes on this machine: each imports torch once and then trains trial after trial."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, Any

from ablate.errors import AblateError
from ablate.records.attempt import State, end_attempt_of_dead_process
from ablate.records.files import Results
from ablate.run.memory import held_memory
from ablate.run.stops import STOPS, interruption

_TICK_SECONDS = 0.25
_STOP_SECONDS = 60.0
"""What a worker has to finish its step and save its state before it is killed."""
_SILENT_SECONDS = 5.0
_GIVEN_AT_MOST = 3
"""A trial whose worker died before it began it, so often, has failed."""
_LAST_BYTES, _LAST_LINES = 4000, 8
_BOOTSTRAP = (
    "import sys; from multiprocessing.connection import Connection; pool = Connection(int(sys.argv[1])); "
    "sys.path[:], sys.argv[:] = pool.recv(); from ablate.run.serve import serve; serve(pool)"
)
"""Not multiprocessing's spawn: that would run the main module of whoever calls again, and import ablate from there."""

Outcome = dict[str, Any]


@dataclass
class Worker:
    """One process, and the trial it is at."""

    process: subprocess.Popen[bytes]
    connection: Connection
    output: IO[bytes]
    """What it prints while it has no trial."""
    ready: bool = False
    """Whether it has imported the trainer and takes trials."""
    key: str | None = None
    attempt: str | None = None
    """The attempt's name, once there is one."""
    share: float = 0.0
    metrics: Mapping[str, Any] = field(default_factory=dict)
    too_much: str | None = None
    """What it held, where it was ended for that."""


class Pool:
    """Trains trials by their keys, `size` at once; use as a context manager.

    code: the folder that workers import ablate and the trainer from; without it, from where this process does.
    place: what attempts are named after. shared: the workers have one job's cores and GPUs between them, and each keeps
    to its part. memory: what each of several workers may hold in MiB; one that holds more is ended.
    """

    def __init__(
        self,
        results: Results,
        size: int,
        threads: int,
        device: str,
        code: Path | None = None,
        place: str = "local",
        shared: bool = False,
        memory: int | None = None,
    ) -> None:
        self._results, self._code, self._memory = results, code, memory if size > 1 else None
        self._arguments = (threads, device, place, size if shared else 1)
        self._given: Counter[str] = Counter()
        self.workers: list[Worker] = []
        for index in range(size):
            self.workers.append(self._start(index))

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def run(self, pretrainings: Mapping[str, str], tick: Callable[[], None]) -> Iterator[tuple[str, Outcome]]:
        """Yield each key with its outcome as trials end; `tick` is called a few times a second.

        pretrainings: trial key -> pretrain key, in the order in which to start. Of trials that share a
        pretraining one is run at a time: the others find its end. A worker that dies is replaced, and its
        trial has failed with the cause `killed`; a trial that it had not begun is given to another.
        """
        waiting = list(pretrainings)
        while waiting or any(worker.key for worker in self.workers):
            for worker in self.workers:
                busy = {pretrainings[worker.key] for worker in self.workers if worker.key is not None}
                free = next((key for key in waiting if pretrainings[key] not in busy), None)
                if worker.key is None and free is not None:
                    waiting.remove(free)
                    self._give(worker, free)
            for worker in self._with_news(_TICK_SECONDS):
                key = worker.key
                try:
                    outcome = _hear(worker)
                except EOFError:
                    outcome = self._replace(worker)
                    if key is not None and outcome is None:
                        waiting.insert(0, key)
                if outcome is not None and key is not None:
                    yield key, outcome
            self._end_those_that_hold_too_much()
            tick()

    def stop(self, cause: str = "stopped") -> list[tuple[str, Outcome]]:
        """Ask all workers to stop at the next step, and end those that do not; returns how their trials ended.

        cause: one of `ablate.run.stops.STOPS`.
        """
        for worker in self.workers:
            worker.process.send_signal(STOPS[cause])
        outcomes = []
        began = time.monotonic()
        while self.workers:
            for worker in self.workers:
                if time.monotonic() - began > (_STOP_SECONDS if worker.key else _SILENT_SECONDS):
                    worker.process.kill()
            for worker in self._with_news(_TICK_SECONDS):
                key = worker.key
                try:
                    outcome = _hear(worker)
                except EOFError:
                    outcome = self._bury(worker, "interrupted", *self._not_in_time(worker, cause))
                    self.workers.remove(worker)
                if outcome is not None and key is not None:
                    outcomes.append((key, outcome))
        return outcomes

    def _start(self, index: int) -> Worker:
        ours, theirs = multiprocessing.Pipe()
        output = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the worker
        descriptor = theirs.fileno()
        with _ignoring_ctrl_c(), theirs:
            process = subprocess.Popen(
                (sys.executable, "-P", "-c", _BOOTSTRAP, str(descriptor)),  # -P: nothing of the working folder yet
                pass_fds=(descriptor,),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        path = [str(Path(entry).absolute()) for entry in sys.path]
        with contextlib.suppress(OSError):  # it died: that is heard of where all deaths are
            ours.send(([str(self._code), *path] if self._code else path, sys.argv))
            ours.send((self._results.root.absolute(), index, *self._arguments))  # a trainer may change its folder
        return Worker(process, ours, output)

    def _end_those_that_hold_too_much(self) -> None:
        for worker in self.workers if self._memory else ():
            under_way = worker.key and worker.attempt and not worker.too_much
            held = held_memory(worker.process.pid) if under_way else 0
            if held > (self._memory or held):
                worker.too_much = f"it held {held} MiB, and its part of the job's memory is {self._memory} MiB"
                worker.process.kill()

    def _give(self, worker: Worker, key: str) -> None:
        worker.key, worker.attempt, worker.share, worker.metrics = key, None, 0.0, {}
        self._given[key] += 1
        with contextlib.suppress(OSError):  # it died: as above
            worker.connection.send(key)

    def _with_news(self, seconds: float) -> list[Worker]:
        """Workers that said something or died."""
        heard = set(map(id, wait([worker.connection for worker in self.workers], timeout=seconds)))
        return [
            worker for worker in self.workers if id(worker.connection) in heard or worker.process.poll() is not None
        ]

    def _replace(self, worker: Worker) -> Outcome | None:
        """Start another worker for one that died; the outcome of its trial, or None where it had begun none.

        Raises AblateError for one that died while it started, as all others would.
        """
        how = _death(worker)
        if not worker.ready:
            raise AblateError(
                "\n  ".join((f"error: a worker process died while it started ({how})", *_printed(worker)))
            )
        cause, message = (
            ("out_of_memory", worker.too_much) if worker.too_much else ("killed", f"its process died ({how})")
        )
        outcome = self._bury(worker, "failed", cause, message)
        index = self.workers.index(worker)
        self.workers[index] = self._start(index)
        return outcome

    def _not_in_time(self, worker: Worker, cause: str) -> tuple[str, str]:
        """Cause and message of what a worker was at that did not stop when it was asked to."""
        message = f"it did not stop within {_STOP_SECONDS:.0f} s ({_death(worker)})"
        if worker.key is None or worker.attempt is None:
            return cause, message
        cause, then = interruption(self._results, worker.key, worker.attempt, cause)
        return cause, f"{message}; {then}"

    def _bury(self, worker: Worker, state: State, cause: str, message: str) -> Outcome | None:
        """Write the end of a dead worker's attempt, which it could not write; None where it had begun none."""
        worker.connection.close()
        worker.output.close()
        if worker.key is None:
            return None
        folder = self._results.trial(worker.key)
        if worker.attempt is None:
            told = f"{message} before the trial began, {_GIVEN_AT_MOST} times"
            often = self._given[worker.key] >= _GIVEN_AT_MOST
            return {"state": state, "cause": cause, "message": told} if often else None
        if folder.result.exists():
            return {"state": "done", "attempt": worker.attempt}
        end_attempt_of_dead_process(folder.attempts / worker.attempt, state, cause, message)
        return {"state": state, "cause": cause, "message": message, "attempt": worker.attempt}


def _hear(worker: Worker) -> Outcome | None:
    """Take note of one thing that a worker says; its outcome, if it is that. Raises EOFError where the worker died."""
    try:
        if not worker.connection.poll():
            raise EOFError
        kind, *content = worker.connection.recv()
    except OSError as error:
        raise EOFError from error
    if kind == "ready":
        worker.ready = True
    elif kind == "begun":
        (worker.attempt,) = content
    elif kind == "report":
        worker.share, worker.metrics = content
    else:
        worker.key = None
        outcome: Outcome = content[0]
        return outcome
    return None


def _death(worker: Worker) -> str:
    """How a worker's process ended; one that only fell silent is ended."""
    try:
        code = worker.process.wait(_SILENT_SECONDS)
    except subprocess.TimeoutExpired:
        worker.process.kill()
        code = worker.process.wait()
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _printed(worker: Worker) -> list[str]:
    """The last lines of what a worker printed outside of trials."""
    size = os.fstat(worker.output.fileno()).st_size
    text = os.pread(worker.output.fileno(), _LAST_BYTES, max(0, size - _LAST_BYTES)).decode(errors="replace")
    return [line for line in text.splitlines() if line.strip()][-_LAST_LINES:]


@contextmanager
def _ignoring_ctrl_c() -> Iterator[None]:
    """A process started meanwhile never hears Ctrl-C, which goes to all processes: the parent decides."""
    if threading.current_thread() is not threading.main_thread():  # only that one may say
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
