"""Atomic writing of files, their hashes, and making way for them."""

import hashlib
import itertools
import os
from pathlib import Path


def write_whole(path: Path, content: bytes | memoryview) -> str:
    """Write a file atomically, safe against power cuts too; returns its SHA-256.

    Raises OSError with the path, for example if the disk is full.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        if os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # makes the new name durable
            finally:
                os.close(folder)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    return hashlib.sha256(content).hexdigest()


def move_aside(path: Path) -> Path:
    """Rename what is in the way, whatever it is, to `damaged-<n>-<name>` in the same folder; returns the new path.

    Links are renamed themselves, not what they lead to. Raises OSError.
    """
    names = (path.with_name(f"damaged-{number}-{path.name}") for number in itertools.count(1))
    return path.rename(next(name for name in names if not os.path.lexists(name)))


def remove_partials(folder: Path) -> None:
    """Remove the partial files that processes killed during `write_whole` left in a folder."""
    for partial in folder.glob(".*.part"):
        process = partial.name.split(".")[-2]
        if process.isdigit() and not _runs(int(process)):
            partial.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    if os.name != "posix":  # on Windows os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it belongs to another user
        return True
    return True


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
