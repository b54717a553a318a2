"""A few images of a trial's data, some of each of a few classes, without reading the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ablate.simclr.config.data import Data
from ablate.simclr.data import folder, textures
from ablate.simclr.data.images import Resident
from ablate.simclr.data.listing import class_names, look
from ablate.simclr.data.packed import Packed
from ablate.simclr.data.subset import balanced


@dataclass(frozen=True)
class Sample:
    """Images class by class."""

    images: Resident
    labels: NDArray[np.int64]
    """Class indices (n,), ascending."""
    names: Sequence[str]
    """Of all classes of the data, by their index."""


def sample(data: Data, split: str, count: int, each: int = 1) -> Sample:
    """At most `count` of the images that a trial sees of a split: the first ones of some classes.

    There are as many classes, spread evenly over all, as leave `each` images to each. Raises ValueError or OSError,
    with the path, where the data are not here, are others than the trial was planned for, or have several classes
    an image.
    """
    wanted = data.train_images if split == "train" else data.test_images
    if data.name == "textures":
        assert wanted is not None  # checked by Data
        rows = _some(np.arange(wanted) % len(textures.FAMILIES), count, each)
        pixels, labels = textures.draw(wanted, data.image_size, seed=0, split=split, first=int(rows.max()) + 1)
        return Sample(Resident(torch.from_numpy(pixels[rows])), labels[rows], textures.FAMILIES)
    if data.name == "packed":
        return _of_pack(data, split, wanted, count, each)
    folder.check(data)
    assert data.root is not None  # check() has seen to it
    files, labels = folder.files(data, split)
    rows = _some(labels, count, each)
    pixels = folder.decode([files[row] for row in rows], data.image_size)
    return Sample(Resident(torch.from_numpy(pixels)), labels[rows], class_names(data.root, split))


def _of_pack(data: Data, split: str, wanted: int | None, count: int, each: int) -> Sample:
    if data.root is None:
        raise ValueError("data.name = 'packed' needs data.root")
    if data.fingerprint is not None and look(data.root).fingerprint != data.fingerprint:
        raise ValueError(f"{data.root} is another pack than the run was planned for")
    packed = Packed(data.root, split)
    labels = packed.labels.astype(np.int64)
    if labels.ndim > 1:
        raise ValueError(f"the images of {data.root} have several classes each")
    seen = np.arange(len(packed)) if wanted is None else balanced(labels, wanted, seed=0)
    rows = seen[_some(labels[seen], count, each)]
    shapes = packed.shapes[rows].astype(np.int64)
    return Sample(Resident(packed.take(rows), shapes), labels[rows], packed.classes)


def _some(labels: NDArray[np.int64], count: int, each: int) -> NDArray[np.int64]:
    """Which rows: the first of each of the classes that are taken."""
    known = np.unique(labels)
    classes = min(len(known), max(1, count // each))
    taken = known[np.arange(classes) * len(known) // classes]
    return np.concatenate([np.flatnonzero(labels == label)[: count // classes] for label in taken])
