"""What the trainer of an attempt printed and logged, read as a whole or followed while it grows."""

import codecs
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ablate.errors import UserError
from ablate.records.attempt import STREAMS, attempt_status, events_of
from ablate.records.files import TrialFolder, attempt_number
from ablate.records.reading import MOST_BYTES_OF_LINES, Damaged, content, open_flags, read_json_lines

_POLL_SECONDS = 0.3
_CHUNK_BYTES = 1 << 20


def pick_attempt(folder: TrialFolder, number: int | None = None) -> Path | None:
    """The latest attempt, or the one with this number; None if there is no attempt yet."""
    attempts = folder.attempt_folders()
    if number is None:
        return attempts[-1] if attempts else None
    for attempt in attempts:
        if attempt_number(attempt) == number:
            return attempt
    have = ", ".join(str(attempt_number(attempt)) for attempt in attempts) or "none"
    raise UserError(f"the trial has no attempt {number}", help=f"attempts are: {have}")


def read_stream(attempt: Path, stream: str) -> str:
    """Everything that an attempt wrote to `stderr` or `stdout`."""
    try:
        return content(attempt / stream, MOST_BYTES_OF_LINES).decode(errors="replace")
    except FileNotFoundError:
        return ""
    except Damaged as error:
        return f"({error})\n"


def end_of_stream(attempt: Path, stream: str, most_bytes: int) -> tuple[str, int]:
    """The end of what an attempt wrote to `stderr` or `stdout`, in whole lines, and the bytes before it."""
    path = attempt / stream
    try:
        size = path.stat().st_size
    except OSError:
        size = 0
    start = max(0, size - most_bytes)
    text = _read(path, start)[:most_bytes]
    if start and b"\n" in text:
        first = text.index(b"\n") + 1
        start, text = start + first, text[first:]
    return text.decode(errors="replace"), start


def last_lines(attempt: Path, count: int) -> list[str]:
    """The last lines of stderr, or of stdout if stderr is empty."""
    lines = next(filter(None, (read_stream(attempt, stream).splitlines() for stream in STREAMS)), [])
    return lines[-count:]


def last_metrics(folder: TrialFolder) -> dict[str, Any]:
    """The last row of metrics of the latest attempt that wrote any."""
    for attempt in reversed(folder.attempt_folders()):
        if rows := read_json_lines(attempt / "metrics.jsonl"):
            return rows[-1]
    return {}


def returned_by(attempt: Path | None) -> dict[str, Any] | None:
    """What a trainer returned in an attempt that failed because the study's metric is not among it."""
    found = events_of(attempt).get("returned", {}).get("metrics") if attempt else None
    return found if isinstance(found, dict) else None


def follow(attempt: Path, sleep: Callable[[float], None] = time.sleep) -> Iterator[tuple[str, str]]:
    """(stream, text) for everything that an attempt has written and writes until it ends."""
    read = dict.fromkeys(STREAMS, 0)
    decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in STREAMS}
    while True:
        # checked before reading, so that the last output is not missed
        running = attempt_status(attempt, time.time()).state == "running"
        for stream in STREAMS:
            while chunk := _read(attempt / stream, read[stream]):
                read[stream] += len(chunk)
                if text := decoders[stream].decode(chunk):
                    yield stream, text
        if not running:
            return
        sleep(_POLL_SECONDS)


def _read(path: Path, start: int) -> bytes:
    try:
        descriptor = os.open(path, open_flags(os.O_RDONLY))
    except FileNotFoundError:
        return b""
    except OSError as error:
        return b"" if start else f"({path.name} cannot be read: {error.strerror})\n".encode()
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b"" if start else f"({path.name} is not a regular file)\n".encode()
        os.lseek(descriptor, start, os.SEEK_SET)
        return os.read(descriptor, _CHUNK_BYTES)
    finally:
        os.close(descriptor)
