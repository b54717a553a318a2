"""On one GPU: how much of the model's own speed the whole loop keeps, lightly's loop beside it, and a long training.

    ABLATE_CIFAR10=DIR ABLATE_PACK=DIR python -m tests.bench gpu

ABLATE_CIFAR10: CIFAR-10 as an image folder. ABLATE_PACK (optional): a pack of photographs at 256 pixels, for ResNet-50
at 224. ABLATE_EPOCHS (default 200; 0 leaves it out): the long training. lightly is left out where it is not installed.
"""

import importlib.util
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ablate.simclr.config import Config
from ablate.simclr.context import Interrupted
from ablate.simclr.data.images import load
from ablate.simclr.distributed import ALONE
from ablate.simclr.model import make_model
from ablate.simclr.objective import contrastive_step
from ablate.simclr.optimizer import make_optimizer
from ablate.simclr.pretrain import pretrain
from ablate.simclr.trainer import train
from tests.bench.common import in_turn, ratio, spread

_WARM_UP, _STEPS = 20, 60


def measure(rounds: int = 5) -> dict[str, Any]:
    """All that can be measured here."""
    device = torch.device(os.environ.get("ABLATE_DEVICE", "cuda"))
    figures: dict[str, Any] = {"device": _name(device), "cores": len(os.sched_getaffinity(0))}
    figures["resnet18"] = _loop_and_model(_cifar10(), device, rounds, aim=0.95)
    if importlib.util.find_spec("lightly"):
        from tests.bench.gpu_lightly import pairs_per_second

        theirs = [pairs_per_second(_root(), device, _STEPS) for _ in range(2)]
        figures["lightly"] = {"pairs_per_second": spread(theirs), "aim": "ours at least 2 times it"}
        figures["lightly"]["ratio"] = figures["resnet18"]["loop"]["median"] / max(theirs)
    if pack := os.environ.get("ABLATE_PACK"):
        figures["resnet50"] = _loop_and_model(_photographs(Path(pack)), device, rounds, aim=0.9)
    if epochs := int(os.environ.get("ABLATE_EPOCHS", "200")):
        figures["long"] = _long(epochs, device)
    return figures


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _root() -> str:
    return os.environ["ABLATE_CIFAR10"]


def _cifar10(**changes: Any) -> Config:
    """ResNet-18 with the CIFAR stem, batch 512: App. B.9 and the authors' README."""
    settings = {
        "batch_size": int(os.environ.get("ABLATE_BATCH", "512")),
        "epochs": 100_000,
        "data": {"name": "folder", "root": _root(), "image_size": 32},
        "augment": {"transforms": ("crop", "color"), "color": {"strength": 0.5}},
        "encoder": {"name": "resnet18", "stem": "cifar"},
        "loss": {"temperature": 0.5},
        "optimizer": {"learning_rate": 1.0},
        "evaluate": {"parts": ("cached_linear", "knn")},
    }
    return Config.model_validate(settings | changes)


def _photographs(pack: Path) -> Config:
    """ResNet-50 at 224 pixels with the paper's augmentations."""
    settings = {
        "batch_size": int(os.environ.get("ABLATE_BATCH", "192")),
        "epochs": 100_000,
        "data": {"name": "packed", "root": pack, "image_size": 224, "center_crop": 0.875},
    }
    return Config.model_validate(settings)


class _Timed:
    """A context that stops after some steps and knows how long those after the warm-up took."""

    world, checkpoints = ALONE, None

    def __init__(self, device: torch.device) -> None:
        self.device, self._marks = device, [0.0, 0.0]
        self._over = False

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Nothing."""

    def say(self, message: str) -> None:
        """Nothing."""

    def progress(self, done: int, total: int, now: Callable[[], Mapping[str, Any]]) -> None:
        """Note the time at the first step that counts and at the last, the device waited for."""
        if done in (_WARM_UP, _WARM_UP + _STEPS):
            _wait(self.device)
            self._marks[done > _WARM_UP] = time.perf_counter()
        self._over = done >= _WARM_UP + _STEPS

    def stopping(self) -> bool:
        """After the last step that counts."""
        return self._over

    def seconds(self) -> float:
        """Of the steps that count."""
        return self._marks[1] - self._marks[0]


def _loop_and_model(config: Config, device: torch.device, rounds: int, aim: float) -> dict[str, Any]:
    """The pretraining as a trial runs it, and its model on batches that are ready on the device, in turn."""
    data = load(config.data, device)

    def loop() -> float:
        timed = _Timed(device)
        try:
            pretrain(config, data, timed)
        except Interrupted:
            return _STEPS * config.batch_size / timed.seconds()
        raise AssertionError("the training ended before it was stopped")

    def model() -> float:
        net = make_model(config, data.classes, device).train()
        optimizer = make_optimizer(config.optimizer, net.parts())
        size = config.data.image_size
        views = torch.rand(2 * config.batch_size, 3, size, size, device=device)
        labels = torch.zeros(config.batch_size, dtype=torch.long, device=device)
        alone = config.model_copy(update={"online_probe": False})
        for step in range(_WARM_UP + _STEPS):
            if step == _WARM_UP:
                _wait(device)
                began = time.perf_counter()
            net.zero_grad(set_to_none=True)
            contrastive_step(alone, net, views, labels)
            optimizer.step()
        _wait(device)
        return _STEPS * config.batch_size / (time.perf_counter() - began)

    figures = in_turn(rounds, {"loop": loop, "model": model})
    return {
        "unit": "pairs a second",
        "batch_size": config.batch_size,
        "aim": f"loop at least {aim} of model",
        **{name: spread(values) for name, values in figures.items()},
        "ratio": ratio(figures["loop"], figures["model"]),
    }


def _long(epochs: int, device: torch.device) -> dict[str, Any]:
    """CIFAR-10 for many epochs, and what it is worth."""
    timed = _Timed(device)
    timed.stopping = lambda: False  # type: ignore[method-assign]
    timed.progress = lambda done, total, now: None  # type: ignore[method-assign]
    began = time.perf_counter()
    found = train(_cifar10(epochs=epochs, warmup_epochs=min(10, epochs)), timed)
    kept = ("top1", "knn_top1", "online_test_top1", "loss", "pretrain_seconds", "evaluate_seconds", "precision")
    return {
        "epochs": epochs,
        "aim": "cached linear top-1 of at least 88 percent after 200 epochs",
        "seconds": time.perf_counter() - began,
        "seconds_an_epoch": float(found["pretrain_seconds"]) / epochs,
        **{name: found[name] for name in kept},
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
