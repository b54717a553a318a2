"""Any image folder of the form train/<class>/* and test/<class>/*, decoded with Pillow."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ablate.simclr.config.data import Data
from ablate.simclr.data.listing import class_names, image_paths, look
from ablate.simclr.data.shard import in_8_bits

_NAMED = 20
"""Images that cannot be read and are named; more are counted only."""


def check(data: Data) -> None:
    """Raise ValueError when the folder no longer holds the images that the trial was planned for."""
    if data.root is None:
        raise ValueError("data.name = 'folder' needs data.root")
    if data.fingerprint is not None and look(data.root).fingerprint != data.fingerprint:
        raise ValueError(f"{data.root} has changed since the run was planned; start the run again")


def read(data: Data, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Decode one split: uint8 (N, 3, size, size) and class indices int64 (N,).

    Raises ValueError naming and counting all images that cannot be read.
    """
    paths, labels = files(data, split)
    return decode(paths, data.image_size), labels


def files(data: Data, split: str) -> tuple[list[Path], NDArray[np.int64]]:
    """The files of one split, and their class indices int64 (N,).

    When fewer than all are asked for, the same share of every class is drawn, always the same files.
    """
    assert data.root is not None  # check() has seen to it
    count = data.train_images if split == "train" else data.test_images
    paths, labels = [], []
    names = class_names(data.root, split)
    for label, name in enumerate(names):
        of_class = image_paths(data.root, split, name)
        quota = len(of_class) if count is None else min(len(of_class), _quota(count, len(names), label))
        chosen = np.random.default_rng([0, label]).permutation(len(of_class))[:quota]
        paths += [of_class[index] for index in sorted(chosen)]
        labels += [label] * quota
    return paths, np.array(labels, np.int64)


def decode(paths: Sequence[Path], size: int) -> NDArray[np.uint8]:
    """Images brought to `size` by their shorter side (bicubic) and cut to the centre square: (N, 3, size, size).

    Raises ValueError naming and counting all images that cannot be read.
    """
    images = np.empty((len(paths), 3, size, size), np.uint8)

    def one(index: int) -> str | None:
        try:
            images[index] = _decode(paths[index], size)
        except ValueError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        mistakes = [told for told in pool.map(one, range(len(paths)), chunksize=64) if told]
    if mistakes:
        unnamed = f"; and {len(mistakes) - _NAMED} more" if len(mistakes) > _NAMED else ""
        raise ValueError(f"{len(mistakes)} of {len(paths)} images: {'; '.join(mistakes[:_NAMED])}{unnamed}")
    return images


def _quota(count: int, classes: int, label: int) -> int:
    return count // classes + (label < count % classes)


def _decode(path: Path, size: int) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            image.draft("RGB", (size, size))
            fitted = ImageOps.fit(in_8_bits(image).convert("RGB"), (size, size), Image.Resampling.BICUBIC)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # all that Pillow raises
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    return np.asarray(fitted).transpose(2, 0, 1)
