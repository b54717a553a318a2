"""A CSV list of images: columns `path`, relative to the file's folder, `label` and `split`; the last two optional."""

import csv
import unicodedata
from pathlib import Path

from ablate.errors import nearest, visible
from ablate.simclr.data.scan import SPLITS, Found, join
from ablate.trainer.contract import DataError

_COLUMNS = ("path", "label", "split")


def is_list(path: Path) -> bool:
    """Whether a file's first line has a column `path`."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return "path" in [name.strip() for name in next(csv.reader(file), [])]


def read_list(path: Path) -> Found:
    """The images of a CSV list, without opening any.

    Raises DataError, with the line and advice, for unknown columns or splits, a missing file, a repeated path,
    and labels of some images only.
    """
    shown = visible(str(path))
    splits: dict[str, dict[str, list[str]]] = {}
    seen: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, skipinitialspace=True, strict=True, restkey="")
            if odd := [name for name in rows.fieldnames or [""] if name.strip() not in _COLUMNS]:
                message = f"{shown}:1: unknown column '{visible(odd[0])}'{nearest(odd[0], _COLUMNS)}"
                raise DataError(f"{message}; columns are: {', '.join(_COLUMNS)}")
            rows.fieldnames = [name.strip() for name in rows.fieldnames or []]
            for row in rows:
                image, split, label = _row(row, f"{shown}:{rows.line_num}")
                if not (path.parent / image).is_file():
                    raise DataError(f"{shown}:{rows.line_num}: the file {visible(str(path.parent / image))} is missing")
                if image in seen:
                    raise DataError(f"{shown}:{rows.line_num}: {visible(image)} is in line {seen[image]} too")
                seen[image] = rows.line_num
                splits.setdefault(split, {}).setdefault(label, []).append(image)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{shown} is not a CSV file in UTF-8: {error}") from error
    return join(path.parent, _checked(splits, shown), {})


def _row(row: "dict[str, str | None]", where: str) -> tuple[str, str, str]:
    """The path, split and label of a row."""
    if "" in row or None in row.values():
        raise DataError(f"{where}: the row and the first line differ in their number of columns")
    values = {name: (value or "").strip() for name, value in row.items()}
    if not values["path"]:
        raise DataError(f"{where}: the path is missing")
    split = SPLITS.get(values.get("split", "train").lower())
    if split is None:
        raise DataError(f"{where}: split '{visible(values['split'])}' is not one of: {', '.join(SPLITS)}")
    return values["path"], split, unicodedata.normalize("NFC", values.get("label", ""))


def _checked(splits: dict[str, dict[str, list[str]]], shown: str) -> dict[str, dict[str, list[str]]]:
    """The splits, if there are training images, and either all or none of the images have labels."""
    if "train" not in splits:
        raise DataError(f"{shown} lists no training images")
    labels = {label for of_split in splits.values() for label in of_split}
    if "" in labels and len(labels) > 1:
        (first, *_) = (of_split[""][0] for of_split in splits.values() if "" in of_split)
        raise DataError(f"{shown}: {visible(first)} has no label, but other images have one")
    if len(labels) == 1:  # one class says nothing
        return {split: {"": next(iter(of_split.values()))} for split, of_split in splits.items()}
    return splits
