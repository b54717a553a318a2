"""What a trainer is given besides its config: where it runs, whom it tells, and when it must stop."""

from collections.abc import Mapping
from typing import Protocol

import torch


class Context(Protocol):
    """The trainer's only way out; `ablate.run.worker` has the one that writes records."""

    device: torch.device

    def log(self, metrics: Mapping[str, float | int | str]) -> None:
        """Keep one row of metrics."""

    def progress(self, done: float, total: float) -> None:
        """Say how far the trial is, in steps of pretraining."""

    def stopping(self) -> bool:
        """Whether the trial must end now; the trainer then raises `Interrupted`."""


class Interrupted(Exception):
    """The context asked the trainer to stop before the end."""


class Diverged(Exception):
    """The loss is no longer a number."""


class Console:
    """A context that prints: `train(Config(), Console())` needs nothing else of ablate."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)

    def log(self, metrics: Mapping[str, float | int | str]) -> None:
        """Print one row."""
        print(
            "  ".join(
                f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in metrics.items()
            )
        )

    def progress(self, done: float, total: float) -> None:
        """Nothing: rows come once an epoch."""

    def stopping(self) -> bool:
        """Never."""
        return False
