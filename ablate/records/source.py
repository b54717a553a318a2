"""A source of imported runs: what one file or folder says about runs, as a table with a row for each of its rows."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ablate.errors import UserError
from ablate.study.schema.values import version_in

PLACE = "\x00place"
"""The column that says where a row stands in its source: `row 3`, `run 4f2a`. No column of a user has this name."""
RUN_COLUMN, STEP_COLUMN = "run", "step"
"""The columns of the run and of the epoch or step in a tracker's source, see `of_runs`."""
REMOTE = "wandb:"
"""The beginning of a source that is a project on a server, not a path."""
_SETTING = re.compile(r"(?:^|[/,;_ -])([A-Za-z][\w.]*?)=([^/,;_ ]+)")
_WHOLE = r"^[-+]?[0-9]+$"
_CHUNK = 1 << 20


def is_remote(path: Path) -> bool:
    """Whether a source is a project on a server."""
    return path.as_posix().startswith(REMOTE)


@dataclass(frozen=True)
class Source:
    """The rows of one source: one for each run, or one for each epoch of each run, or both."""

    path: Path
    digest: str
    """SHA-256 of the file, or of the names and contents of the files that were read of a folder."""
    rows: pl.DataFrame
    """A column for each name; null where a row has no value; `PLACE` says where each row stands."""
    settings: frozenset[str] = frozenset()
    """Columns that are settings, where the source says so, as experiment trackers do."""
    metrics: frozenset[str] = frozenset()
    """Columns that are results, where the source says so."""
    about: frozenset[str] = frozenset()
    """Columns that only describe the run, such as its host or its start."""
    run: str | None = None
    """The column that names the run, where the source has one of its own."""
    step: str | None = None
    """The column that counts epochs or steps, where the source has one of its own."""

    @property
    def address(self) -> str:
        """Where a later command finds it again, from any folder."""
        return self.path.as_posix() if is_remote(self.path) else str(self.path.absolute())

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        return [name for name in self.rows.columns if name != PLACE]


def digest_of(paths: Sequence[Path], top: Path | None = None) -> str:
    """SHA-256 of a file; of several, that of their names relative to `top` and their hashes."""
    if top is None:
        return _hash(paths[0])
    listing = "".join(f"{_hash(path)}  {path.relative_to(top)}\n" for path in sorted(paths))
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def _hash(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            found.update(block)
    return found.hexdigest()


def from_rows(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """A table of rows whose values may have any types: a column of numbers and text becomes text."""
    names = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame([_column(name, [row.get(name) for row in rows]) for name in names])


def _column(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int} or kinds <= {bool} or kinds <= {str}:
        try:
            return pl.Series(name, values, strict=True)
        except (OverflowError, TypeError, pl.exceptions.PolarsError):
            pass
    if kinds == {float} or kinds == {int, float}:
        return pl.Series(name, [None if value is None else float(value) for value in values], pl.Float64)
    return pl.Series(name, [value if value is None else _text(value) for value in values], pl.String)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else {True: "true", False: "false"}[value] if isinstance(
        value, bool) else repr(value) if isinstance(value, (int, float)) else str(value)  # fmt: skip


def unreadable(path: Path, why: object, help: str | None = None) -> UserError:
    """The error for a source that cannot be read."""
    return UserError(
        f"{path} cannot be read: {str(why).strip().splitlines()[0] if str(why).strip() else why}", help=help
    )


def needs(library: str, what: str) -> UserError:
    """The error for a source whose library is not installed."""
    return UserError(f"{what} needs the library {library}", help=f"pip install {library}")


def of_runs(
    path: Path,
    digest: str,
    rows: Sequence[dict[str, Any]],
    settings: Iterable[str] = (),
    metrics: Iterable[str] = (),
    about: Iterable[str] = (),
) -> Source:
    """The source of an experiment tracker: rows with RUN_COLUMN, and those of an epoch or a step with STEP_COLUMN.

    Raises UserError if it has no finished runs.
    """
    if not rows:
        raise UserError(f"{path} has no finished runs", help="import it when a run has ended")
    places = [f"run {row[RUN_COLUMN]}" + (f", step {row[STEP_COLUMN]:g}" if STEP_COLUMN in row else "") for row in rows]
    table = from_rows(rows)
    table = table.select(
        typed(table[name]) if table.schema[name] == pl.String else pl.col(name) for name in table.columns
    )
    step = STEP_COLUMN if STEP_COLUMN in table.columns else None
    named = table.with_columns(pl.col(RUN_COLUMN).cast(pl.String), pl.Series(PLACE, places))
    return Source(path, digest, named, frozenset(settings), frozenset(metrics), frozenset(about), RUN_COLUMN, step)


def settings_in_path(path: str) -> dict[str, str]:
    """The settings that a run's path names, as `sweep/lr=0.1,seed=0` and `lr=0.1_seed=0` do."""
    return dict(_SETTING.findall(path))


def typed(column: pl.Series) -> pl.Series:
    """A column of text as whole numbers, numbers or truth values, if every value is one; empty texts are null.

    Whole numbers of which some have more than 64 bits stay text, and so do versions such as 3.9 and 3.10: as numbers,
    two of them could become one.
    """
    text = column.str.strip_chars()
    text = text.set(text == "", None)
    if _has_version(text):
        return text
    for kind in (pl.Int64, pl.Float64):
        numbers = text.cast(kind, strict=False)
        if numbers.null_count() == text.null_count():
            return numbers
        if kind == pl.Int64 and text.str.contains(_WHOLE).all():
            return text
    lower = text.str.to_lowercase()
    truths = lower.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    return truths if truths.null_count() == text.null_count() else text


def _has_version(text: pl.Series) -> bool:
    return bool(text.str.contains(r"\.\d+0$").any() and version_in(text.drop_nulls().unique()))


def as_numbers(column: pl.Series) -> pl.Series:
    """Results that `typed` left as text, such as counts above 64 bits, rounded to numbers; others as they are."""
    if column.dtype != pl.String:
        return column
    is_large = column.str.contains(_WHOLE).all() and column.str.contains("[0-9]{19}").any()
    numbers = column.cast(pl.Float64, strict=False)
    is_number = numbers.null_count() == column.null_count()
    return numbers if is_number and (is_large or _has_version(column)) else column
