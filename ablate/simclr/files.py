"""Files that are there whole or not at all, and their hashes."""

import hashlib
import os
from pathlib import Path


def write_whole(path: Path, content: bytes | memoryview) -> str:
    """Write a file so that it is there whole or not at all, also after a power cut; returns its SHA-256.

    Raises OSError with the path, for example when the disk is full.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name, too
        finally:
            os.close(folder)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    return hashlib.sha256(content).hexdigest()


def remove_partials(folder: Path) -> None:
    """Remove what `write_whole` began in a folder in processes that were killed meanwhile."""
    for partial in folder.glob(".*.part"):
        process = partial.name.split(".")[-2]
        if process.isdigit() and not _runs(int(process)):
            partial.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
