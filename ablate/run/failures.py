"""Why an attempt ended: one word for the cause, and a message a person can act on."""

import errno
from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """The cause of a failed attempt, and what to tell of it."""

    cause: str
    message: str


def classify(error: BaseException) -> Failure:
    """The cause of an exception that ended a trial."""
    message = f"{type(error).__name__}: {error}"
    if type(error).__name__ == "Diverged":
        return Failure("diverged", str(error))
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return Failure("disk_full", "no space left on the disk of the results folder")
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return Failure("out_of_memory", f"{message}; a smaller encoder or more memory may help")
    if isinstance(error, (FileNotFoundError, ValueError)):
        return Failure("data", message)
    return Failure("exception", message)
