"""One shard of a pack: decoding its images, writing it atomically, and recognizing it after an interruption."""

import hashlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, ValidationError

from ablate.simclr.base.files import write_whole
from ablate.simclr.data.listing import FORMAT, Strict
from ablate.simclr.data.reader import Conversion, read_image, squashed, unreadable

_READER = 2
"""Raise it when `reader` gives other pixels: unfinished packs then make their shards again."""
Label = int | tuple[int, ...]
"""A class index, or one number per class."""


class Images(Protocol):
    """The images of one split in storage order. Accessed from several threads at once."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """The image's name in messages: its path."""
        ...

    def key(self, index: int) -> str:
        """Name, label and, for a file, the SHA-256 of its content; if it changes, the shard is rebuilt."""
        ...

    def open(self, index: int) -> tuple[Image.Image, Label]:
        """The image, possibly not yet decoded, and its label."""
        ...


class Unreadable(Strict):
    """A file that is not a readable image."""

    name: str
    reason: str


class Record(Strict):
    """The JSON next to a shard. `digest` covers the keys of its images and the storage format."""

    digest: str
    sha256: str = ""
    labels: tuple[Label, ...] = ()
    shapes: tuple[tuple[int, int], ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    changes: dict[str, int] = Field(default_factory=dict)
    """How many images were turned, transparent or deep gray."""


@dataclass(frozen=True)
class _Stored:
    label: Label
    shape: tuple[int, int]
    changes: frozenset[str]


@dataclass(frozen=True)
class Job:
    """Images `start` to `stop` of a split, to be stored in `path` with a side of `size` pixels."""

    images: Images
    start: int
    stop: int
    path: Path
    size: int
    skip: bool
    """Omit unreadable images; otherwise a shard with unreadable images is not written."""
    conversion: Conversion

    @property
    def record_path(self) -> Path:
        """The JSON next to the shard."""
        return self.path.with_suffix(".json")

    def names(self) -> list[str]:
        """The names of all its images, including unreadable ones."""
        return [self.images.name(index) for index in range(self.start, self.stop)]

    def finished(self) -> Record | None:
        """The record of this shard from an earlier run, if complete and with the same images."""
        try:
            record = Record.model_validate_json(self.record_path.read_bytes())
            stored = self.path.stat().st_size
        except (FileNotFoundError, ValidationError):
            return None
        as_wanted = record.digest == self._digest() and (self.skip or not record.unreadable)
        return record if as_wanted and stored == len(record.shapes) * 3 * self.size**2 else None

    def run(self, decoders: Executor, ended: Callable[[], None]) -> Record:
        """Decode with the threads of `decoders`, calling `ended` after each image, then write.

        Raises OSError with the path if a file cannot be opened or written.
        """
        pixels = np.empty((self.stop - self.start, 3, self.size, self.size), np.uint8)
        labels: list[Label] = []
        shapes, kept, unreadable = [], [], []
        changes: Counter[str] = Counter()
        outcomes = decoders.map(self._decode, range(self.start, self.stop), pixels)
        for row, outcome in enumerate(outcomes):
            ended()
            if isinstance(outcome, Unreadable):
                unreadable.append(outcome)
                continue
            kept.append(row)
            labels.append(outcome.label)
            shapes.append(outcome.shape)
            changes.update(outcome.changes)
        record = Record(
            digest=self._digest(),
            labels=tuple(labels),
            shapes=tuple(shapes),
            unreadable=tuple(unreadable),
            changes=dict(changes),
        )
        if unreadable:
            if not self.skip:
                return record
            pixels = pixels[kept]
        self.record_path.unlink(missing_ok=True)  # an old record would vouch for the new pixels
        record = record.model_copy(update={"sha256": write_whole(self.path, pixels.ravel().data)})
        write_whole(self.record_path, record.model_dump_json().encode())
        return record

    def _decode(self, index: int, out: NDArray[np.uint8]) -> "_Stored | Unreadable":
        try:
            image, label = self.images.open(index)
            with image:
                picture = read_image(image, self.conversion, self.size)
                out[:] = squashed(picture, self.size)
        except Exception as error:
            if (reason := unreadable(error)) is None:
                raise
            return Unreadable(name=self.images.name(index), reason=reason)
        return _Stored(label, picture.shape, picture.changes)

    def _digest(self) -> str:
        lines = (
            f"{FORMAT} {_READER} {self.size} {self.conversion}",
            *map(self.images.key, range(self.start, self.stop)),
        )
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
