"""Why an attempt ended: one word for the cause, and a message a person can act on."""

import contextlib
import errno
import json
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ablate.errors import UserError
from ablate.records.files import write_json


@dataclass(frozen=True)
class Failure:
    """The cause of a failed attempt, and what to tell of it."""

    cause: str
    message: str


class SettingsRefused(UserError):
    """A trial's settings are none of its trainer's any more."""


def classify(error: BaseException) -> Failure:
    """The cause of an exception that ended a trial."""
    message = f"{type(error).__name__}: {error}"
    if type(error).__name__ == "Diverged":
        return Failure("diverged", str(error))
    if any(map(_is_full_disk, _chain(error))):
        return Failure("disk_full", "no space left on the disk of the results folder")
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return Failure("out_of_memory", f"{message}; a smaller encoder or more memory may help")
    if isinstance(error, UserError):
        return Failure("config" if isinstance(error, SettingsRefused) else "trainer", error.problems[0].message)
    if isinstance(error, FileNotFoundError) or (isinstance(error, ValueError) and _comes_from_data(error)):
        return Failure("data", message)
    return Failure("exception", message)


def note_failure_of_rank(attempt: Path, rank: int, error: Exception) -> None:
    """Leave what ended a rank that is not the first: the first only sees that it is gone."""
    failure = classify(error)
    write_json(attempt / f"rank-{rank}.json", {"cause": failure.cause, "message": failure.message})


def failure_of_another_rank(attempt: Path) -> Failure | None:
    """What the rank that failed before all others left of it; None where none did."""
    for path in sorted(attempt.glob("rank-*.json"), key=lambda path: path.stat().st_mtime_ns):
        with contextlib.suppress(OSError, ValueError, KeyError):
            told = json.loads(path.read_text(encoding="utf-8"))
            return Failure(str(told["cause"]), f"{path.stem}: {told['message']}")
    return None


def _comes_from_data(error: BaseException) -> bool:
    """Whether reading the images raised it: any other part may find a value odd for reasons of its own."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(Path(frame.filename).parts[-3:-1] == ("simclr", "data") for frame in frames)


def _is_full_disk(error: BaseException) -> bool:
    """Also where a library tells of it in words of its own."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or "no space left on device" in str(error).lower()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, and those that led to it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
