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


class _Stop:
    """Whether this process was told to stop; it ends at once while it has no trial."""

    def __init__(self) -> None:
        self.asked = False
        self.busy = False
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup a closed terminal is no reason to stop
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        self.asked = True
        if not self.busy:
            raise SystemExit(0)


def serve(connection: Connection) -> None:
    """Serve the pool at the other end, which first sends results folder, index, threads and device.

    Says ("ready",), and of each key that it is sent ("begun", attempt), ("report", share, metrics) now and then,
    and ("outcome", outcome).
    """
    stop = _Stop()
    parent = os.getppid()
    faulthandler.enable()
    root, index, threads, device = connection.recv()
    import torch

    from ablate.run.worker import run_trial

    torch.set_num_threads(threads)
    device = pick_device(device, index)
    tell = _teller(connection)

    def stopping() -> bool:
        return stop.asked or os.getppid() != parent

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
                Results(root), key, "local", device, stopping, report, begun=lambda attempt: tell("begun", attempt)
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


def pick_device(device: str, index: int = 0) -> str:
    """The device of the worker of this index: `auto` is a GPU of its own where there is one."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return f"cuda:{index % torch.cuda.device_count()}" if device == "cuda" else device
