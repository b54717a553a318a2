"""One trainer for a window of time: `python -m tests.bench.trainers ours|lightly START SECONDS THREADS`.

Prints the pairs a second of whole training steps, augmentation included, between the first step that ends
after START (seconds since 1970) and the last that ends within the window. Both train ResNet-8 at batch 256.
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from PIL import Image

from ablate.simclr import config
from ablate.simclr.base.device import autocast, keep_freed_memory
from ablate.simclr.base.vision import torchvision
from ablate.simclr.config import Config
from ablate.simclr.data.textures import draw
from ablate.simclr.model.encoder import ResNet
from ablate.trainer.contract import Interrupted
from ablate.trainer.world import ALONE
from tests.bench.common import LIGHTLY_LIKE

_BATCH, _IMAGES, _RATE = 256, 5120, 1e-3
_ENCODER = config.Encoder(name="resnet8", stem="strided")


class Window:
    """Counts steps within a window of time; the context of our trainer."""

    device = torch.device("cpu")
    world = ALONE
    checkpoints = None

    def __init__(self, start: float, seconds: float) -> None:
        self._start, self._end = start, start + seconds
        self._ends: list[float] = []

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Nothing."""

    def say(self, message: str) -> None:
        """Nothing."""

    def progress(self, done: int, total: int, now: Callable[[], Mapping[str, Any]]) -> None:
        """One step has ended."""
        if time.time() >= self._start:
            self._ends.append(time.time())

    def keep_correct(self, metric: str, correct: Iterable[bool]) -> None:
        """Nothing."""

    def stopping(self) -> bool:
        """Whether the window is over."""
        return time.time() >= self._end

    def pairs_per_second(self) -> float:
        """Between the first and the last step in the window."""
        return _BATCH * (len(self._ends) - 1) / (self._ends[-1] - self._ends[0])


def train_ours(window: Window) -> None:
    """`ablate.simclr.pretrain`, as a trial runs it."""
    from ablate.simclr.data.dataset import load
    from ablate.simclr.pretrain import pretrain

    keep_freed_memory()
    settings = Config.model_validate(
        {
            "batch_size": _BATCH,
            "epochs": 10_000,
            "data": {"name": "textures", "train_images": _IMAGES, "test_images": 10},
            "augment": LIGHTLY_LIKE,
            "encoder": _ENCODER.model_dump(),
            "head": {"output_dimension": 64},
            "optimizer": {"name": "adamw", "learning_rate": _RATE, "scaling": "none"},
        }
    )
    try:
        pretrain(settings, load(settings.data, window.device), window)
    except Interrupted:
        return


class Pictures(torch.utils.data.Dataset[Any]):
    """The same textures as PIL images, transformed when they are asked for."""

    def __init__(self, transform: Callable[[Image.Image], Any]) -> None:
        pixels, _ = draw(_IMAGES, 32, 0, "train")
        self._pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in pixels]
        self._transform = transform

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Any:
        return self._transform(self._pictures[index])


def train_lightly(window: Window) -> None:
    """The loop of lightly's SimCLR example, with our encoder and a loader of as many processes as threads."""
    assert torchvision  # makes lightly importable
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform

    loader = torch.utils.data.DataLoader(
        Pictures(SimCLRTransform(input_size=32)),
        batch_size=_BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=torch.get_num_threads(),
        persistent_workers=True,
    )
    model = torch.nn.Sequential(ResNet(_ENCODER), SimCLRProjectionHead(64, 64, 64))
    criterion = NTXentLoss(temperature=0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
    while not window.stopping():
        for first, second in loader:
            with autocast("auto", window.device):  # the number format that ours has here
                z = model(first), model(second)
            loss = criterion(z[0].float(), z[1].float())
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            window.progress(0, 0, dict)
            if window.stopping():
                return


if __name__ == "__main__":
    name, start, seconds, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    measured = Window(float(start), float(seconds))
    {"ours": train_ours, "lightly": train_lightly}[name](measured)
    print(measured.pairs_per_second())
