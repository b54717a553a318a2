"""What a trainer is given besides its config: where it runs, whom it tells, and when it must stop."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import torch

from ablate.simclr.distributed import ALONE, World

Metrics = Mapping[str, float | int | str]


class Context(Protocol):
    """The trainer's only way out; `ablate.run.worker` has the one that writes records."""

    device: torch.device
    world: World
    """The processes that compute the trial together."""
    checkpoints: Path | None
    """A folder of this pretraining's own, or None: nothing is saved."""

    def log(self, metrics: Metrics) -> None:
        """Keep one row of metrics."""

    def say(self, message: str) -> None:
        """Keep a sentence that a person should read."""

    def progress(self, done: int, total: int, now: Callable[[], Metrics]) -> None:
        """Say how far the trial is, in steps of pretraining.

        `now` tells the metrics of this moment; it waits for the device, so it is to be called now and then.
        """

    def stopping(self) -> bool:
        """Whether the trial must end now; the trainer then raises `Interrupted`."""


class Interrupted(Exception):
    """The context asked the trainer to stop before the end."""


class Diverged(Exception):
    """The loss is no longer a number."""


class Console:
    """A context that prints: `train(Config(), Console())` needs nothing else of ablate."""

    def __init__(
        self,
        device: str | torch.device = "cpu",
        checkpoints: Path | None = None,
        world: World = ALONE,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.device, self.checkpoints, self.world = torch.device(device), checkpoints, world
        self.stopping = stopping

    def log(self, metrics: Metrics) -> None:
        """Print one row, on the first rank."""
        shown = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in metrics.items()}
        self.say("  ".join(f"{name}={value}" for name, value in shown.items()))

    def say(self, message: str) -> None:
        """Print a sentence, on the first rank."""
        if self.world.first:
            print(message, flush=True)

    def progress(self, done: int, total: int, now: Callable[[], Metrics]) -> None:
        """Nothing: rows come once an epoch."""
