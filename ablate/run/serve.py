"""What a worker process does: it imports torch once, trains trial after trial, and reports to the pool."""

import contextlib
import faulthandler
import gc
import importlib
import mmap
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.plans import read_plan
from ablate.records.provenance import provenance
from ablate.records.reading import read_trial
from ablate.run import gpu
from ablate.run.causes import CAUSES, GPU_ERROR, Outcome
from ablate.run.fresh import CAN_FORK, Forked, Send, adopt_orphans, leave, sender, train_in_fork
from ablate.run.machine import pick_device, take_cores
from ablate.run.worker import Task

_WATCH_SECONDS = 0.5
_Given = tuple[str, dict[str, str], list[str]]
"""A trial's key, its environment variables, and the keys of its companions."""


class _Stop:
    """Whether and why this process must stop; without a trial it exits at once."""

    def __init__(self) -> None:
        self._asked: str | None = None
        self._told = mmap.mmap(-1, 1)  # the signal's number, for a trial's process whose trainer has replaced handlers
        self.busy = False
        self._trial: Forked | None = None
        self._number: int | None = None
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup, a closed terminal must not stop it
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        self._asked, self._number = CAUSES.get(signal.Signals(number), "stopped"), number
        if self._trial:
            self.pass_on_to(self._trial)
        elif not self.busy:
            os._exit(0)

    @property
    def asked(self) -> str | None:
        """The cause for which this process, or the worker that forked it, was asked to stop."""
        received = self._told[0]
        return self._asked or (CAUSES.get(signal.Signals(received), "stopped") if received else None)

    def pass_on_to(self, trial: Forked) -> None:
        """Pass signals on to the process of a trial, also one that came before."""
        self._trial = trial
        if self._number is not None:
            self._told[0] = self._number
            trial.signal(self._number)

    @contextmanager
    def with_trial(self) -> Iterator[None]:
        """Within, a signal lets the trial save its state."""
        self.busy = True
        try:
            yield
        finally:
            self.busy, self._trial = False, None


def serve(connection: Connection, pool: int, imported: Callable[[], None]) -> None:
    """The process's side: train what the pool sends, until it is told to stop or the pool is gone.

    pool: its process. imported: called when everything is imported, so that the watching thread can stop.
    Receives a `Task`, then for each trial what `_Given` has. Sends ("ready",), and for each trial ("begun", attempt,
    process), ("report", share, metrics) now and then, ("released",) once others may have the companions, and
    ("outcome", outcome), or ("lost",) and ("died", how) if only the trial's process did.
    """
    stop = _Stop()
    faulthandler.enable()
    task: Task = connection.recv()
    _warm_up()
    adopt_orphans()
    imported()
    send = sender(connection)
    send("ready")
    while (given := _next_trial(connection, pool)) and not stop.asked:
        key, *_ = given
        with stop.with_trial():
            if task.fresh and CAN_FORK:
                _read_ahead(Results(task.results), key)
                attempts = Results(task.results).trial(key).attempts
                train = partial(_train_alone, task, given, stop, os.getpid(), attempts)
                train_in_fork(train, send, stop.pass_on_to, lambda: os.getppid() != pool, attempts)
                continue
            outcome = _train(task, given, stop, pool, send)
        if task.fresh or outcome.get("cause") == GPU_ERROR:  # the pool starts another one in its place
            break
    leave()


def _warm_up() -> None:
    """Import what every trial needs, and find out what every record says of this machine; use no GPU and no thread.

    Python's collector leaves all of that alone from now on. In the process of a trial, it would otherwise write to the
    pages of every object, and so copy them: more than a tenth of a second per trial.
    """
    for module in ("torch", "numpy.random", "ablate.run.attempt", "ablate.trainer.world"):
        importlib.import_module(module)
    provenance()
    gc.collect()
    gc.freeze()


def _read_ahead(results: Results, key: str) -> None:
    """Read the plan of a trial, which stays in memory for the processes of all its trials: each would read it again."""
    with contextlib.suppress(OSError, ValueError, UserError):  # the trial's own process says what is wrong
        if plan := read_trial(results.trial(key).trial).plan:
            read_plan(results.root / plan)


def _next_trial(connection: Connection, pool: int) -> _Given | None:
    """What the pool sends for the next trial; None if the pool is gone."""
    with contextlib.suppress(OSError, EOFError):
        while os.getppid() == pool:
            if connection.poll(_WATCH_SECONDS):
                given: _Given = connection.recv()
                return given
    return None


def _train_alone(task: Task, given: _Given, stop: _Stop, parent: int, attempts: Path, send: Send) -> Path | None:
    """Train the only trial of this process; returns the folder of its attempt."""
    outcome = _train(task, given, stop, parent, send)
    return attempts / outcome["attempt"] if "attempt" in outcome else None


def _train(task: Task, given: _Given, stop: _Stop, parent: int, send: Send) -> Outcome:
    """Train one trial in this process; returns how it ended. parent: stop if that is gone."""
    key, environment, companions = given
    os.environ.update(environment)
    import torch

    from ablate.run.attempt import run_trial

    torch.set_num_threads(task.threads)
    device = pick_device(task.device, task.index)
    if task.shared and task.workers > 1:
        take_cores(task.index, task.workers, task.threads)
    if device.startswith("cuda"):
        gpu.use(device, gpu.workers_on(task.device, task.index, task.workers))

    def stopping() -> str | None:
        return stop.asked or ("stopped" if os.getppid() != parent else None)

    def report(share: float, metrics: Mapping[str, Any]) -> None:
        send("report", share, dict(metrics))

    def begun(attempt: str) -> None:
        send("begun", attempt, os.getpid())

    train = partial(run_trial, begun=begun, companions=companions, release=partial(send, "released"))
    outcome = train(Results(task.results), key, task.place, device, stopping, report)
    gpu.is_dead(device)  # waits for what is under way: under MPS, a process that ends before it may disturb others
    send("outcome", outcome)
    return outcome
