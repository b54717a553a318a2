"""What an attempt printed, and how to follow it while it runs."""

import codecs
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ablate.errors import UserError
from ablate.records.attempt import attempt_status, read_json_lines
from ablate.records.files import TrialFolder, attempt_number

STREAMS = ("stderr", "stdout")
_LOOK_SECONDS = 0.3
_PART = 1 << 20


def pick_attempt(folder: TrialFolder, number: int | None = None) -> Path | None:
    """The newest attempt, or the one of a number; None where there is no attempt yet."""
    attempts = folder.attempt_folders()
    if number is None:
        return attempts[-1] if attempts else None
    for attempt in attempts:
        if attempt_number(attempt) == number:
            return attempt
    have = ", ".join(str(attempt_number(attempt)) for attempt in attempts) or "none"
    raise UserError(f"the trial has no attempt {number}", help=f"attempts are: {have}")


def read_stream(attempt: Path, stream: str) -> str:
    """All that an attempt wrote to `stderr` or `stdout`."""
    try:
        return (attempt / stream).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def last_lines(attempt: Path, count: int) -> list[str]:
    """The last lines of stderr; of stdout where nothing was written there."""
    lines = next(filter(None, (read_stream(attempt, stream).splitlines() for stream in STREAMS)), [])
    return lines[-count:]


def last_metrics(folder: TrialFolder) -> dict[str, Any]:
    """The last row of metrics that any attempt wrote."""
    for attempt in reversed(folder.attempt_folders()):
        if rows := read_json_lines(attempt / "metrics.jsonl"):
            return rows[-1]
    return {}


def follow(attempt: Path, sleep: Callable[[float], None] = time.sleep) -> Iterator[tuple[str, str]]:
    """(stream, text) for all that an attempt wrote and goes on to write, until it ends."""
    read = dict.fromkeys(STREAMS, 0)
    decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in STREAMS}
    while True:
        running = attempt_status(attempt, time.time()).state == "running"  # asked first: what it wrote last is read
        for stream in STREAMS:
            while part := _read(attempt / stream, read[stream]):
                read[stream] += len(part)
                if text := decoders[stream].decode(part):
                    yield stream, text
        if not running:
            return
        sleep(_LOOK_SECONDS)


def _read(path: Path, start: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(_PART)
    except FileNotFoundError:
        return b""
