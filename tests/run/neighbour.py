"""A trainer for tests that changes its process, as trainers do, and looks at what it finds there."""

import atexit
import decimal
import fractions
import gc
import io
import logging
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel

from ablate.trainer.contract import Context

NAME = f"{__name__}:train"


class Settings(BaseModel):
    seed: int = 0
    changes: str = ""
    marker: Path | None = None


def train(config: Settings, context: Context) -> dict[str, str]:
    before = {name: str(look()) for name, (_, look) in HABITS.items()}
    if config.changes in HABITS:
        change, look = HABITS[config.changes]
        change()
        before["changed"] = str(look())
    elif config.changes:
        TRICKS[config.changes](config)
    return before | {"draws": f"{random.random()} {np.random.rand()}", "frozen": str(gc.get_freeze_count())}


def _umask() -> int:
    os.umask(found := os.umask(0))
    return found


def _no_stderr() -> None:
    sys.stderr.close()
    os.close(2)


def _is_open(descriptor: int) -> bool:
    try:
        return bool(os.fstat(descriptor))
    except OSError:
        return False


HABITS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "the default dtype": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "the number of threads": (lambda: torch.set_num_threads(3), torch.get_num_threads),
    "whether gradients are recorded": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "torch's random state": (lambda: torch.manual_seed(7), lambda: torch.get_rng_state().sum().item()),
    "the environment": (lambda: os.environ.update(NEIGHBOUR="x"), lambda: os.environ.get("NEIGHBOUR")),
    "the working folder": (lambda: os.chdir("/"), os.getcwd),
    "signal handlers": (
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        lambda: signal.getsignal(signal.SIGTERM) is signal.SIG_IGN,
    ),
    "stderr": (_no_stderr, lambda: (sys.stderr.closed, _is_open(2))),
    "descriptors": (lambda: os.closerange(0, 2), lambda: [_is_open(number) for number in range(3)]),
    "modules": (lambda: setattr(fractions, "Fraction", int), lambda: fractions.Fraction),
    "sys.path": (lambda: sys.path.insert(0, "/neighbour"), lambda: "/neighbour" in sys.path),
    "atexit": (lambda: atexit.register(print, "bye"), lambda: atexit._ncallbacks()),
    "threads": (lambda: threading.Thread(target=time.sleep, args=(60,)).start(), threading.active_count),
    "the umask": (lambda: os.umask(0o077), _umask),
    "limits": (
        lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        lambda: resource.getrlimit(resource.RLIMIT_CORE),
    ),
    "warnings": (lambda: warnings.simplefilter("error"), lambda: [each[0] for each in warnings.filters]),
    "logging": (lambda: logging.getLogger().setLevel(1), lambda: logging.getLogger().level),
    "decimal's precision": (lambda: setattr(decimal.getcontext(), "prec", 3), lambda: decimal.getcontext().prec),
    "the recursion limit": (lambda: sys.setrecursionlimit(5000), sys.getrecursionlimit),
}
"""What a trainer may change -> how it does, and what another one would see of it."""


class Panic(BaseException):
    """As Rust's panics come to Python."""

    def __str__(self) -> str:
        raise RuntimeError("no text either")


def _raise(error: BaseException) -> None:
    raise error


def _fork(config: Settings) -> None:
    """Fork as careless scripts do: the child goes on where the parent does."""
    if os.fork():
        assert config.marker
        while not config.marker.exists():
            time.sleep(0.01)
    elif config.marker:
        config.marker.touch()


def _sleepers(config: Settings) -> None:
    """One child, one in a session of its own, and one that was forked and inherited everything."""
    subprocess.Popen(["sleep", "1001"])
    subprocess.Popen(["sh", "-c", "sleep 1002 & sleep 1003"], start_new_session=True)
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1004)


def _cancelled(config: Settings) -> None:
    import asyncio

    raise asyncio.CancelledError("the loop was closed")


def _say_bye(config: Settings) -> None:
    assert config.marker
    atexit.register(config.marker.write_text, "bye")


TRICKS: dict[str, Callable[[Settings], Any]] = {
    "cancel": _cancelled,
    "panic": lambda config: _raise(Panic()),
    "exit a generator": lambda config: _raise(GeneratorExit()),
    "interrupt itself": lambda config: _raise(KeyboardInterrupt()),
    "exit": lambda config: _raise(SystemExit(3)),
    "os._exit": lambda config: os._exit(7),
    "fail without stderr": lambda config: (_no_stderr(), _raise(RuntimeError("boom"))),
    "fail with another stderr": lambda config: (
        setattr(sys, "stderr", io.StringIO()),
        _raise(RuntimeError("boom")),
    ),
    "fork": _fork,
    "leave sleepers": _sleepers,
    "leave a sleeper and die": lambda config: (subprocess.Popen(["sleep", "1005"]), os._exit(7)),
    "say bye": _say_bye,
}
"""What a trainer may do to the record of its own trial."""
