"""What takes space below a folder: the times and sizes of its files, and temporary files that writers left."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


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


_TEMPORARY = re.compile(r"\..+\.(\d+)(-[0-9a-f]{8}|\.part)(\.wal|\.tmp)?")
"""Temporary names of write_bytes and of simclr's write_whole, with the process that writes; DuckDB adds endings."""


def temporaries(root: Path, inside: set[Path]) -> Iterator[tuple[Path, int | None]]:
    """Files and folders below `root` that only last while they are written, with the process that their names contain.

    Does not look into these folders, nor into those of `inside`, and follows no link.
    """
    for folder, inner, files in os.walk(root):
        here = Path(folder)
        names = set()
        for name in (*inner, *files):
            found = _TEMPORARY.fullmatch(name)
            if found or (name == ".reserve" and here.parent.name == "attempts"):  # space for an attempt's last event
                names.add(name)
                yield here / name, int(found[1]) if found else None
        inner[:] = [name for name in inner if name not in names and here / name not in inside]
