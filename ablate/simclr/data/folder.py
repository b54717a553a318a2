"""Image folders and lists of images, decoded with Pillow."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ablate.errors import visible
from ablate.simclr.config import Data
from ablate.simclr.data.images import balanced
from ablate.simclr.data.listing import find_images
from ablate.simclr.data.reader import Conversion, fitted, open_image, read_image, unreadable
from ablate.trainer.contract import DataError

_NAMED = 20
"""At most this many unreadable images are named; further ones are only counted."""


@dataclass(frozen=True)
class Decoded:
    """Images and what is worth telling about them."""

    pixels: NDArray[np.uint8]
    """(N, 3, size, size)."""
    read: NDArray[np.int64]
    """Indices of the paths that could be read, (N,)."""
    mistakes: tuple[str, ...]
    """A line for each image that could not: its path and the reason."""
    changes: Counter[str]
    """How many images were turned, transparent or deep gray."""

    def all_or_error(self) -> "Decoded":
        """Itself. Raises DataError naming and counting the images that could not be read."""
        if not self.mistakes:
            return self
        count = len(self.mistakes)
        named = "; ".join(self.mistakes[:_NAMED]) + (f"; and {count - _NAMED} more" if count > _NAMED else "")
        help = "repair or remove them, or leave them out with data.skip_corrupt = true"
        raise DataError(f"{count} of {count + len(self.read)} images: {named}; {help}")


def read(data: Data, split: str) -> tuple[Decoded, NDArray[np.int64]]:
    """Decode one split; also the class indices of the images that were read, int64 (N,).

    Raises DataError naming and counting all images that cannot be read, unless `data.skip_corrupt`.
    """
    paths, labels = files(data, split)
    decoded = decode(paths, data.image_size, conversion_of(data))
    if not data.skip_corrupt:
        decoded.all_or_error()
    elif paths and not len(decoded.read):
        raise DataError(f"none of the {len(paths)} {split} images can be read; the first: {decoded.mistakes[0]}")
    return decoded, labels[decoded.read]


def conversion_of(data: Data) -> Conversion:
    """How the setting's images become RGB."""
    return Conversion(data.background, data.white_level)


def files(data: Data, split: str) -> tuple[list[Path], NDArray[np.int64]]:
    """The files of one split and their class indices, int64 (N,); none if there is no such split.

    If fewer than all are requested, the same fraction of every class is drawn, always the same files.
    """
    assert data.root is not None  # checked by `dataset.root_of`
    count = data.train_images if split == "train" else data.test_images
    found = find_images(data.root, data.split)
    paths = found.files(split)
    labels = np.array(found.splits[split].labels if paths else (), np.int64)
    rows = np.arange(len(paths)) if count is None or not paths else balanced(labels, count, seed=0)
    return [paths[row] for row in rows], labels[rows]


def decode(paths: Sequence[Path], size: int, conversion: Conversion) -> Decoded:
    """Images resized by their shorter side (bicubic) and cropped to the centre square.

    Raises OSError with the path if a file may not be read.
    """
    pixels = np.empty((len(paths), 3, size, size), np.uint8)

    def one(index: int) -> str | frozenset[str]:
        try:
            with open_image(paths[index]) as image:
                picture = read_image(image, conversion, size)
                pixels[index] = fitted(picture, size)
        except Exception as error:
            if (reason := unreadable(error)) is None:
                raise
            return f"{visible(str(paths[index]))} cannot be read as an image: {reason}"
        return picture.changes

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        outcomes = list(pool.map(one, range(len(paths)), chunksize=64))
    read = np.array([row for row, outcome in enumerate(outcomes) if not isinstance(outcome, str)], np.int64)
    mistakes = tuple(outcome for outcome in outcomes if isinstance(outcome, str))
    changes = Counter(change for outcome in outcomes if not isinstance(outcome, str) for change in outcome)
    return Decoded(pixels[read] if mistakes else pixels, read, mistakes, changes)
