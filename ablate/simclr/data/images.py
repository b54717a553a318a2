"""A data set in memory, and the two ways to get one."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ablate.simclr import config
from ablate.simclr.data import folder, textures


@dataclass(frozen=True)
class Split:
    """Images as uint8 (N, 3, size, size) and their class indices as int64 (N,)."""

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "Split":
        """The same on another device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """Training and test images, and how many classes they have."""

    train: Split
    test: Split
    classes: int


@lru_cache(maxsize=1)
def load(data: config.Data, device: torch.device) -> Dataset:
    """The images of one setting, kept for the next trial of this process with the same setting.

    Raises ValueError or OSError, with the path, when a folder is not as it should be.
    """
    if data.name == "folder":
        folder.check(data)
    splits = {}
    for split, count in (("train", data.train_images), ("test", data.test_images)):
        if data.name == "textures":
            assert count is not None  # checked by config.Data
            images, labels = textures.draw(count, data.image_size, seed=0, split=split)
        else:
            images, labels = folder.read(data, split)
        splits[split] = Split(torch.from_numpy(images), torch.from_numpy(labels)).to(device)
    return Dataset(splits["train"], splits["test"], classes=int(splits["train"].labels.max()) + 1)
