"""Which files of a folder, or of a CSV list, are images: their splits and classes, and all that is left out and why.

    DIR/train/<class>/**, DIR/test/<class>/**    splits by name, see SPLITS; `val` takes the place of a missing `test`
    DIR/<class>/**                               one folder, from which `share` of the images are drawn for testing
    DIR/**                                       images without labels, with or without train/ and test/
    FILE.csv                                     columns path, label (optional) and split (optional)

Opens no image, and imports neither torch, numpy nor Pillow, so that planning a study needs none of them.
"""

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Final

from ablate.errors import visible
from ablate.simclr.data.formats import SUFFIXES
from ablate.trainer.contract import DataError

SPLITS: Final = {"train": "train", "training": "train", "test": "test", "testing": "test",
                 "val": "val", "valid": "val", "validation": "val"}  # fmt: skip
"""Name of a folder, or of a split in a list -> the split."""

_SYSTEM = {"@eadir", "__macosx", "__pycache__", "lost+found", "$recycle.bin", "#recycle", "system volume information"}
_NAMED = 5
HIDDEN, FOLDER, SPECIAL = "hidden", "folders named like images", "neither files nor folders"
LOOP, LOOSE, BESIDE = "links to a folder above", "images beside the class folders", "entries beside train"


@dataclass(frozen=True)
class Files:
    """The images of one split: paths relative to the root, and an index of a class for each (0 without labels)."""

    paths: tuple[str, ...]
    labels: tuple[int, ...]

    def only(self, rows: Sequence[int]) -> "Files":
        """Some of the images."""
        return Files(tuple(self.paths[row] for row in rows), tuple(self.labels[row] for row in rows))

    def counts(self, classes: int) -> tuple[int, ...]:
        """The number of images of each class."""
        found = [0] * max(1, classes)
        for label in self.labels:
            found[label] += 1
        return tuple(found)


@dataclass(frozen=True)
class Found:
    """What a folder or list has."""

    root: Path
    """The folder that paths are relative to."""
    classes: tuple[str, ...]
    """Sorted names in NFC; empty if the images have no labels."""
    splits: Mapping[str, Files]
    """`train`, and `test` and `val` if there are any."""
    omitted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Reason -> what was left out."""

    def files(self, split: str) -> list[Path]:
        """The paths of a split's images; none if there is no such split."""
        return [self.root / path for path in self.splits[split].paths] if split in self.splits else []


def scan(root: Path) -> Found:
    """Find the images of a folder.

    Raises DataError, with the path and advice, if there are none, or if classes are unclear or differ between splits;
    OSError if a folder cannot be read.
    """
    return _Walk(root).found()


def draw_test(found: Found, share: float) -> Found:
    """Move a share of every class from training to testing: at least one image, and never a class's last.

    The choice depends on the images' paths alone, so that most images stay where they are when others are added.
    """
    if "test" in found.splits:
        message = f"data.split = {share:g} draws test images, but {visible(str(found.root))} has its own"
        raise DataError(f"{message}; leave data.split out")
    train = found.splits["train"]
    order = [hashlib.sha256(os.fsencode(path)).digest() for path in train.paths]
    drawn: set[int] = set()
    for label in set(train.labels):
        rows = [row for row, of_row in enumerate(train.labels) if of_row == label]
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        drawn |= set(sorted(rows, key=order.__getitem__)[:count])
    if not drawn:
        raise DataError(f"{visible(str(found.root))} has too few images to draw any for testing")
    kept = [row for row in range(len(train.paths)) if row not in drawn]
    return replace(found, splits={"train": train.only(kept), "test": train.only(sorted(drawn))})


def join(root: Path, splits: Mapping[str, Mapping[str, Sequence[str]]], omitted: Mapping[str, list[str]]) -> Found:
    """Number the classes: split -> class -> paths; the only class may be '', for no labels."""
    classes = sorted(splits["train"])
    for split, of_split in splits.items():
        if differing := sorted(set(of_split) ^ set(classes)):
            where = f"{visible(str(root))}: {split} and train"
            if "" in differing:
                raise DataError(f"{where}: only one of them has classes; give both, or list the images in a CSV file")
            shown = ", ".join(visible(name) for name in differing[:_NAMED])
            raise DataError(f"{where} differ in the classes {shown}")
    files = {
        split: Files(
            tuple(path for name in classes for path in sorted(splits[split][name], key=_order)),
            tuple(label for label, name in enumerate(classes) for _ in splits[split][name]),
        )
        for split in ("train", "test", "val")
        if split in splits
    }
    if "test" not in files and "val" in files:
        files["test"] = files.pop("val")
    return Found(
        root, tuple(classes) if classes != [""] else (), files, {why: tuple(what) for why, what in omitted.items()}
    )


