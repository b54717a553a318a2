"""Feeding photographs to training: batches from a pack against ImageFolder behind a DataLoader of 2 processes."""

import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablate.simclr.base.vision import torchvision
from ablate.simclr.data.pack import pack
from ablate.simclr.data.packed import Packed, feed
from tests.bench.common import in_turn, ratio, spread

_SIZE, _CROP, _BATCH, _EPOCHS = 256, 224, 64, 5
_ARCHIVE = "ABLATE_IMAGENET_SAMPLE"


def measure(rounds: int = 3) -> dict[str, Any]:
    """Both in turn over the same shuffled photographs, from the file cache."""
    with tempfile.TemporaryDirectory() as folder:
        source = _unpack(Path(folder))
        began = time.perf_counter()
        pack(source, Path(folder) / "pack", _SIZE)
        seconds = time.perf_counter() - began
        packed = Packed(Path(folder) / "pack", "train")
        figures = in_turn(rounds, {"ours": lambda: _rate(_ours(packed)), "torchvision": lambda: _rate(_theirs(source))})
        packing = 2 * len(packed) / seconds  # train and its copy as test
    return {
        "unit": "images a second, shuffled, batch 64, uint8 on the CPU, files in the system's cache",
        "aim": "at least 3 times torchvision",
        "ours_is": "feed() over a pack of 256 x 256, whole images; training crops them later, on its device",
        "torchvision_is": "ImageFolder, Resize(256), CenterCrop(224), PILToTensor, a DataLoader with 2 processes",
        **{name: spread(values) for name, values in figures.items()},
        "ratio": ratio(figures["ours"], figures["torchvision"]),
        "packing_images_per_second": round(packing, 1),
    }


def _unpack(folder: Path) -> Path:
    """The archive as an image folder; ImageNet's sample has no test images, so those of training stand for them."""
    archive = os.environ.get(_ARCHIVE)
    if not archive:
        raise SystemExit(f"error: {_ARCHIVE} must name an archive of photographs as train/<class>/*")
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "sample", filter="data")
    (train,) = (folder / "sample").glob("**/train")
    (train.parent / "test").symlink_to(train)
    return train.parent


def _rate(epoch: Callable[[], Iterable[torch.Tensor]]) -> float:
    """Images a second; one epoch before the clock starts, in which processes start and files come from disk."""
    _read(epoch())
    began = time.perf_counter()
    images = sum(_read(epoch()) for _ in range(_EPOCHS))
    return images / (time.perf_counter() - began)


def _read(batches: Iterable[torch.Tensor]) -> int:
    """The number of images; of each, something is read."""
    return sum(len(batch[:, 0, 0, 0].tolist()) for batch in batches)


def _ours(packed: Packed) -> Callable[[], Iterable[torch.Tensor]]:
    generator = np.random.default_rng(0)

    def epoch() -> Iterable[torch.Tensor]:
        order = generator.permutation(len(packed))
        return feed(packed, np.split(order, range(_BATCH, len(order), _BATCH)), torch.device("cpu"))

    return epoch


def _theirs(source: Path) -> Callable[[], Iterable[torch.Tensor]]:
    transforms = torchvision.transforms
    steps = (transforms.Resize(_SIZE), transforms.CenterCrop(_CROP), transforms.PILToTensor())
    images = torchvision.datasets.ImageFolder(source / "train", transforms.Compose(steps))
    loader = torch.utils.data.DataLoader(images, _BATCH, shuffle=True, num_workers=2, persistent_workers=True)
    return lambda: (batch for batch, _ in loader)
