"""Packing: every image decoded and resized once, into shards that are then read as memory.

An image is stored whole, squashed to a square, its sides before that beside it: a random crop can still be
drawn as in the original, which a stored centre square would not allow.
"""

import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from ablate.simclr.data.index import (
    INDEX,
    LABELS,
    NAMES,
    SHAPES,
    Index,
    Metric,
    Shard,
    Split,
    is_pack,
    read_index,
)
from ablate.simclr.data.listing import class_names, image_paths
from ablate.simclr.data.shard import Images, Job, Label, Record, Unreadable
from ablate.simclr.files import remove_partials, write_whole

Progress = Callable[[int, int], None]
"""Is told how many images are done, and of how many."""

SHARD_BYTES = 64 * 2**20
"""Of pixels in one shard, at most; two are in memory at a time, so that one is decoded while one is written."""

_VALIDATION = ("val", "valid", "validation")
_LINES = 20


def pack(
    source: Path,
    destination: Path,
    size: int = 256,
    workers: int | None = None,
    progress: Progress | None = None,
    skip_corrupt: bool = False,
) -> Index:
    """Pack the image folder train/<class>/*, test/<class>/* and, where there is one, val/<class>/*.

    The validation folder may be called val, valid or validation. ImageNet's usual layout, train/ and val/
    without test/, counts as train and test. Images are stored by class, then file name. When the same
    command is given again after an interruption, finished shards are kept; given after the end, it does
    nothing. `workers` threads decode, one a core by default.

    Raises ValueError, telling what to do, when a folder is not as it should be, when `destination` holds
    something else, and, unless `skip_corrupt`, when images cannot be read (all are named, up to 20; what
    could be read is kept for the next run). Raises OSError with the path, for example when the disk is full.
    """
    folders = _folders(source)
    classes = class_names(source, folders["train"])
    images = {split: _folder_images(source, folder, classes) for split, folder in folders.items()}
    return _pack(
        images,
        destination,
        Index(name="folder", size=size, classes=tuple(classes), splits={}),
        workers,
        progress,
        skip_corrupt,
    )


def pack_items(
    splits: Mapping[str, Sequence[tuple[Image.Image, Label]]],
    destination: Path,
    size: int,
    name: str,
    classes: Sequence[str],
    metric: Metric = "top1",
    workers: int | None = None,
    progress: Progress | None = None,
    skip_corrupt: bool = False,
) -> Index:
    """Pack pairs of image and label, as torchvision's data sets give them; splits are train, test, perhaps val.

    A label is a class index, or a tuple of one small number for every class. An item is asked for when
    it is due, from several threads. A finished shard of an earlier run is kept when `name`, the split and its
    length are the same, so one name must stand for one data set. Raises as `pack` does.
    """
    images = {split: _Items(items, f"{name}/{split}") for split, items in splits.items()}
    index = Index(name=name, size=size, classes=tuple(classes), metric=metric, splits={})
    return _pack(images, destination, index, workers, progress, skip_corrupt)


@dataclass(frozen=True)
class _Files:
    root: Path
    paths: Sequence[Path]
    labels: Sequence[int]

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        name = self.paths[index].relative_to(self.root).as_posix()
        return os.fsencode(name).decode(errors="backslashreplace")  # so that JSON can hold any

    def key(self, index: int) -> str:
        return f"{self.name(index)} {self.labels[index]} {self.paths[index].stat().st_size}"

    def open(self, index: int) -> tuple[Image.Image, Label]:
        return Image.open(self.paths[index]), self.labels[index]


@dataclass(frozen=True)
class _Items:
    items: Sequence[tuple[Image.Image, Label]]
    prefix: str

    def __len__(self) -> int:
        return len(self.items)

    def name(self, index: int) -> str:
        return f"{self.prefix}/{index}"

    def key(self, index: int) -> str:
        return f"{self.name(index)} of {len(self)}"

    def open(self, index: int) -> tuple[Image.Image, Label]:
        return self.items[index]


def _folders(source: Path) -> dict[str, str]:
    """Split -> name of its folder."""
    validation = [name for name in _VALIDATION if (source / name).is_dir()]
    if len(validation) > 1:
        raise ValueError(f"{source} has {' and '.join(validation)}; keep one of them")
    if validation and not (source / "test").is_dir():
        return {"train": "train", "test": validation[0]}
    return {"train": "train", **({"val": validation[0]} if validation else {}), "test": "test"}


def _folder_images(source: Path, folder: str, classes: Sequence[str]) -> _Files:
    paths = [image_paths(source, folder, name) for name in class_names(source, folder)]
    labels = np.repeat(np.arange(len(classes)), [len(of_class) for of_class in paths]).tolist()
    return _Files(source, list(chain.from_iterable(paths)), labels)


