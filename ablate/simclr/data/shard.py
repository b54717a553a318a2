"""One shard of a pack: decoding its images, writing it whole, and knowing it again after an interruption."""

import errno
import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydantic import ValidationError

from ablate.simclr.data.index import FORMAT, Strict
from ablate.simclr.files import write_whole

Label = int | tuple[int, ...]
"""A class index, or a number for every class."""

_BAD = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises over the content of a file."""

_OF_CONTENT = (None, errno.EINVAL)
"""Of an OSError: Pillow's own have no number, a seek by a wrong header says EINVAL; others are the disk's fault."""


class Images(Protocol):
    """The images of one split in the order in which they are stored. Asked from several threads at once."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What a person calls the image: its path."""
        ...

    def key(self, index: int) -> str:
        """Its name, label and, of a file, its size: another key means that a shard must be made again."""
        ...

    def open(self, index: int) -> tuple[Image.Image, Label]:
        """The image, perhaps not decoded yet, and its label."""
        ...


class Unreadable(Strict):
    """An image that is none."""

    name: str
    reason: str


class Record(Strict):
    """What lies beside a shard as JSON. `digest` is that of the keys of its images and of how they are stored."""

    digest: str
    sha256: str = ""
    labels: tuple[Label, ...] = ()
    shapes: tuple[tuple[int, int], ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True)
class Job:
    """Images `start` to `stop` of a split, to be stored as `path` with `size` pixels a side."""

    images: Images
    start: int
    stop: int
    path: Path
    size: int
    skip: bool
    """Leave out what cannot be read; else no shard is written that lacks an image."""

    @property
    def record_path(self) -> Path:
        """The JSON beside the shard."""
        return self.path.with_suffix(".json")

    def names(self) -> list[str]:
        """The names of all its images, also of those that cannot be read."""
        return [self.images.name(index) for index in range(self.start, self.stop)]

    def finished(self) -> Record | None:
        """The record of this shard from an earlier run, if that had the same images and ended."""
        try:
            record = Record.model_validate_json(self.record_path.read_bytes())
            stored = self.path.stat().st_size
        except (FileNotFoundError, ValidationError):
            return None
        as_wanted = record.digest == self._digest() and (self.skip or not record.unreadable)
        return record if as_wanted and stored == len(record.shapes) * 3 * self.size**2 else None

    def run(self, decoders: Executor, ended: Callable[[], None]) -> Record:
        """Decode with the threads of `decoders`, calling `ended` after each image, then write.

        Raises OSError with the path when a file cannot be opened or written.
        """
        pixels = np.empty((self.stop - self.start, 3, self.size, self.size), np.uint8)
        labels: list[Label] = []
        shapes, kept, unreadable = [], [], []
        outcomes = decoders.map(self._decode, range(self.start, self.stop), pixels)
        for row, outcome in enumerate(outcomes):
            ended()
            if isinstance(outcome, Unreadable):
                unreadable.append(outcome)
                continue
            kept.append(row)
            labels.append(outcome[0])
            shapes.append(outcome[1])
        record = Record(digest=self._digest(), labels=tuple(labels), shapes=tuple(shapes), unreadable=tuple(unreadable))
        if unreadable:
            if not self.skip:
                return record
            pixels = pixels[kept]
        self.record_path.unlink(missing_ok=True)  # an older one would speak for the new pixels
        record = record.model_copy(update={"sha256": write_whole(self.path, pixels.ravel().data)})
        write_whole(self.record_path, record.model_dump_json().encode())
        return record

    def _decode(self, index: int, out: NDArray[np.uint8]) -> tuple[Label, tuple[int, int]] | Unreadable:
        try:
            image, label = self.images.open(index)
            with image:
                shape = (image.height, image.width)
                out[:] = squash(image, self.size)
        except _BAD as error:
            if isinstance(error, OSError) and error.errno not in _OF_CONTENT:
                raise
            reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error)
            return Unreadable(name=self.images.name(index), reason=reason or type(error).__name__)
        return label, shape

    def _digest(self) -> str:
        return _sha256_lines([f"{FORMAT} {self.size}", *map(self.images.key, range(self.start, self.stop))])


def squash(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """A whole image as uint8 (3, size, size): bicubic and antialiased, each side on its own.

    A JPEG is decoded at a fraction of its size where both sides stay at least `size`.
    """
    image.draft("RGB", (size, size))
    squashed = in_8_bits(image).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(squashed).transpose(2, 0, 1)


def in_8_bits(image: Image.Image) -> Image.Image:
    """Gray of 16 bits by its upper 8, where Pillow would clip it to white."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image, np.uint16) >> 8).astype(np.uint8))
    return image


def _sha256_lines(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()
