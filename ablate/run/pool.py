"""A pool of worker processes on this machine: each imports torch once and then trains trial after trial."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from ablate.errors import AblateError
from ablate.records.attempt import end_attempt_of_dead_process
from ablate.records.files import Results

_TICK_SECONDS = 0.25
_STOP_SECONDS = 60.0
"""What a worker has to finish its step and save its state before it is killed."""

Outcome = dict[str, Any]


@dataclass
class Worker:
    """One process, and the trial it is at."""

    process: SpawnProcess
    connection: Connection
    ready: bool = False
    """Whether it has imported the trainer and takes trials."""
    key: str | None = None
    share: float = 0.0
    metrics: Mapping[str, Any] = field(default_factory=dict)
    started: float = 0.0


class Pool:
    """Trains trials by their keys, `size` at once; use as a context manager."""

    def __init__(self, results: Results, size: int, threads: int, device: str) -> None:
        self._arguments = (results.root, threads, device)
        self.workers = [self._start(index) for index in range(size)]

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def run(self, pretrainings: Mapping[str, str], tick: Callable[[], None]) -> Iterator[tuple[str, Outcome]]:
        """Yield each key with its outcome as trials end; `tick` is called a few times a second.

        pretrainings: trial key -> pretrain key, in the order in which to start. Of trials that share a
        pretraining one is run at a time: the others find its end. A worker that dies is replaced, and its
        trial has failed with the cause `killed`.
        """
        waiting = list(pretrainings)
        while waiting or any(worker.key for worker in self.workers):
            for worker in self.workers:
                busy = {pretrainings[worker.key] for worker in self.workers if worker.key is not None}
                free = next((key for key in waiting if pretrainings[key] not in busy), None)
                if worker.key is None and free is not None:
                    waiting.remove(free)
                    self._give(worker, free)
            handles: dict[Any, Worker] = {
                handle: worker for worker in self.workers for handle in (worker.connection, worker.process.sentinel)
            }
            ready = {
                id(worker): worker
                for handle in wait(list(handles), timeout=_TICK_SECONDS)
                if (worker := handles[handle])
            }
            for worker in ready.values():
                key = worker.key
                outcome = self._hear(worker)
                if outcome is not None and key is not None:
                    yield key, outcome
            tick()

    def stop(self) -> None:
        """Ask all workers to stop at the next step, and end those that do not."""
        for worker in self.workers:
            if worker.process.is_alive():
                worker.process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for worker in self.workers:
            worker.process.join(max(0.1, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()

    def _start(self, index: int) -> Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, index, *self._arguments), name=f"ablate-{index}")
        with _ignoring_ctrl_c():
            process.start()
        theirs.close()
        return Worker(process, ours)

    def _give(self, worker: Worker, key: str) -> None:
        worker.key, worker.share, worker.metrics, worker.started = key, 0.0, {}, time.monotonic()
        worker.connection.send(key)

    def _hear(self, worker: Worker) -> Outcome | None:
        """What a worker has to say: an outcome, or None after a report; a death is an outcome too."""
        try:
            if not worker.connection.poll():
                raise EOFError
            kind, *content = worker.connection.recv()
        except (EOFError, OSError):
            return self._replace(worker)
        if kind == "ready":
            worker.ready = True
            return None
        if kind == "report":
            worker.share, worker.metrics = content
            return None
        worker.key = None
        outcome: Outcome = content[0]
        return outcome

    def _replace(self, worker: Worker) -> Outcome:
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if not worker.ready:
            raise AblateError(f"error: a worker process died while it started ({how})")
        worker.connection.close()
        index = self.workers.index(worker)
        self.workers[index] = self._start(index)
        message = f"its process died ({how})"
        if worker.key is not None:
            end_attempt_of_dead_process(Results(self._arguments[0]).trial(worker.key), "killed", message)
        return {"state": "failed", "cause": "killed", "message": message}


def _serve(connection: Connection, index: int, results: Path, threads: int, device: str) -> None:
    """A worker's life: take a key, train, tell the outcome; until told to stop or the parent is gone."""
    stop = False

    def on_terminate(number: int, frame: object) -> None:
        nonlocal stop
        stop = True
        if not busy:
            raise SystemExit(0)

    busy = False
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, on_terminate)
    import torch

    from ablate.run.worker import run_trial

    torch.set_num_threads(threads)
    device = pick_device(device, index)
    parent = os.getppid()

    def stopping() -> bool:
        return stop or os.getppid() != parent

    def report(share: float, metrics: Mapping[str, Any]) -> None:
        with _parent_may_be_gone():
            connection.send(("report", share, dict(metrics)))

    with _parent_may_be_gone():
        connection.send(("ready",))
    while not stop:
        try:
            key = connection.recv()
        except (EOFError, OSError):
            return
        busy = True
        outcome = run_trial(Results(results), key, "local", device, stopping, report)
        busy = False
        with _parent_may_be_gone():
            connection.send(("outcome", outcome))


@contextmanager
def _ignoring_ctrl_c() -> Iterator[None]:
    """A process started meanwhile never hears Ctrl-C, which goes to all processes: the parent decides."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _parent_may_be_gone() -> Iterator[None]:
    try:
        yield
    except OSError:
        return


def pick_device(device: str, index: int = 0) -> str:
    """The device of the worker of this index: `auto` is a GPU of its own where there is one."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return f"cuda:{index % torch.cuda.device_count()}" if device == "cuda" else device
