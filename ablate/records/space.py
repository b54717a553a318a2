"""What takes space below a folder: the times and sizes of its files, and temporary files that writers left."""

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from ablate.records.attempt import attempt_status
from ablate.records.files import FOLDERS

DAY = 86_400.0
MONTH = 30 * DAY


def is_closed(folder: Path) -> bool:
    """Whether a folder may not be read, so that what it contains and needs is unknown."""
    return not os.access(folder, os.R_OK | os.X_OK)


def statuses(path: Path) -> Iterator[os.stat_result]:
    """The status of a file, or of a folder and all that it contains; links are not followed, vanished files skipped."""
    folders = os.walk(path) if not path.is_symlink() else ()
    names = (Path(folder) / name for folder, _, files in folders for name in ("", *files))
    for name in (path, *names):
        with suppress(FileNotFoundError, NotADirectoryError):
            yield name.lstat()


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder, without following links."""
    return sum(each.st_size for each in statuses(path) if not stat.S_ISDIR(each.st_mode))


def last_write(path: Path) -> float:
    """The time of the last write to a file, or in a folder; now if it no longer exists."""
    return max((each.st_mtime for each in statuses(path)), default=time.time())


def older(paths: Iterable[Path], now: float, age: float) -> list[Path]:
    """Those to which nothing was written in the last `age` seconds."""
    return [path for path in paths if now - last_write(path) >= age]


_TEMPORARY = re.compile(r"\..+\.(\d+)(-[0-9a-f]{8}|\.part)(\.wal|\.tmp)?")
"""Temporary names of write_bytes and of simclr's write_whole, with the process that writes; DuckDB adds endings."""


def leftovers(root: Path, inside: set[Path], now: float) -> Iterator[Path]:
    """Old temporary files and folders in a results folder, except in those of `inside`, whose writer is gone."""
    for path, process in _temporaries(root, inside):
        with suppress(FileNotFoundError):  # its writer just renamed it
            age = now - path.lstat().st_mtime
            if age >= DAY and not _may_be_written(path, process, age, now):
                yield path


def _may_be_written(path: Path, process: int | None, age: float, now: float) -> bool:
    """Whether the writer may live: its attempt runs, or a process of this machine has its id; not after a month."""
    if path.name == ".reserve":
        return attempt_status(path.parent, now).state == "running"
    return process is not None and age < MONTH and Path("/proc", str(process)).exists()


def _temporaries(root: Path, inside: set[Path]) -> Iterator[tuple[Path, int | None]]:
    """Files and folders that only last while they are written, with the process that their names contain.

    Does not look into these folders, nor into those of `inside` and of others than ablate, and follows no link.
    """
    for folder, inner, files in os.walk(root):
        here = Path(folder)
        if here == root:
            inner[:] = [name for name in inner if name in FOLDERS]
            files = [name for name in files if name.startswith(".ablate.duckdb.")]
        names = set()
        for name in (*inner, *files):
            found = _TEMPORARY.fullmatch(name)
            if found or (name == ".reserve" and here.parent.name == "attempts"):  # space for an attempt's last event
                names.add(name)
                yield here / name, int(found[1]) if found else None
        inner[:] = [name for name in inner if name not in names and here / name not in inside]
