"""A data set as the trainer sees it, in memory or in a pack, and the ways to get one."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ablate.simclr.config.data import Data
from ablate.simclr.data import folder, textures
from ablate.simclr.data.listing import look
from ablate.simclr.data.packed import Packed, feed
from ablate.simclr.data.subset import balanced
from ablate.simclr.device import to_device

Rows = NDArray[np.int64]
_RESIDENT_BYTES = 2**29
"""What a CPU keeps in memory of a pack; above it, the pages that the system keeps serve all processes."""


class Images(Protocol):
    """Square uint8 images, squashed from `shapes` (N, 2) (height, width) where they were not square."""

    size: int
    shapes: NDArray[np.int64]

    def __len__(self) -> int: ...

    def stream(self, orders: Iterable[Rows], device: torch.device) -> Iterator[Tensor]:
        """The images of each array of indices, uint8 (n, 3, size, size) on the device."""


class Resident:
    """Images in the memory of the device: uint8 (N, 3, size, size)."""

    def __init__(self, pixels: Tensor, shapes: NDArray[np.int64] | None = None) -> None:
        self.pixels = pixels
        self.size = pixels.shape[-1]
        self.shapes = np.full((len(pixels), 2), self.size) if shapes is None else shapes

    def __len__(self) -> int:
        return len(self.pixels)

    def stream(self, orders: Iterable[Rows], device: torch.device) -> Iterator[Tensor]:
        """The images of each array of indices."""
        for order in orders:
            yield self.pixels.index_select(0, to_device(order, self.pixels.device))


class Paged:
    """Some rows of a pack, read while they are needed."""

    def __init__(self, packed: Packed, rows: Rows) -> None:
        self._packed, self._rows = packed, rows
        self.size, self.shapes = packed.size, packed.shapes[rows].astype(np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def stream(self, orders: Iterable[Rows], device: torch.device) -> Iterator[Tensor]:
        """The images of each array of indices, read ahead in a thread."""
        return feed(self._packed, (self._rows[order] for order in orders), device)


class Chosen:
    """Some rows of other images."""

    def __init__(self, images: Images, rows: Rows) -> None:
        self._images, self._rows = images, rows
        self.size, self.shapes = images.size, images.shapes[rows]

    def __len__(self) -> int:
        return len(self._rows)

    def stream(self, orders: Iterable[Rows], device: torch.device) -> Iterator[Tensor]:
        """The images of each array of indices."""
        return self._images.stream((self._rows[order] for order in orders), device)


class Joined:
    """Images of two sets, those of the first before those of the second; both of one stored size."""

    def __init__(self, first: Images, second: Images) -> None:
        self._first, self._second = first, second
        self.size, self.shapes = first.size, np.concatenate([first.shapes, second.shapes])

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def stream(self, orders: Iterable[Rows], device: torch.device) -> Iterator[Tensor]:
        """The images of each array of indices."""
        count = len(self._first)
        asked, of_first, of_second = itertools.tee(orders, 3)
        firsts = self._first.stream((order[order < count] for order in of_first), device)
        seconds = self._second.stream((order[order >= count] - count for order in of_second), device)
        for order, first, second in zip(asked, firsts, seconds, strict=True):
            places = np.concatenate([np.flatnonzero(order < count), np.flatnonzero(order >= count)])
            yield torch.cat([first, second]).index_select(0, to_device(places.argsort(), first.device))


@dataclass(frozen=True)
class Split:
    """Images and their class indices as int64 (N,) on the device; (N, classes) where an image has several."""

    images: Images
    labels: Tensor
    names: Callable[[], Sequence[str]] | None = None
    """Reads the file names; None where there are none, or they are not kept."""


@dataclass(frozen=True)
class Dataset:
    """Training and test images, and how many classes they have."""

    train: Split
    test: Split
    classes: int
    validation: Split | None = None
    metric: str = "top1"
    """What its users report: top1, mean_per_class or map11 (App. B.8)."""


def joined(first: Split, second: Split) -> Split:
    """Two splits as one."""
    return Split(Joined(first.images, second.images), torch.cat([first.labels, second.labels]))


@lru_cache(maxsize=1)
def load(data: Data, device: torch.device) -> Dataset:
    """The images of one setting, kept for the next trial of this process with the same setting.

    Raises ValueError or OSError, with the path, when a folder or a pack is not as it should be.
    """
    if data.name == "packed":
        return load_pack(data, device)
    if data.name == "folder":
        folder.check(data)
    splits = {}
    for split, count in (("train", data.train_images), ("test", data.test_images)):
        if data.name == "textures":
            assert count is not None  # checked by Data
            images, labels = textures.draw(count, data.image_size, seed=0, split=split)
        else:
            images, labels = folder.read(data, split)
        splits[split] = Split(Resident(torch.from_numpy(images).to(device)), torch.from_numpy(labels).to(device))
    return Dataset(splits["train"], splits["test"], classes=int(splits["train"].labels.max()) + 1)


def load_mixed_textures(data: Data, device: torch.device) -> Dataset:
    """As many textures as the data has, of other classes, to transfer to where there is no other data set."""
    assert data.train_images is not None  # both checked by Data
    assert data.test_images is not None
    train, test = (
        Split(Resident(torch.from_numpy(images).to(device)), torch.from_numpy(labels).to(device))
        for images, labels in (
            textures.draw_mixed(data.train_images, data.image_size, seed=0, split="train"),
            textures.draw_mixed(data.test_images, data.image_size, seed=0, split="test"),
        )
    )
    return Dataset(train, test, classes=len(textures.FAMILIES))


def load_pack(data: Data, device: torch.device) -> Dataset:
    """A pack's splits: in the device's memory where they fit well, else read while they are needed."""
    if data.root is None:
        raise ValueError("data.name = 'packed' needs data.root")
    if data.fingerprint is not None and look(data.root).fingerprint != data.fingerprint:
        raise ValueError(f"{data.root} is another pack than the run was planned for; start the run again")
    train = Packed(data.root, "train")
    return Dataset(
        _split(train, data.train_images, device),
        _split(Packed(data.root, "test"), data.test_images, device),
        len(train.classes),
        _split(Packed(data.root, "val"), None, device) if "val" in train.splits else None,
        train.metric,
    )


def _split(packed: Packed, count: int | None, device: torch.device) -> Split:
    labels = packed.labels.astype(np.int64)
    if count is not None and labels.ndim > 1:
        raise ValueError("data.train_images and data.test_images need images of one class each")
    rows = np.arange(len(packed)) if count is None else balanced(labels, count, seed=0)
    images: Images = Paged(packed, rows)
    if 3 * packed.size**2 * len(rows) <= _resident_bytes(device):
        images = Resident(packed.take(rows).to(device), packed.shapes[rows].astype(np.int64))

    def names() -> list[str]:
        known = packed.names
        return [known[row] for row in rows]

    return Split(images, torch.from_numpy(labels[rows]).to(device), names)


def _resident_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else _RESIDENT_BYTES
