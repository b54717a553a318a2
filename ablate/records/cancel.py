"""Asking a trial to end: a file in its folder, which whoever runs it looks for."""

import getpass
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime

from ablate.records.files import TrialFolder, write_json

LOOK_SECONDS = 0.5
"""A running attempt looks for the file so often: a network file system answers each look."""


def request_cancel(folder: TrialFolder) -> None:
    """Ask that a trial end, and not start, until `clear_cancel`."""
    write_json(folder.cancel, {"time": datetime.now(UTC).isoformat(timespec="seconds"), "by": _who()})


def clear_cancel(folder: TrialFolder) -> None:
    """Take back what `request_cancel` asked for: the trial is to run after all."""
    folder.cancel.unlink(missing_ok=True)


def cancel_requested(folder: TrialFolder) -> bool:
    """Whether someone asked that the trial end."""
    return folder.cancel.exists()


def watch_for_cancel(folder: TrialFolder, clock: Callable[[], float] = time.monotonic) -> Callable[[], bool]:
    """A function that a trainer may call at every step: whether someone asked that the trial end."""
    asked, looked = False, float("-inf")

    def cancelled() -> bool:
        nonlocal asked, looked
        if not asked and clock() - looked >= LOOK_SECONDS:
            asked, looked = cancel_requested(folder), clock()
        return asked

    return cancelled


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        user = "?"
    return f"{user}@{platform.node()}"
