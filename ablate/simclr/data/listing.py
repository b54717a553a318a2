"""The content of an image folder or a pack, without decoding images: names, counts and a fingerprint.

A pack is complete once it has index.json, which is written last:

    DIR/index.json
    DIR/<split>/shard-00000.bin    raw uint8 (n, 3, size, size); its .json is used only for packing
    DIR/<split>/labels.npy         int64 (N,), or int8 (N, classes) if images have several classes
    DIR/<split>/shapes.npy         int32 (N, 2): height and width of each image before it was squashed
    DIR/<split>/names.json         the N file names, relative to the packed folder

Imports neither torch nor numpy, so that planning a study needs neither.
"""

import hashlib
import json
import os
from array import array
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median_low
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ablate.errors import visible
from ablate.simclr.data.scan import Files, Found, draw_test, scan
from ablate.trainer.contract import DataError

FORMAT: Final = 1
"""Version of the layout; readers accept only their own."""
INDEX, LABELS, SHAPES, NAMES = "index.json", "labels.npy", "shapes.npy", "names.json"

Metric = Literal["top1", "mean_per_class", "map11"]


class Strict(BaseModel):
    """Base of the JSON models of a pack: frozen, strict, no unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Shard(Strict):
    """A file of pixels: its name in the split's folder, its number of images, the SHA-256 of its bytes."""

    file: str
    count: int = Field(ge=0)
    sha256: str


class Split(Strict):
    """The files of one split."""

    count: int = Field(ge=1)
    """Total number of images in all shards."""
    shards: tuple[Shard, ...]
    labels: str
    """SHA-256 of labels.npy."""
    shapes: str
    """SHA-256 of shapes.npy."""
    names: str
    """SHA-256 of names.json."""
    skipped: tuple[str, ...] = ()
    """Names of unreadable images, which were omitted."""


class Index(Strict):
    """The content of index.json."""

    format: Literal[1] = FORMAT
    name: str
    """A data set's name, or `folder`."""
    size: int = Field(ge=1)
    """Side of stored images, in pixels."""
    classes: tuple[str, ...]
    metric: Metric = "top1"
    """The data set's usual metric."""
    splits: dict[str, Split]
    """`train`, `test` and, if given, `val`."""
    fingerprint: str = ""
    """SHA-256 of all other fields."""

    def sealed(self) -> "Index":
        """The index with its fingerprint."""
        content = json.dumps(self.model_dump(mode="json", exclude={"fingerprint"}), sort_keys=True)
        return self.model_copy(update={"fingerprint": hashlib.sha256(content.encode()).hexdigest()})


def is_pack(root: Path) -> bool:
    """Whether a folder contains a complete pack."""
    return (root / INDEX).is_file()


def read_index(root: Path) -> Index:
    """The index of a pack. Raises DataError, with the path and advice, if it is missing or damaged."""
    path = root / INDEX
    if not path.is_file():
        raise DataError(
            f"{root} is not a complete pack ({INDEX} is missing); create it with `ablate data pack SRC {root}`"
        )
    try:
        index = Index.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f"{path} is damaged or from another version of ablate; delete {root} and pack again") from error
    if index.sealed() != index or not {"train", "test"} <= set(index.splits):
        raise DataError(f"{path} is damaged: its fingerprint does not match its content; delete {root} and pack again")
    return index


@dataclass(frozen=True)
class Listing:
    """Facts about an image folder or a pack that need no image to be opened."""

    fingerprint: str
    """SHA-256 of the names, classes and content of all images, or the pack's fingerprint: identifies a trial's data."""
    train_images: int
    test_images: int
    kind: Literal["folder", "packed", "list"]
    """What was listed; data.name decides which of the first two kinds a trial reads."""
    classes: int = 0
    """The number of classes; 0 if the images have no labels."""
    train_classes: tuple[int, ...] = ()
    """Training images of each class; empty for a pack."""
    test_classes: tuple[int, ...] = ()
    """Test images of each class; empty for a pack."""
    omitted: tuple[tuple[str, int], ...] = ()
    """What is left out: reasons with their counts."""
    stored: int | None = None
    """Side in pixels at which a pack stores its images; None if it is not a pack."""
    side: int | None = None
    """Median of the shorter sides in pixels that a pack's training images had."""


def look(root: Path, share: float | None = None) -> Listing:
    """List an image folder or a CSV list of images; a pack; or a file that names images.

    `share` of the images of a folder are drawn for testing. Raises DataError or OSError, with the path, if it is
    invalid.
    """
    from ablate.simclr.data.content import hashes
    from ablate.simclr.data.csv_list import is_list

    if is_pack(root):
        index = read_index(root)
        sizes = {split: files.count for split, files in index.splits.items()}
        listing = Listing(index.fingerprint, sizes["train"], sizes["test"], "packed", len(index.classes))
        return replace(listing, stored=index.size, side=_median_side(root / "train" / SHAPES))
    if root.is_file() and not is_list(root):
        content = root.read_bytes()
        return Listing(hashlib.sha256(content).hexdigest(), len(content.split()), 0, "list")
    found = find_images(root, share)
    contents, digest = hashes(root, found), hashlib.sha256()
    counts_of: dict[str, tuple[int, ...]] = {}
    for split in ("train", "test"):
        files = found.splits.get(split, Files((), ()))
        digest.update(f"{split}\n".encode())
        names = [found.classes[label] if found.classes else "" for label in files.labels]
        for name, path, sha256 in zip(names, files.paths, contents.get(split, ()), strict=True):
            digest.update(b"%s\0%s\0%s\n" % (os.fsencode(name), os.fsencode(path), sha256.encode()))
        counts_of[split] = files.counts(len(found.classes))
    train, test = counts_of["train"], counts_of["test"]
    omitted = tuple((why, len(what)) for why, what in found.omitted.items())
    return Listing(digest.hexdigest(), sum(train), sum(test), "folder", len(found.classes), train, test, omitted)


def _median_side(shapes: Path) -> int | None:
    """Median of the shorter sides in shapes.npy, without numpy, which plans do without; None if it is not readable."""
    sides = array("i")
    try:
        content = shapes.read_bytes()
        sides.frombytes(content[10 + int.from_bytes(content[8:10], "little") :])
    except (OSError, ValueError):
        return None
    return int(median_low(map(min, zip(sides[::2], sides[1::2], strict=True)))) if len(sides) > 1 else None


def find_images(root: Path, share: float | None = None) -> Found:
    """The images of a folder or a CSV list; `share` of each class is drawn for testing. Raises DataError or OSError."""
    from ablate.simclr.data.csv_list import read_list

    if is_pack(root):
        raise DataError(f"{visible(str(root))} is a pack, not an image folder; `ablate data verify` checks it")
    if root.is_file():
        found = read_list(root)
    elif root.is_dir():
        found = scan(root)
    else:
        raise DataError(f"{visible(str(root))} is neither a folder nor a CSV list of images")
    return found if share is None else draw_test(found, share)