def _pack(
    images: Mapping[str, Images],
    destination: Path,
    index: Index,
    workers: int | None,
    progress: Progress | None,
    skip: bool,
) -> Index:
    jobs = {split: _jobs(of_split, destination / split, index.size, skip) for split, of_split in images.items()}
    if is_pack(destination):
        return _the_same(destination, index, jobs)
    for split in jobs:
        (destination / split).mkdir(parents=True, exist_ok=True)
        if any(path.is_dir() for path in (destination / split).iterdir()):
            raise ValueError(f"{destination / split} has folders, so it is no place for a pack; choose a new folder")
    for folder in (destination, *(destination / split for split in jobs)):
        remove_partials(folder)
    records = _run(jobs, workers, progress or (lambda done, total: None))
    _refuse_unreadable(records, skip)
    splits = {split: _finish(jobs[split], records[split]) for split in jobs}
    index = index.model_copy(update={"splits": splits}).sealed()
    write_whole(destination / INDEX, (index.model_dump_json(indent=1) + "\n").encode())
    return index


def _jobs(images: Images, folder: Path, size: int, skip: bool) -> list[Job]:
    step = max(1, SHARD_BYTES // (3 * size**2))
    starts = range(0, len(images), step)
    return [
        Job(images, start, min(start + step, len(images)), folder / f"shard-{number:05}.bin", size, skip)
        for number, start in enumerate(starts)
    ]


def _the_same(destination: Path, wanted: Index, jobs: Mapping[str, list[Job]]) -> Index:
    """The index of a whole pack, if it is of the wanted images."""
    found = read_index(destination)
    alike = found.model_copy(update={"splits": {}, "fingerprint": ""}) == wanted and set(found.splits) == set(jobs)
    if not alike or any(job.finished() is None for job in chain.from_iterable(jobs.values())):
        raise ValueError(
            f"{destination} holds another pack ({found.name}, {found.size} pixels, "
            f"{sum(split.count for split in found.splits.values())} images); choose another folder or delete it"
        )
    return found


def _run(jobs: Mapping[str, list[Job]], workers: int | None, progress: Progress) -> dict[str, list[Record]]:
    """All shards that are not finished, two at a time: one is written while the other is decoded."""
    total, done, lock = sum(job.stop - job.start for of_split in jobs.values() for job in of_split), 0, Lock()

    def ended(count: int = 1) -> None:
        nonlocal done
        with lock:
            done += count
            progress(done, total)

    def run(job: Job) -> Record:
        if (record := job.finished()) is None:
            return job.run(decoders, ended)
        ended(job.stop - job.start)
        return record

    with ThreadPoolExecutor(workers or os.cpu_count()) as decoders, ThreadPoolExecutor(2) as shards:
        return {split: list(shards.map(run, of_split)) for split, of_split in jobs.items()}


def _refuse_unreadable(records: Mapping[str, list[Record]], skip: bool) -> None:
    unreadable = [image for of_split in records.values() for record in of_split for image in record.unreadable]
    if skip or not unreadable:
        return
    raise ValueError(_told(unreadable) + "\nreplace them, or leave them out with --skip-corrupt (skip_corrupt=True)")


def _told(unreadable: Sequence[Unreadable]) -> str:
    """How many images cannot be read, and the first of them with the reason, one a line."""
    lines = [f"  {image.name}: {image.reason}" for image in unreadable[:_LINES]]
    more = [f"  and {len(unreadable) - _LINES} more"] if len(unreadable) > _LINES else []
    return "\n".join((f"{len(unreadable)} image{'s' * (len(unreadable) > 1)} cannot be read:", *lines, *more))


def _finish(jobs: Sequence[Job], records: Sequence[Record]) -> Split:
    """Write the labels, shapes and names of a split, and remove what an earlier run of other images left."""
    folder = jobs[0].path.parent
    labels = [label for record in records for label in record.labels]
    shapes = [shape for record in records for shape in record.shapes]
    skipped = {image.name: None for record in records for image in record.unreadable}
    names = [name for job in jobs for name in job.names() if name not in skipped]
    if not labels:
        raise ValueError(f"{folder.name}: no image can be read")
    for path in folder.glob("shard-*"):
        if path.stem not in {job.path.stem for job in jobs}:
            path.unlink()
    return Split(
        count=len(labels),
        shards=tuple(
            Shard(file=job.path.name, count=len(record.shapes), sha256=record.sha256)
            for job, record in zip(jobs, records, strict=True)
        ),
        labels=_write_array(folder / LABELS, np.array(labels, np.int8 if isinstance(labels[0], tuple) else np.int64)),
        shapes=_write_array(folder / SHAPES, np.array(shapes, np.int32)),
        names=write_whole(folder / NAMES, json.dumps(names).encode()),
        skipped=tuple(skipped),
    )


def _write_array(path: Path, array: "np.ndarray[Any, Any]") -> str:
    """As np.save, but whole or not at all; returns the SHA-256 of the file."""
    content = io.BytesIO()
    np.save(content, array)
    return write_whole(path, content.getvalue())
