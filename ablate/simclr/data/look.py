"""What `ablate data look` tells about a folder or list: what would be read, what not and why, and a contact sheet."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ablate.errors import visible
from ablate.simclr.data.content import hashes
from ablate.simclr.data.folder import Decoded, decode
from ablate.simclr.data.listing import find_images
from ablate.simclr.data.reader import DEEP, INVISIBLE, TRANSPARENT, TURNED, Conversion
from ablate.simclr.data.scan import Files, Found

_AT_ONCE = 256
_SHOWN = 10
"""At most this many paths are printed for a reason."""
_CLASSES, _EACH, _SIDE, _GAP = 12, 8, 96, 4


@dataclass(frozen=True)
class Looked:
    """A folder or list with all its images decoded once."""

    found: Found
    splits: dict[str, Decoded]
    """Split -> its images, of which only the readable ones and their number are kept: no pixels."""
    shared: tuple[tuple[str, str], ...]
    """Pairs of a test and a training image with the same content."""


def look_into(root: Path, share: float | None, conversion: Conversion, progress: Callable[[int, int], None]) -> Looked:
    """Decode every image once; `progress` gets the images done and their number. Raises DataError or OSError."""
    found = find_images(root, share)
    total = sum(len(files.paths) for files in found.splits.values())
    done, splits = 0, {}
    for split in found.splits:
        paths, parts = found.files(split), []
        for start in range(0, len(paths), _AT_ONCE):
            parts.append(decode(paths[start : start + _AT_ONCE], 8, conversion))
            done += len(paths[start : start + _AT_ONCE])
            progress(done, total)
        splits[split] = _summed(parts)
    return Looked(found, splits, _shared(root, found))


def _summed(parts: list[Decoded]) -> Decoded:
    read = [part.read + number * _AT_ONCE for number, part in enumerate(parts)]
    mistakes = tuple(line for part in parts for line in part.mistakes)
    changes: Counter[str] = sum((part.changes for part in parts), Counter())
    return Decoded(np.empty((0, 3, 8, 8), np.uint8), np.concatenate(read), mistakes, changes)


def _shared(root: Path, found: Found) -> tuple[tuple[str, str], ...]:
    if "test" not in found.splits:
        return ()
    train, test = (found.splits[split].paths for split in ("train", "test"))
    contents = hashes(root, found)
    of_train = dict(zip(contents["train"], train, strict=True))
    pairs = zip(contents["test"], test, strict=True)
    return tuple((path, of_train[sha256]) for sha256, path in pairs if sha256 in of_train)


def report(looked: Looked) -> Iterator[str]:
    """The lines that are printed."""
    found = looked.found
    for split, files in found.splits.items():
        read = len(looked.splits[split].read)
        yield f"{split}: {read:,} images{_classes(files, found.classes)}"
        yield from (f"  {count:,} {what}: {_HOW[what]}" for what, count in sorted(looked.splits[split].changes.items()))
    if "test" not in found.splits:
        yield "test: none; draw some with data.split = 0.1 (here: --split 0.1)"
    for split, decoded in looked.splits.items():
        if decoded.mistakes:
            yield f"unreadable in {split}: {len(decoded.mistakes):,}; data.skip_corrupt = true leaves them out"
            yield from _some(decoded.mistakes)
    if found.omitted:
        yield f"left out: {sum(map(len, found.omitted.values())):,}"
        for why, paths in found.omitted.items():
            shown = ", ".join(visible(path) for path in paths[:3])
            yield f"  {len(paths):,} {visible(why)}: {shown}{', ...' if len(paths) > 3 else ''}"
    if looked.shared:
        yield f"in test with the same content as in train: {len(looked.shared):,}"
        yield from _some(tuple(f"{visible(test)} = {visible(train)}" for test, train in looked.shared))


_HOW = {
    TURNED: "shown upright",
    TRANSPARENT: "laid on data.background",
    INVISIBLE: "only data.background is visible",
    DEEP: "scaled to 8 bits, see data.white_level",
}


def _classes(files: Files, classes: tuple[str, ...]) -> str:
    if not classes:
        return " without labels"
    counts = files.counts(len(classes))
    each = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
    names = ", ".join(map(visible, classes[:_SHOWN])) + (", ..." if len(classes) > _SHOWN else "")
    return f" of {len(classes):,} classes ({each} each): {names}"


def _some(lines: tuple[str, ...]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"  and {len(lines) - _SHOWN:,} more"


def contact_sheet(looked: Looked, conversion: Conversion, split: str = "train") -> Image.Image:
    """A row of training images for each of some classes, as training sees them at 96 pixels."""
    found, decoded = looked.found, looked.splits[split]
    labels = np.array(found.splits[split].labels, np.int64)[decoded.read]
    paths, known = found.files(split), np.unique(labels)
    rows = min(len(known), _CLASSES) if found.classes else _CLASSES
    sheet = Image.new("RGB", (_EACH * (_SIDE + _GAP), rows * (_SIDE + 16 + _GAP)), "#ffffff")
    pen = ImageDraw.Draw(sheet)
    for row in range(rows):
        label = known[row * len(known) // rows]
        of_row = decoded.read[labels == label][:_EACH] if found.classes else decoded.read[row * _EACH :][:_EACH]
        top = row * (_SIDE + 16 + _GAP)
        name = found.classes[label] if found.classes and len(of_row) else ""
        pen.text((2, top + 2), visible(name, 80), "#000000", font_size=11)
        images = decode([paths[place] for place in of_row], _SIDE, conversion).pixels
        for column, pixels in enumerate(images):
            sheet.paste(Image.fromarray(pixels.transpose(1, 2, 0)), (column * (_SIDE + _GAP), top + 16))
    return sheet
