"""How a worker process is told to stop, and why: a signal for each cause; and what it came to."""

import contextlib
import signal

from ablate.records.files import Results

STOPS = {"stopped": signal.SIGTERM, "timeout": signal.SIGUSR2, "preempted": signal.SIGUSR1}
"""Cause of the interrupted attempt -> signal."""
CAUSES = {number: cause for cause, number in STOPS.items()}


def interruption(results: Results, key: str, attempt: str, cause: str) -> tuple[str, str]:
    """The cause of an attempt that ended before its trial was done, and where the next one begins.

    A `timeout` is `unsaved` where nothing was saved since the attempt began: with the same time, the next one would
    come no further.
    """
    if cause == "timeout" and not _saved(results, key, attempt):
        return "unsaved", "it had saved nothing, and another attempt begins where it began"
    return cause, "it goes on from its last checkpoint"


def _saved(results: Results, key: str, attempt: str) -> bool:
    """Whether a file among the trial's checkpoints is younger than the attempt; true where that cannot be known."""
    folder = results.trial(key)
    with contextlib.suppress(OSError):
        began = (folder.attempts / attempt / "env.json").stat().st_mtime_ns  # by the clock that the others have, too
        files = results.pretrained(folder.pretrain_key).rglob("*")
        return any(path.stat().st_mtime_ns >= began for path in files if path.is_file())
    return True
