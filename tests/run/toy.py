"""A trainer for tests: it does what its settings say, without a network or data."""

import os
import signal
import time
from pathlib import Path

from pydantic import BaseModel

from ablate.records.files import Results, write_json
from ablate.simclr.context import Context, Interrupted

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


def _raise(error: BaseException) -> None:
    raise error


ACTIONS = {
    "return": lambda config, context: {"accuracy": 0.5},
    "wait": _wait,
    "sleep": lambda config, context: time.sleep(config.seconds),
    "nan": lambda config, context: {"accuracy": float("nan")},
    "none": lambda config, context: None,
    "object": lambda config, context: {"model": object()},
    "raise": lambda config, context: _raise(RuntimeError("boom")),
    "exit": lambda config, context: _raise(SystemExit(3)),
    "ctrl-c": lambda config, context: _raise(KeyboardInterrupt()),
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
