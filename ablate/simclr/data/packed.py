"""Reading a pack: batches gathered from memory-mapped shards, ahead of the training step."""

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ablate.simclr.base.files import file_sha256
from ablate.simclr.data.listing import LABELS, NAMES, SHAPES, read_index
from ablate.trainer.contract import DataError

_BLOCK = 2**18
"""Bytes gathered at once, few enough to stay in the processor's cache on their way to the batch."""

_THREADED = 2**14
"""Size of an image in bytes above which threads are worthwhile."""


class Packed:
    """One split of a pack. Opening it reads no image; images stay on disk and in the system's file cache.

    `size`: side of stored images in pixels; `classes`: names of the classes; `metric`: `top1`, `mean_per_class` or
    `map11`; `labels`: int64 (N,), or int8 (N, classes) if images have several classes; `shapes`: int32 (N, 2), original
    height and width of each image; `splits`: names of all splits.
    """

    def __init__(self, root: Path, split: str) -> None:
        """Open `train`, `test` or `val`. Raises DataError, with the path, if the pack is missing or damaged."""
        index = read_index(root)
        if split not in index.splits:
            raise DataError(f"{root} has no split {split}; it has {', '.join(index.splits)}")
        self.splits = tuple(index.splits)
        self._folder, self._split = root / split, index.splits[split]
        self.size, self.classes, self.metric = index.size, index.classes, index.metric
        self.labels: NDArray[np.int64] | NDArray[np.int8] = self._array(LABELS)
        self.shapes: NDArray[np.int32] = self._array(SHAPES)
        shards = [shard for shard in self._split.shards if shard.count]
        self._pixels = [self._map(shard.file, shard.count) for shard in shards]
        self._starts = np.cumsum([0] + [shard.count for shard in shards])
        if not self._starts[-1] == len(self.labels) == len(self.shapes) == self._split.count:
            raise _damaged(self._folder, "its files have different numbers of images")

    def __len__(self) -> int:
        return self._split.count

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The file names (N,), as train/<class>/<file> of an image folder. Raises DataError if they are damaged."""
        path = self._file(NAMES)
        try:
            names = tuple(json.loads(path.read_bytes()))
        except (TypeError, ValueError) as error:
            raise _damaged(path, str(error)) from error
        if len(names) != len(self):
            raise _damaged(self._folder / NAMES, f"it has {len(names)} names, not {len(self)}")
        return names

    def take(self, indices: NDArray[np.int64]) -> Tensor:
        """The images at `indices` (n,), in any order, with repetitions: uint8 (n, 3, size, size) on the CPU.

        Raises IndexError for an index that is negative or too large.
        """
        return self._gather(indices, pinned=False)

    def stream(self, orders: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[Tensor]:
        """The images of each array of indices, read ahead in a thread."""
        return feed(self, orders, device)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Compare the SHA-256 of every file with the index; calls `progress` with the files done and their number.

        Raises DataError naming the first file that differs.
        """
        wanted = {LABELS: self._split.labels, SHAPES: self._split.shapes, NAMES: self._split.names}
        wanted |= {shard.file: shard.sha256 for shard in self._split.shards}
        for done, (name, sha256) in enumerate(wanted.items(), 1):
            if file_sha256(self._file(name)) != sha256:
                raise _damaged(self._folder / name, "its SHA-256 differs from the index")
            if progress:
                progress(done, len(wanted))

    def _gather(self, indices: NDArray[np.int64], pinned: bool) -> Tensor:
        if len(indices) and (indices.min() < 0 or indices.max() >= len(self)):
            raise IndexError(f"indices from {indices.min()} to {indices.max()} of {len(self)} images")
        batch = torch.empty((len(indices), 3, self.size, self.size), dtype=torch.uint8, pin_memory=pinned)
        out, image_bytes = batch.numpy(), 3 * self.size**2
        order = np.argsort(indices, kind="stable")  # in the order on disk
        shards = np.searchsorted(self._starts, indices[order], side="right") - 1
        rows = indices[order] - self._starts[shards]

        def copy(start: int, stop: int) -> None:
            step = max(1, _BLOCK // image_bytes)
            while start < stop:
                shard = shards[start]
                end = min(stop, start + step, int(np.searchsorted(shards, shard, side="right")))
                out[order[start:end]] = self._pixels[shard][rows[start:end]]
                start = end

        if image_bytes < _THREADED:
            copy(0, len(indices))
        else:
            parts = np.linspace(0, len(indices), 4 * self._workers + 1).astype(int).tolist()
            list(self._threads.map(copy, parts[:-1], parts[1:]))
        return batch

    @cached_property
    def _workers(self) -> int:
        return min(8, os.cpu_count() or 1)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._workers, thread_name_prefix="gather")

    def _map(self, name: str, count: int) -> NDArray[np.uint8]:
        path, shape = self._file(name), (count, 3, self.size, self.size)
        if (found := path.stat().st_size) != (wanted := int(np.prod(shape))):
            raise _damaged(path, f"it has {found} bytes instead of {wanted}")
        return np.memmap(path, np.uint8, "r", shape=shape)

    def _array(self, name: str) -> "NDArray[Any]":
        path = self._file(name)
        try:
            return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]
        except (ValueError, EOFError) as error:
            raise _damaged(path, str(error)) from error

    def _file(self, name: str) -> Path:
        """The path of a file. Raises DataError if it is missing, or a folder or a pipe, which would block."""
        if not (path := self._folder / name).is_file():
            raise _damaged(path, "it is not a file" if os.path.lexists(path) else "it is missing")
        return path


def feed(images: Packed, orders: Iterable[NDArray[np.int64]], device: torch.device, ahead: int = 2) -> Iterator[Tensor]:
    """Yield the batch of every array of indices, uint8 (n, 3, size, size) on `device`, in the order of `orders`.

    A thread gathers `ahead` batches (at least 1) in advance; for CUDA, into pinned memory, from which they are copied
    asynchronously. An exception in the thread is raised here in place of its batch. Closing the generator ends the
    thread.
    """
    cuda, wanted = device.type == "cuda", iter(orders)
    gathered: deque[Future[Tensor]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="feed") as thread:

        def order(count: int) -> None:
            gathered.extend(thread.submit(images._gather, indices, cuda) for indices in islice(wanted, count))

        try:
            order(max(1, ahead))
            while gathered:
                batch = gathered.popleft().result()
                order(1)
                yield batch.to(device, non_blocking=True) if cuda else batch
        finally:
            thread.shutdown(wait=False, cancel_futures=True)


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"{path}: the pack is damaged: {why}; delete it and pack again")
