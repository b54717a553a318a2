"""A trial's data set: training and test images from textures, a folder or a pack, and samples of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ablate.simclr.base.device import free_memory
from ablate.simclr.config import Data
from ablate.simclr.data import folder, textures
from ablate.simclr.data.images import (
    Chosen,
    Images,
    Resident,
    Split,
    balanced,
    share_of_each,
    some_of,
)
from ablate.simclr.data.listing import find_images, look
from ablate.simclr.data.packed import Packed
from ablate.trainer.contract import DataError

_CHANGED = "has changed since the run was planned; start the run again"
_NAMED = 5
"""At most this many images that were left out are named."""
_RESIDENT_BYTES = 2**29
"""Largest pack that a CPU keeps in memory; larger ones rely on the system's page cache, which processes share."""


@dataclass(frozen=True)
class Dataset:
    """Training and test images, and the number of classes."""

    train: Split
    test: Split
    classes: int
    validation: Split | None = None
    metric: str = "top1"
    """The data set's usual metric: top1, mean_per_class or map11 (App. B.8)."""
    notes: tuple[str, ...] = ()
    """Sentences about images that were left out or converted."""


@lru_cache(maxsize=1)
def load(data: Data, device: torch.device) -> Dataset:
    """The images of a setting, cached for the next trial of this process with the same setting.

    Raises DataError or OSError, with the path, if a folder or a pack is invalid.
    """
    if data.name == "packed":
        return load_pack(data, device)
    if data.name == "folder":
        root_of(data, _CHANGED)
        return _load_folder(data, device)

    def read(split: str) -> Split:
        count = data.train_images if split == "train" else data.test_images
        assert count is not None  # checked by Data
        return _resident(*textures.draw(count, data.image_size, seed=0, split=split), device)

    train, test = _splits(data, read)
    return Dataset(train, test, classes=int(train.labels.max()) + 1)


def _splits(data: Data, read: Callable[[str], Split]) -> tuple[Split, Split]:
    """The images to train on and those to test on; with `data.validation`, the latter are training images as well.

    Then the test images are not read. read: reads a split. Raises DataError for images of several classes.
    """
    train = read("train")
    if data.validation is None:
        return train, read("test")
    if train.labels.ndim > 1:
        raise DataError("data.validation needs labeled images, with one class per image")
    labels = train.labels.cpu().numpy()
    held = share_of_each(labels, data.validation, seed=0)
    return some_of(train, np.setdiff1d(np.arange(len(labels)), held)), some_of(train, held)


def _load_folder(data: Data, device: torch.device) -> Dataset:
    """The images of a folder or list. Without labels, all are of one class; without test images, `test` is empty."""
    assert data.root is not None  # checked by `root_of`
    said: list[str] = []

    def read(split: str) -> Split:
        decoded, labels = folder.read(data, split)
        if decoded.mistakes:
            named = "; ".join(decoded.mistakes[:_NAMED])
            said.append(f"unreadable images left out of {split}: {len(decoded.mistakes):,} ({named})")
        said.extend(f"images of {split} that are {what}: {count:,}" for what, count in sorted(decoded.changes.items()))
        return _resident(decoded.pixels, labels, device)

    train, test = _splits(data, read)
    classes = len(find_images(data.root, data.split).classes)
    return Dataset(train, test, max(1, classes), notes=tuple(said))


def root_of(data: Data, changed: str) -> Path:
    """The folder or pack of the data. Raises DataError if it is not set, or not as the trial was planned with.

    changed: what to say then.
    """
    if data.root is None:
        raise DataError(f"data.name = '{data.name}' needs data.root")
    if data.fingerprint is not None and look(data.root, data.split).fingerprint != data.fingerprint:
        raise DataError(f"{data.root} {changed}")
    return data.root


def load_mixed_textures(data: Data, device: torch.device) -> Dataset:
    """As many textures as the data have images, of other classes: the transfer target without another data set."""
    assert data.train_images is not None  # both checked by Data
    assert data.test_images is not None
    train, test = (
        _resident(*textures.draw_mixed(count, data.image_size, seed=0, split=split), device)
        for split, count in (("train", data.train_images), ("test", data.test_images))
    )
    return Dataset(train, test, classes=len(textures.FAMILIES))


def _resident(images: NDArray[np.uint8], labels: NDArray[np.int64], device: torch.device) -> Split:
    return Split(Resident(torch.from_numpy(images).to(device)), torch.from_numpy(labels).to(device))