def _order(path: str) -> tuple[str, ...]:
    return tuple(path.split("/"))


class _Walk:
    """A walk through a folder that notes what it leaves out."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._prefix = len(str(root)) + (not str(root).endswith("/"))
        self.omitted: dict[str, list[str]] = {}

    def found(self) -> Found:
        """The images of the folder, by split and class."""
        entries = self._visible(self._root)
        named: dict[str, os.DirEntry[str]] = {}
        for entry in entries:
            split = SPLITS.get(entry.name.lower()) if _is_folder(entry) else None
            if split in named:
                raise DataError(
                    f"{visible(str(self._root))} has {named[split].name} and {entry.name}; keep one of them"
                )
            if split:
                named[split] = entry
        if "train" not in named:
            if named:
                have = ", ".join(f"{entry.name}/" for entry in named.values())
                raise DataError(
                    f"{visible(str(self._root))} has {have} but no train/; expected train/<class>/* and test/<class>/*"
                )
            return join(self._root, {"train": self._classes(self._root, entries)}, self.omitted)
        for entry in entries:
            if entry not in named.values():
                self._omit(BESIDE, entry)
        splits = {split: self._classes(Path(entry.path), self._visible(entry)) for split, entry in named.items()}
        return join(self._root, splits, self.omitted)

    def _classes(self, folder: Path, entries: Sequence["os.DirEntry[str]"]) -> dict[str, list[str]]:
        """Class -> paths; the class '' if there are not two class folders, which means that there are no labels."""
        above = frozenset({_identity(folder)})
        of_class: dict[str, list[str]] = {}
        folders: dict[str, str] = {}
        loose: list[str] = []
        for entry in entries:
            if not _is_folder(entry):
                loose += self._file(entry)
                continue
            name = unicodedata.normalize("NFC", entry.name)
            images = list(self._images(entry, above))
            if not images and _suffix(name) in SUFFIXES:
                self._omit(FOLDER, entry)
                continue
            if name in of_class:
                raise DataError(
                    f"{visible(str(folder))} has two folders named {visible(name)}, in two spellings of Unicode"
                )
            of_class[name], folders[name] = images, entry.path
        with_images = sum(map(bool, of_class.values()))
        if with_images < 2 and (loose or not with_images or len(of_class) < 2):
            everything = loose + [path for images in of_class.values() for path in images]
            if not everything:
                raise DataError(f"{visible(str(folder))} contains no images{self._instead()}")
            return {"": everything}
        if empty := next((name for name, images in of_class.items() if not images), None):
            raise DataError(f"{visible(folders[empty])} contains no images{self._instead()}; delete or fill it")
        if loose:
            self.omitted.setdefault(LOOSE, []).extend(loose)
        return of_class

    def _images(self, folder: "os.DirEntry[str]", above: frozenset[tuple[int, int]]) -> Iterator[str]:
        """The images of a folder and all folders in it."""
        here = _identity(Path(folder.path))
        if here in above:
            self._omit(LOOP, folder)
            return
        for entry in self._visible(folder):
            if not _is_folder(entry):
                yield from self._file(entry)
            elif _suffix(entry.name) in SUFFIXES:
                self._omit(FOLDER, entry)
            else:
                yield from self._images(entry, above | {here})

    def _file(self, entry: "os.DirEntry[str]") -> list[str]:
        """The path of an image in a list, which is empty if the entry is something else."""
        if _suffix(entry.name) not in SUFFIXES:
            self._omit(_suffix(entry.name) or "files without suffix", entry)
        elif entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists()):  # a dead link is reported later
            return [self._relative(entry)]
        else:
            self._omit(SPECIAL, entry)
        return []

    def _visible(self, folder: "Path | os.DirEntry[str]") -> list["os.DirEntry[str]"]:
        """The sorted entries of a folder that are not hidden and not a system's."""
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        shown = []
        for entry in found:
            if entry.name.startswith(".") or entry.name.lower() in _SYSTEM:
                self._omit(HIDDEN, entry)
            else:
                shown.append(entry)
        return shown

    def _omit(self, why: str, entry: "os.DirEntry[str]") -> None:
        self.omitted.setdefault(why, []).append(self._relative(entry))

    def _relative(self, entry: "os.DirEntry[str]") -> str:
        return entry.path[self._prefix :]

    def _instead(self) -> str:
        """What the folder has in place of images."""
        counts = omitted_text({why: len(what) for why, what in self.omitted.items()})
        return f" that can be read, but {counts}" if counts else ""


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower()


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def omitted_text(counts: Mapping[str, int]) -> str:
    """`3 hidden, 2 .heic`: reasons with their counts."""
    return ", ".join(f"{count:,} {visible(why)}" for why, count in counts.items())
