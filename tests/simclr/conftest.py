"""A config small enough to train in a second, and a context that keeps what it is told."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ablate.simclr import graph
from ablate.simclr.config import Config
from ablate.simclr.data.dataset import Dataset, load
from ablate.simclr.data.images import Resident, Split
from ablate.simclr.model.optimizer import learning_rate
from ablate.trainer.contract import Companion
from ablate.trainer.world import ALONE, World


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """As each trial has: threads of several test processes that wait for one another take a hundred times as long."""
    torch.set_num_threads(1)


class Listener:
    """A context that keeps rows, and stops after a number of steps."""

    def __init__(self, stop_after: int | None = None, checkpoints: Path | None = None, world: World = ALONE) -> None:
        self.device, self.world, self.checkpoints = torch.device("cpu"), world, checkpoints
        self.rows: list[Mapping[str, Any]] = []
        self.said: list[str] = []
        self.correct: dict[str, list[bool]] = {}
        self.companions: list[Companion] = []
        self.released = False
        self.steps = 0
        self._stop_after = stop_after

    def log(self, metrics: Mapping[str, Any]) -> None:
        self.rows.append(metrics)

    def say(self, message: str) -> None:
        self.said.append(message)

    def progress(self, done: int, total: int, now: Callable[[], Mapping[str, Any]]) -> None:
        self.steps = done

    def keep_correct(self, metric: str, correct: Iterable[bool]) -> None:
        self.correct[metric] = list(correct)

    def release(self) -> None:
        self.released = True

    def stopping(self) -> bool:
        return self.steps == self._stop_after


def small_config(**changes: Any) -> Config:
    settings: dict[str, Any] = {
        "batch_size": 16,
        "epochs": 2,
        "warmup_epochs": 0.5,
        "data": {"name": "textures", "image_size": 16, "train_images": 72, "test_images": 40},
        "encoder": {"name": "resnet8", "stem": "strided"},
        "head": {"output_dimension": 8},
        "optimizer": {"name": "adamw", "learning_rate": 0.01, "scaling": "none"},
        "evaluate": {"parts": ["cached_linear"]},
    }
    return Config.model_validate(settings | changes)


def only(split: Split, count: int) -> Split:
    """The first images of a split."""
    assert isinstance(split.images, Resident)
    return Split(Resident(split.images.pixels[:count]), split.labels[:count])


@pytest.fixture
def data() -> Dataset:
    return load(small_config().data, torch.device("cpu"))


def record_on_cpu(monkeypatch: pytest.MonkeyPatch, record: Callable[..., Any]) -> None:
    """Let trainings record graphs on the CPU, with learning rates rounded as a graph's: a training magnifies that."""

    def rounded(*arguments: Any, **keywords: Any) -> float:
        return float(np.float32(learning_rate(*arguments, **keywords)))

    monkeypatch.setattr("ablate.simclr.training.learning_rate", rounded)
    monkeypatch.setattr(graph, "_DEVICE", "cpu")
    monkeypatch.setattr(graph, "beside", contextlib.nullcontext)
    monkeypatch.setattr(graph, "record", record)