def load_pack(data: Data, device: torch.device) -> Dataset:
    """A pack's splits: in the device's memory if they fit well, otherwise read on demand."""
    root = root_of(data, "is not the pack that the run was planned with; start the run again")
    counts = {"train": data.train_images, "test": data.test_images}
    said: list[str] = []

    def read(name: str) -> Split:
        packed, asked = Packed(root, name), counts[name]
        split = _split(packed, asked, device)
        if asked and len(split.images) < min(asked, len(packed)):
            found = f"{name}: {len(split.images):,} of the {asked:,} images asked for"
            said.append(f"{found}; some classes have fewer images")
        return split

    train, test = _splits(data, read)
    index = Packed(root, "train")
    validation = _split(Packed(root, "val"), None, device) if "val" in index.splits else None
    return Dataset(train, test, max(1, len(index.classes)), validation, index.metric, tuple(said))


def _split(packed: Packed, count: int | None, device: torch.device) -> Split:
    labels = packed.labels.astype(np.int64)
    if count is not None and labels.ndim > 1:
        raise DataError("data.train_images and data.test_images need images of one class each")
    rows = np.arange(len(packed)) if count is None else balanced(labels, count, seed=0)
    images: Images = Chosen(packed, rows)
    if 3 * packed.size**2 * len(rows) <= _resident_bytes(device):
        images = Resident(packed.take(rows).to(device), packed.shapes[rows].astype(np.int64))
    return Split(images, torch.from_numpy(labels[rows]).to(device), lambda: [packed.names[row] for row in rows])


def _resident_bytes(device: torch.device) -> int:
    return free_memory(device) // 4 if device.type == "cuda" else _RESIDENT_BYTES


@dataclass(frozen=True)
class Sample:
    """Images grouped by class."""

    images: Resident
    labels: NDArray[np.int64]
    """Class indices (n,), ascending."""
    names: Sequence[str]
    """Names of all classes of the data, by index."""


def sample(data: Data, split: str, count: int, each: int = 1) -> Sample:
    """At most `count` of a trial's images of a split: the first images of some classes.

    The classes are spread evenly over all, and few enough to have `each` images per class. Raises DataError or OSError,
    with the path, if the data are missing, differ from those the trial was planned with, or have several classes per
    image.
    """
    wanted = data.train_images if split == "train" else data.test_images
    if data.name == "textures":
        assert wanted is not None  # checked by Data
        rows = _some(np.arange(wanted) % len(textures.FAMILIES), count, each)
        pixels, labels = textures.draw(wanted, data.image_size, seed=0, split=split, first=int(rows.max()) + 1)
        return Sample(Resident(torch.from_numpy(pixels[rows])), labels[rows], textures.FAMILIES)
    if data.name == "packed":
        return _of_pack(data, split, wanted, count, each)
    root = root_of(data, _CHANGED)
    files, labels = folder.files(data, split)
    if not files:
        raise DataError(f"{root} has no {split} images")
    rows = _some(labels, count, each)
    decoded = folder.decode([files[row] for row in rows], data.image_size, folder.conversion_of(data))
    if not data.skip_corrupt:
        decoded.all_or_error()
    classes = find_images(root, data.split).classes or ("",)
    return Sample(Resident(torch.from_numpy(decoded.pixels)), labels[rows][decoded.read], classes)


def _of_pack(data: Data, split: str, wanted: int | None, count: int, each: int) -> Sample:
    root = root_of(data, "is not the pack that the run was planned with")
    packed = Packed(root, split)
    labels = packed.labels.astype(np.int64)
    if labels.ndim > 1:
        raise DataError(f"images of {root} have several classes each")
    seen = np.arange(len(packed)) if wanted is None else balanced(labels, wanted, seed=0)
    rows = seen[_some(labels[seen], count, each)]
    shapes = packed.shapes[rows].astype(np.int64)
    return Sample(Resident(packed.take(rows), shapes), labels[rows], packed.classes)


def _some(labels: NDArray[np.int64], count: int, each: int) -> NDArray[np.int64]:
    """Rows of the first images of each chosen class."""
    known = np.unique(labels)
    classes = min(len(known), max(1, count // each))
    taken = known[np.arange(classes) * len(known) // classes]
    return np.concatenate([np.flatnonzero(labels == label)[: count // classes] for label in taken])
