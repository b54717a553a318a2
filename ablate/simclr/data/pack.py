"""Packing: decode and resize every image once, into shards that are then memory-mapped.

Images are stored whole, squashed to a square, along with their original sides. Random crops can thus be drawn in the
original geometry, which a stored centre square would not allow.
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

from ablate.simclr.base.files import remove_partials, write_whole
from ablate.simclr.data import listing
from ablate.simclr.data.archives import find_archives, read_archives
from ablate.simclr.data.content import hashes
from ablate.simclr.data.listing import Index, Metric, find_images, is_pack, read_index
from ablate.simclr.data.reader import AS_USUAL, Conversion, open_image
from ablate.simclr.data.scan import Found, draw_test
from ablate.simclr.data.shard import Images, Job, Label, Record

Progress = Callable[[int, int], None]
"""Called with the number of finished images and the total."""

SHARD_BYTES = 64 * 2**20
"""Maximum size of a shard. Two are in memory at a time: one is decoded while the other is written."""

_LINES = 20


def pack(
    source: Path,
    destination: Path,
    size: int = 256,
    workers: int | None = None,
    progress: Progress | None = None,
    skip_corrupt: bool = False,
    share: float | None = None,
    conversion: Conversion = AS_USUAL,
) -> Index:
    """Pack an image folder or a CSV list of images, in the layouts that `scan` describes, or `archives`.

    ImageNet's usual layout, train/ and val/ without test/, counts as train and test; from a folder without either,
    `share` of every class is drawn for testing. Images are stored by class, then by file name. After an interruption,
    the same call keeps finished shards; after completion, it does nothing. `workers` threads decode, by default one
    per core.

    Raises ValueError, with advice, if a folder is invalid, if `destination` contains something else, or, unless
    `skip_corrupt`, if images are unreadable (up to 20 are named; finished shards are kept for the next run). Raises
    OSError with the path, for example if the disk is full.
    """
    images: dict[str, Images]
    if archives := find_archives(source):
        found, of = read_archives(source, archives)
        found = _with_test(draw_test(found, share) if share else found)
        images = {split: of(found, split) for split in found.splits}
    else:
        found = _with_test(find_images(source, share))
        contents = hashes(source, found)
        images = {
            split: _Files(found.root, found.files(split), files.labels, contents[split])
            for split, files in found.splits.items()
        }
    index = Index(name="folder", size=size, classes=found.classes, splits={})
    return _pack(images, destination, index, workers, progress, skip_corrupt, conversion)


def _with_test(found: Found) -> Found:
    if "test" not in found.splits:
        raise ValueError(f"{found.root} has no test images; add test/, or draw some with --split 0.1 (share=0.1)")
    return found


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
    """Pack pairs of image and label, as in torchvision's data sets; splits are train, test and optionally val.

    A label is a class index, or a tuple with one small number per class. Items are read when needed, from several
    threads. Finished shards of an earlier run are kept if `name`, the split and its length are the same, so each data
    set needs its own name. Raises like `pack`.
    """
    images = {split: _Items(items, f"{name}/{split}") for split, items in splits.items()}
    index = Index(name=name, size=size, classes=tuple(classes), metric=metric, splits={})
    return _pack(images, destination, index, workers, progress, skip_corrupt)


@dataclass(frozen=True)
class _Files:
    root: Path
    paths: Sequence[Path]
    labels: Sequence[int]
    hashes: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        name = self.paths[index].relative_to(self.root).as_posix()
        return os.fsencode(name).decode(errors="backslashreplace")  # so that JSON can store any name

    def key(self, index: int) -> str:
        return f"{self.name(index)} {self.labels[index]} {self.hashes[index]}"

    def open(self, index: int) -> tuple[Image.Image, Label]:
        return open_image(self.paths[index]), self.labels[index]


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


def _pack(
    images: Mapping[str, Images],
    destination: Path,
    index: Index,
    workers: int | None,
    progress: Progress | None,
    skip: bool,
    conversion: Conversion = AS_USUAL,
) -> Index:
    jobs = {
        split: _jobs(of_split, destination / split, index.size, skip, conversion) for split, of_split in images.items()
    }
    if is_pack(destination):
        return _the_same(destination, index, jobs)
    for split in jobs:
        (destination / split).mkdir(parents=True, exist_ok=True)
        if any(path.is_dir() for path in (destination / split).iterdir()):
            raise ValueError(f"{destination / split} contains folders and cannot hold a pack; choose a new folder")
    for folder in (destination, *(destination / split for split in jobs)):
        remove_partials(folder)
    records = _run(jobs, workers, progress or (lambda done, total: None))
    _refuse_unreadable(records, skip)
    splits = {split: _finish(jobs[split], records[split]) for split in jobs}
    index = index.model_copy(update={"splits": splits}).sealed()
    write_whole(destination / listing.INDEX, (index.model_dump_json(indent=1) + "\n").encode())
    return index


def _jobs(images: Images, folder: Path, size: int, skip: bool, conversion: Conversion) -> list[Job]:
    step = max(1, SHARD_BYTES // (3 * size**2))
    return [
        Job(images, start, min(start + step, len(images)), folder / f"shard-{number:05}.bin", size, skip, conversion)
        for number, start in enumerate(range(0, len(images), step))
    ]


def _the_same(destination: Path, wanted: Index, jobs: Mapping[str, list[Job]]) -> Index:
    """The index of a complete pack, if it has the wanted images."""
    found = read_index(destination)
    alike = found.model_copy(update={"splits": {}, "fingerprint": ""}) == wanted and set(found.splits) == set(jobs)
    if not alike or any(job.finished() is None for job in chain.from_iterable(jobs.values())):
        raise ValueError(
            f"{destination} contains another pack ({found.name}, {found.size} pixels, "
            f"{sum(split.count for split in found.splits.values())} images); choose another folder or delete it"
        )
    return found


def _run(jobs: Mapping[str, list[Job]], workers: int | None, progress: Progress) -> dict[str, list[Record]]:
    """Write all unfinished shards, two at a time: one is decoded while the other is written."""
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
    """Raise ValueError with the number of unreadable images and the first of them, one per line, with the reason."""
    unreadable = [image for of_split in records.values() for record in of_split for image in record.unreadable]
    if skip or not unreadable:
        return
    lines = [f"{len(unreadable)} image{'s' * (len(unreadable) > 1)} cannot be read:"]
    lines += [f"  {image.name}: {image.reason}" for image in unreadable[:_LINES]]
    lines += [f"  and {len(unreadable) - _LINES} more"] if len(unreadable) > _LINES else []
    raise ValueError("\n".join((*lines, "replace them, or omit them with --skip-corrupt (skip_corrupt=True)")))


def _finish(jobs: Sequence[Job], records: Sequence[Record]) -> listing.Split:
    """Write the labels, shapes and names of a split, and remove files of earlier runs with other images."""
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
    kind = np.int8 if isinstance(labels[0], tuple) else np.int64
    return listing.Split(
        count=len(labels),
        shards=tuple(
            listing.Shard(file=job.path.name, count=len(record.shapes), sha256=record.sha256)
            for job, record in zip(jobs, records, strict=True)
        ),
        labels=_write_array(folder / listing.LABELS, np.array(labels, kind)),
        shapes=_write_array(folder / listing.SHAPES, np.array(shapes, np.int32)),
        names=write_whole(folder / listing.NAMES, json.dumps(names).encode()),
        skipped=tuple(skipped),
    )


def _write_array(path: Path, array: "np.ndarray[Any, Any]") -> str:
    """np.save, but atomic; returns the SHA-256 of the file."""
    content = io.BytesIO()
    np.save(content, array)
    return write_whole(path, content.getvalue())
