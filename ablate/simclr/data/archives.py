"""Archives as sources of a pack: WebDataset's tar files and Hugging Face's parquet files, by split.

    DIR/**/*train*.tar        images and, under the same key, a `.cls` file with the class as a whole number
    DIR/**/*train*.parquet    a column of images (a struct with `bytes`, or binary) and a whole-number column `label`

A file belongs to the split that its name contains (train, test, val, valid, validation); otherwise to train.
"""

import json
import os
import re
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

from PIL import Image

from ablate.errors import visible
from ablate.simclr.base.files import file_sha256
from ablate.simclr.data.formats import SUFFIXES
from ablate.simclr.data.reader import open_bytes
from ablate.simclr.data.scan import SPLITS, Found, join
from ablate.trainer.contract import DataError

_LOCK = Lock()
_SUFFIXES = (".tar", ".parquet")


@dataclass(frozen=True)
class Item:
    """An image in an archive: where it begins and its length (tar), or its row and 0 (parquet); and its class."""

    archive: Path
    start: int
    length: int
    label: int | None


@dataclass(frozen=True)
class Archived:
    """Images of archives, in the form that packing needs."""

    items: Sequence[Item]
    names: Sequence[str]
    labels: Sequence[int]
    contents: dict[Path, str]
    """Archive -> SHA-256."""

    def __len__(self) -> int:
        return len(self.items)

    def name(self, index: int) -> str:
        """The archive and the image's place in it."""
        return self.names[index]

    def key(self, index: int) -> str:
        """What identifies the image."""
        return f"{self.names[index]} {self.labels[index]} {self.contents[self.items[index].archive]}"

    def open(self, index: int) -> tuple[Image.Image, int]:
        """The image, not yet decoded, and its label."""
        item = self.items[index]
        if item.archive.suffix == ".parquet":
            content = _bytes_of(item.archive)[item.start]
        else:
            with item.archive.open("rb") as file:
                file.seek(item.start)
                content = file.read(item.length)
        return open_bytes(content), self.labels[index]


def find_archives(root: Path) -> list[Path]:
    """The archives in a folder, or the one that is named; none if the folder has images too."""
    if root.is_file():
        return [root] if root.suffix in _SUFFIXES else []
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            suffix = PurePosixPath(name).suffix.lower()
            if suffix in SUFFIXES and not name.startswith("."):
                return []
            if suffix in _SUFFIXES and not name.startswith("."):
                found.append(Path(folder, name))
    return sorted(found)


def read_archives(root: Path, archives: Sequence[Path]) -> tuple[Found, Callable[[Found, str], Archived]]:
    """The images of archives by split and class, and a function that gives those of a split.

    Raises DataError, with the path, if an archive cannot be read or only some images have a class.
    """
    items: dict[str, Item] = {}
    names: list[str] = []
    by_split: dict[str, dict[int | None, list[str]]] = {}
    for archive in archives:
        found, names = _of_parquet(archive) if archive.suffix == ".parquet" else (_of_tar(archive), names)
        for place, item in found.items():
            name = f"{archive.relative_to(root if root.is_dir() else root.parent).as_posix()}/{place}"
            items[name] = item
            by_split.setdefault(_split_of(archive), {}).setdefault(item.label, []).append(name)
    labels = {label for of_split in by_split.values() for label in of_split}
    if None in labels and len(labels) > 1:
        raise DataError(f"{visible(str(root))}: only some of the images have a class")
    if "train" not in by_split:
        raise DataError(f"{visible(str(root))} has no training images; the name of their archive must contain 'train'")
    width = len(str(max((label or 0 for label in labels), default=0)))
    classes = {label: "" if label is None else _class_name(label, names, width) for label in labels}
    splits = {split: {classes[label]: of[label] for label in of} for split, of in by_split.items()}
    contents = {archive: file_sha256(archive) for archive in archives}

    def of(found: Found, split: str) -> Archived:
        files = found.splits[split]
        return Archived([items[name] for name in files.paths], files.paths, files.labels, contents)

    return join(root, splits, {}), of


def _split_of(archive: Path) -> str:
    words = re.split(r"[^a-z]+", archive.name.lower())
    return next((SPLITS[word] for word in words if word in SPLITS), "train")


def _class_name(label: int, names: Sequence[str], width: int) -> str:
    """The class's name if the archive states it; else its number, padded so that names are in order."""
    return names[label] if 0 <= label < len(names) else f"{label:0{width}}"


def _of_tar(archive: Path) -> dict[str, Item]:
    """Name -> image, of one tar file."""
    places: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, int] = {}
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                key = str(path.with_name(path.name.partition(".")[0])) if path.name else ""
                if not member.isfile() or path.name.startswith("."):
                    continue
                if path.suffix.lower() in SUFFIXES:
                    places[key] = (member.name, member.offset_data, member.size)
                elif path.suffix == ".cls" and (file := tar.extractfile(member)):
                    labels[key] = int(file.read())
    except (tarfile.TarError, ValueError) as error:
        raise DataError(f"{visible(str(archive))} is not a tar file with whole numbers as .cls: {error}") from error
    return {name: Item(archive, start, length, labels.get(key)) for key, (name, start, length) in places.items()}


def _of_parquet(archive: Path) -> tuple[dict[str, Item], list[str]]:
    """Row -> image, of one parquet file, and the names of its classes if it states them."""
    import polars  # only here: the trainer does without

    try:
        schema = polars.read_parquet_schema(archive)
        column = next((name for name, kind in schema.items() if kind.is_integer() and name == "label"), None)
        column = column or next((name for name, kind in schema.items() if kind.is_integer()), None)
        rows = polars.scan_parquet(archive).select(polars.len()).collect().item()
        labels = polars.read_parquet(archive, columns=[column])[column].to_list() if column else [None] * rows
        stated = json.loads(polars.read_parquet_metadata(archive).get("huggingface", "{}"))
    except (polars.exceptions.PolarsError, OSError, ValueError) as error:
        raise DataError(f"{visible(str(archive))} cannot be read as a parquet file: {error}") from error
    _image_column(archive, schema)
    feature = stated.get("info", {}).get("features", {}).get(column, {})
    names = feature.get("names") or feature.get("feature", {}).get("names") or []
    return {f"{row:08}": Item(archive, row, 0, label) for row, label in enumerate(labels)}, list(names)


def _image_column(archive: Path, schema: Any) -> tuple[str, bool]:
    """The column of the images, and whether it is a struct with `bytes`."""
    import polars

    for name, kind in schema.items():
        if isinstance(kind, polars.Struct) and "bytes" in {field.name for field in kind.fields}:
            return name, True
    for name, kind in schema.items():
        if kind == polars.Binary:
            return name, False
    raise DataError(f"{visible(str(archive))} has no column of images; its columns are: {', '.join(schema)}")


def _bytes_of(archive: Path) -> Sequence[bytes]:
    with _LOCK:  # one thread reads, the others wait for it
        return _read_bytes(archive)


@lru_cache(maxsize=2)
def _read_bytes(archive: Path) -> Sequence[bytes]:
    """All images of a parquet file; packing goes from one file to the next."""
    import polars

    name, is_struct = _image_column(archive, polars.read_parquet_schema(archive))
    column = polars.read_parquet(archive, columns=[name])[name]
    return (column.struct.field("bytes") if is_struct else column).to_list()
