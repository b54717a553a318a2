"""What lies in an image folder, by names and sizes, or in a pack: no decoding, no torch."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablate.simclr.data.index import is_pack, read_index

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})


@dataclass(frozen=True)
class Listing:
    """What is known of an image folder, or of a pack, without opening an image."""

    fingerprint: str
    """SHA-256 over the names and sizes of all images, or a pack's own: says which data a trial saw."""
    train_images: int
    test_images: int
    kind: Literal["folder", "packed", "list"]
    """What it is; data.name says which of the first two a trial reads."""


def look(root: Path) -> Listing:
    """List an image folder, a pack, or a file that lists images.

    Raises ValueError or OSError, with the path, when it is not as it should be.
    """
    if is_pack(root):
        index = read_index(root)
        return Listing(index.fingerprint, index.splits["train"].count, index.splits["test"].count, "packed")
    if root.is_file():
        content = root.read_bytes()
        return Listing(hashlib.sha256(content).hexdigest(), len(content.split()), 0, "list")
    digest, counts = hashlib.sha256(), {}
    for split in ("train", "test"):
        counts[split] = 0
        for name in class_names(root, split):
            digest.update(f"{split}/{name}\n".encode())
            for path in image_paths(root, split, name):
                digest.update(f"{path.name} {path.stat().st_size}\n".encode())
                counts[split] += 1
    return Listing(digest.hexdigest(), counts["train"], counts["test"], "folder")


def class_names(root: Path, split: str) -> list[str]:
    """The class folders of a split, sorted; those of another split must be those of the training split."""
    directory = root / split
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a folder; expected {root}/train/<class>/* and {root}/test/<class>/*")
    names = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if len(names) < 2:
        raise ValueError(f"{directory} has {len(names)} class folders; linear evaluation needs at least 2")
    if split != "train" and names != (expected := class_names(root, "train")):
        differing = sorted(set(names) ^ set(expected))
        raise ValueError(f"{root}: train/ and {split}/ differ in the classes {', '.join(differing[:5])}")
    return names


def image_paths(root: Path, split: str, name: str) -> list[Path]:
    """The image files of one class, sorted by name; there must be one."""
    directory = root / split / name
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries if Path(entry.name).suffix.lower() in _SUFFIXES)
    if not names:
        raise ValueError(f"{directory} has no image ({' '.join(sorted(_SUFFIXES))})")
    return [directory / name for name in names]
