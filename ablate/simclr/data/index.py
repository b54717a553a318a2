"""What a pack says of itself: index.json, written last, so that where it stands the pack is whole.

    DIR/index.json
    DIR/<split>/shard-00000.bin    raw uint8 (n, 3, size, size); beside it a .json, for packing alone
    DIR/<split>/labels.npy         int64 (N,), or int8 (N, classes) where an image has several classes
    DIR/<split>/shapes.npy         int32 (N, 2): height and width of each image before it was squashed
    DIR/<split>/names.json         the N file names, below the packed folder

Imports neither torch nor numpy: a study is planned without them.
"""

import hashlib
import json
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FORMAT: Final = 1
"""Raised when the layout changes; a reader takes its own only."""
INDEX, LABELS, SHAPES, NAMES = "index.json", "labels.npy", "shapes.npy", "names.json"

Metric = Literal["top1", "mean_per_class", "map11"]


class Strict(BaseModel):
    """Base of what packing leaves as JSON: nothing unknown, nothing converted, nothing changed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class Shard(Strict):
    """One file of pixels: its name in the split's folder, its images, the SHA-256 of its bytes."""

    file: str
    count: int = Field(ge=0)
    sha256: str


class Split(Strict):
    """The files of one split."""

    count: int = Field(ge=1)
    """Images in all shards together."""
    shards: tuple[Shard, ...]
    labels: str
    """SHA-256 of labels.npy."""
    shapes: str
    """SHA-256 of shapes.npy."""
    names: str
    """SHA-256 of names.json."""
    skipped: tuple[str, ...] = ()
    """Names of the images that could not be read and were left out."""


class Index(Strict):
    """All of index.json."""

    format: Literal[1] = FORMAT
    name: str
    """A data set's name, or `folder`."""
    size: int = Field(ge=1)
    """Side in pixels at which images are stored."""
    classes: tuple[str, ...]
    metric: Metric = "top1"
    """What the data set is judged by."""
    splits: dict[str, Split]
    """`train`, `test`, and `val` where one is given."""
    fingerprint: str = ""
    """SHA-256 over all of the above."""

    def sealed(self) -> "Index":
        """The same with its fingerprint."""
        content = json.dumps(self.model_dump(mode="json", exclude={"fingerprint"}), sort_keys=True)
        return self.model_copy(update={"fingerprint": hashlib.sha256(content.encode()).hexdigest()})


def is_pack(root: Path) -> bool:
    """Whether a folder holds a whole pack."""
    return (root / INDEX).is_file()


def read_index(root: Path) -> Index:
    """The index of a pack. Raises ValueError, with the path and what to do, where there is none or it is damaged."""
    path = root / INDEX
    if not path.is_file():
        raise ValueError(f"{root} is not a whole pack: it has no {INDEX}; write it with `ablate data pack SRC {root}`")
    try:
        index = Index.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{path} is damaged or of another version of ablate; delete {root} and pack again") from error
    if index.sealed() != index or not {"train", "test"} <= set(index.splits):
        raise ValueError(f"{path} is damaged: its fingerprint is not that of its content; delete {root} and pack again")
    return index
