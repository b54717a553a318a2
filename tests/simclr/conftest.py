"""A config small enough to train in a second, and a context that keeps what it is told."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from ablate.simclr.config import Config
from ablate.simclr.data.images import Dataset, load


class Listener:
    """A context that keeps rows, and stops after a number of steps."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.device = torch.device("cpu")
        self.rows: list[Mapping[str, Any]] = []
        self.steps = 0
        self._stop_after = stop_after

    def log(self, metrics: Mapping[str, Any]) -> None:
        self.rows.append(metrics)

    def progress(self, done: int, total: int, now: Callable[[], Mapping[str, Any]]) -> None:
        self.steps = done

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
        "evaluate": {"epochs": 5},
    }
    return Config.model_validate(settings | changes)


@pytest.fixture
def data() -> Dataset:
    return load(small_config().data, torch.device("cpu"))
