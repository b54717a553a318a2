"""A worker process's life: take a trial, run it, tell how it ended; until told to stop, or its parent is gone."""

import contextlib
import faulthandler
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from ablate.records.files import Results
from ablate.run.stops import CAUSES


class _Stop:
    """Whether this process was told to stop, and why; it ends at once while it has no trial."""

    def __init__(self) -> None:
        self.asked: str | None = None
        self.busy = False
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup a closed terminal is no reason to stop
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        self.asked = CAUSES.get(signal.Signals(number), "stopped")
        if not self.busy:
            raise SystemExit(0)


def serve(connection: Connection) -> None:
    """Serve the pool at the other end.

    It first sends results folder, index, threads, device, place, and how many workers have one job between them.

    Says ("ready",), and of each key that it is sent ("begun", attempt), ("report", share, metrics) now and then,
    and ("outcome", outcome).
    """
    stop = _Stop()
    parent = os.getppid()
    faulthandler.enable()
    root, index, threads, device, place, beside = connection.recv()
    import torch

    from ablate.run.worker import run_trial

    torch.set_num_threads(threads)
    device = pick_device(device, index)
    if beside > 1:
        _keep_to_own_part(index, beside, threads, device)
    tell = _teller(connection)

    def stopping() -> str | None:
        return stop.asked or ("stopped" if os.getppid() != parent else None)

    def report(share: float, metrics: Mapping[str, Any]) -> None:
        tell("report", share, dict(metrics))

    tell("ready")
    while not stopping():
        try:
            key = connection.recv()
        except (EOFError, OSError):
            return
        with _busy(stop):
            outcome = run_trial(
                Results(root), key, place, device, stopping, report, begun=lambda attempt: tell("begun", attempt)
            )
            tell("outcome", outcome)


def _teller(connection: Connection) -> Callable[..., None]:
    def tell(*message: Any) -> None:
        with contextlib.suppress(OSError):  # the parent may be gone
            connection.send(message)

    return tell


@contextmanager
def _busy(stop: _Stop) -> Iterator[None]:
    stop.busy = True
    try:
        yield
    finally:
        stop.busy = False


def _keep_to_own_part(index: int, beside: int, threads: int, device: str) -> None:
    """Take cores of one's own, where the job was given just as many as its workers need, and a part of the GPU."""
    import torch

    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) == beside * threads < (os.cpu_count() or 1):
        os.sched_setaffinity(0, cores[index * threads : (index + 1) * threads])
    if device.startswith("cuda"):
        on_one = -(-beside // torch.cuda.device_count())
        torch.cuda.set_per_process_memory_fraction(1 / on_one, device)


def pick_device(device: str, index: int = 0) -> str:
    """The device of the worker of this index: `auto` is a GPU of its own where there is one."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return f"cuda:{index % torch.cuda.device_count()}" if device == "cuda" else device
