"""Sets of images and their labels: in memory, in a pack, joined, or a subset of others."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ablate.simclr.base.device import to_device
from ablate.trainer.contract import DataError

if TYPE_CHECKING:
    from ablate.simclr.data.packed import Packed

Rows = NDArray[np.int64]
_SEVERAL = -1


class Images(Protocol):
    """Square uint8 images; `shapes` (N, 2) has their original height and width, from which they were squashed."""

    size: int
    shapes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.shapes)

    def stream(self, orders: Iterable[Rows], device: torch.device) -> Iterator[Tensor]:
        """The images of each array of indices, uint8 (n, 3, size, size) on the device."""


class Resident(Images):
    """Images in the memory of the device: uint8 (N, 3, size, size)."""

    def __init__(self, pixels: Tensor, shapes: NDArray[np.int64] | None = None) -> None:
        self.pixels = pixels
        self.size = pixels.shape[-1]
        self.shapes = np.full((len(pixels), 2), self.size) if shapes is None else shapes

    def stream(self, orders: Iterable[Rows], device: torch.device) -> Iterator[Tensor]:
        """The images of each array of indices."""
        for order in orders:
            yield self.pixels.index_select(0, to_device(order, self.pixels.device))


class Chosen(Images):
    """Some rows of other images, or of a pack, which is read on demand."""

    def __init__(self, images: "Images | Packed", rows: Rows) -> None:
        self._images, self._rows = images, rows
        self.size, self.shapes = images.size, images.shapes[rows].astype(np.int64)

    def stream(self, orders: Iterable[Rows], device: torch.device) -> Iterator[Tensor]:
        """The images of each array of indices."""
        return self._images.stream((self._rows[order] for order in orders), device)


class Joined(Images):
    """The images of two sets, one after the other; both have the same stored size."""

    def __init__(self, first: Images, second: Images) -> None:
        self._first, self._second = first, second
        self.size, self.shapes = first.size, np.concatenate([first.shapes, second.shapes])

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
    """Images and their labels on the device: class indices int64 (N,), or (N, classes) if an image has several."""

    images: Images
    labels: Tensor
    names: Callable[[], Sequence[str]] | None = None
    """Reads the file names; None if there are none or they are not stored."""


def joined(first: Split, second: Split) -> Split:
    """Two splits joined into one."""
    return Split(Joined(first.images, second.images), torch.cat([first.labels, second.labels]))


def some_of(split: Split, rows: Rows) -> Split:
    """Some images of a split; those in memory are copied."""
    labels, names = split.labels[to_device(rows, split.labels.device)], split.names
    images: Images = Chosen(split.images, rows)
    if isinstance(split.images, Resident):
        pixels = split.images.pixels
        images = Resident(pixels.index_select(0, to_device(rows, pixels.device)), split.images.shapes[rows])
    return Split(images, labels, None if names is None else lambda: _picked(names(), rows))


def _picked(names: Sequence[str], rows: Rows) -> list[str]:
    return [names[row] for row in rows]


def balanced(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """About `count` sorted indices, equally many per class (one more for the first classes); all if there are fewer.

    The same arguments give the same images, and a smaller count gives a subset of a larger one.
    """
    classes = int(labels.max()) + 1
    quotas = (count // classes + (label < count % classes) for label in range(classes))
    return _of_each(labels, range(classes), quotas, seed)


def share_of_each(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """Sorted indices of the fraction `share` of every class, at least one image each (class-balanced, App. B.5)."""
    classes, counts = np.unique(labels, return_counts=True)
    return _of_each(labels, classes.tolist(), (max(1, round(share * count)) for count in counts.tolist()), seed)


def _of_each(labels: NDArray[np.int64], classes: Iterable[int], quotas: Iterable[int], seed: int) -> NDArray[np.int64]:
    chosen = []
    for label, quota in zip(classes, quotas, strict=True):
        of_class = np.flatnonzero(labels == label)
        chosen.append(np.random.default_rng([seed, label]).permutation(of_class)[:quota])
    return np.sort(np.concatenate(chosen))


def named(names: Sequence[str], file: Path) -> NDArray[np.int64]:
    """Sorted indices of the images named in a file, one per line (like the authors' imagenet_subsets/*.txt).

    A line may be <class>/<name>. Raises DataError if a name matches no image or several.
    """
    at: dict[str, int] = {}
    for index, name in enumerate(names):
        path = PurePosixPath(name)
        for key in {path.name, "/".join(path.parts[-2:])}:  # with or without its class
            at[key] = _SEVERAL if key in at else index
    wanted = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if missing := [name for name in wanted if name not in at]:
        message = f"{len(missing)} of {len(wanted)} images are not in the data set, first {missing[0]!r}"
        raise DataError(f"{file}: {message}")
    if several := [name for name in wanted if at[name] == _SEVERAL]:
        raise DataError(f"{file}: several images are called {several[0]!r}; write <class>/<name>")
    return np.sort(np.array([at[name] for name in wanted], np.int64))
