"""A trainer for tests: it does what its settings say, without a network or data."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ablate.records.files import Results, write_json
from ablate.run.mps import is_shared
from ablate.trainer.contract import Context, Interrupted

NAME = f"{__name__}:train"


class Settings(BaseModel):
    seed: int = 0
    does: str = "return"
    seconds: float = 0.0
    marker: Path | None = None


def train(config: Settings, context: Context) -> object:
    if config.marker:
        with config.marker.open("a") as file:
            file.write(f"{config.seed}\n")
    context.log({"step": 1, "accuracy": 0.25})
    return ACTIONS[config.does](config, context)


def _wait(config: Settings, context: Context) -> dict[str, float]:
    deadline = time.monotonic() + config.seconds
    while time.monotonic() < deadline:
        if context.stopping():
            raise Interrupted
        time.sleep(0.01)
    return {"accuracy": 0.5}


def _release(config: Settings, context: Context) -> dict[str, float]:
    time.sleep(config.seconds)
    context.say("the companions are released")
    context.release()
    time.sleep(config.seconds)
    return {"accuracy": 0.5}


def _with_another(config: Settings, action: Callable[[], object]) -> dict[str, float]:
    """Once two trials have begun, by the lines of their marker."""
    assert config.marker
    while len(config.marker.read_text().splitlines()) < 2:
        time.sleep(0.01)
    action()
    return {"accuracy": 0.5}


def _deep() -> Any:
    """Numbers in so many lists that one number per line, indented, is fourteen times as long as on one line."""
    value: Any = [0] * 300_000
    for _ in range(18):
        value = [value]
    return value


def _die_and_leave_a_process() -> None:
    subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 60 & wait; wait"])
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)


def _raise(error: BaseException) -> None:
    raise error


def _accelerator_error() -> BaseException:
    import torch

    return torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


ACTIONS = {
    "return": lambda config, context: {"accuracy": 0.5},
    "wait": _wait,
    "release": _release,
    "sleep": lambda config, context: time.sleep(config.seconds),
    "nan": lambda config, context: {"accuracy": float("nan")},
    "none": lambda config, context: None,
    "interrupt": lambda config, context: _raise(Interrupted()),
    "object": lambda config, context: {"model": object(), "accuracy": 0.5},
    "nan beside": lambda config, context: {"accuracy": 0.5, "seconds": 7.0, "key": "k", "worst": [1.0, float("nan")]},
    "right": lambda config, context: context.keep_correct("accuracy", [True, False]) or {"accuracy": 0.5},
    "right of another": lambda config, context: context.keep_correct("accuracy", [True]) or {"accuracy": 0.5},
    "large": lambda config, context: {"accuracy": 0.5, "one": _deep(), "two": _deep()},
    "text": lambda config, context: {"accuracy": "0.75", "loss": 2.0},
    "log": lambda config, context: context.log({"loss": [1, 2], "step": 2}) or {"accuracy": 0.5},
    "raise": lambda config, context: _raise(RuntimeError("boom")),
    "exit": lambda config, context: _raise(SystemExit(3)),
    "cancel": lambda config, context: _raise(asyncio.CancelledError("the loop was closed")),
    "ctrl-c": lambda config, context: _raise(KeyboardInterrupt()),
    "illegal access": lambda config, context: _raise(_accelerator_error()),
    "illegal access under MPS": lambda config, context: _with_another(
        config, lambda: _raise(_accelerator_error()) if is_shared() else None
    ),
    "die beside another": lambda config, context: _with_another(config, lambda: os.kill(os.getpid(), signal.SIGKILL)),
    "die beside another and leave a process": lambda config, context: _with_another(config, _die_and_leave_a_process),
    "abort under MPS": lambda config, context: _with_another(config, lambda: os.abort() if is_shared() else None),
    "die": lambda config, context: os.kill(os.getpid(), signal.SIGKILL),
    "full": lambda config, context: Path("/dev/full").write_text("x"),
    "full in a library": lambda config, context: _raise(RuntimeError("write failed: No space left on device")),
}


def ask(results: Results, *settings: Settings, recipe_version: int = 1) -> list[str]:
    """Write a trial.json for each of some settings; returns their keys."""
    keys = []
    for number, config in enumerate(settings):
        key = f"{number:03d}abc"
        spec = {"key": key, "pretrain_key": f"pre-{key}", "trainer": NAME, "recipe_version": recipe_version}
        write_json(results.trial(key).trial, {**spec, "config": config.model_dump(mode="json")})
        keys.append(key)
    return keys
