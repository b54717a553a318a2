"""Writing and reading one attempt: events, metrics, heartbeat. The attempt is the only writer."""

import contextlib
import json
import math
import os
import platform
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from ablate.records.files import TrialFolder

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
"""An attempt that neither ended nor beat for so long is dead."""
_RESERVED_BYTES = 8192

State = Literal["new", "running", "done", "failed", "interrupted"]


class AttemptWriter:
    """Appends events and metrics, and beats once every few seconds until closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reserve = path / ".reserve"
        self._reserve.write_bytes(bytes(_RESERVED_BYTES))
        self._metrics = (path / "metrics.jsonl").open("a", encoding="utf-8")
        self._events = (path / "events.jsonl").open("a", encoding="utf-8")
        self._closed = threading.Event()
        self._beat = threading.Thread(target=self._beat_until_closed, daemon=True)
        (path / "heartbeat").touch()
        self._beat.start()

    def event(self, name: str, **details: Any) -> None:
        """Append one event with the time in seconds since 1970."""
        _append(self._events, {"event": name, "time": time.time(), **details})

    def end(self, **outcome: Any) -> None:
        """Append the event `ended`, for which there is room on a full disk too."""
        self._reserve.unlink(missing_ok=True)
        self.event("ended", **outcome)

    def metrics(self, row: Mapping[str, Any]) -> None:
        """Append one row of metrics; numbers that are none (NaN, infinity) become null."""
        values = {str(name): plain(value) for name, value in row.items()}
        _append(self._metrics, {name: value if _is_number(value) else None for name, value in values.items()})

    def close(self) -> None:
        """Stop the heartbeat and close the files."""
        self._closed.set()
        self._beat.join()
        for file in (self._metrics, self._events):
            with contextlib.suppress(OSError):  # a full disk was told of when the line was appended
                file.close()
        self._reserve.unlink(missing_ok=True)

    def _beat_until_closed(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):  # a network file system that stumbles once is no end of an attempt
                os.utime(self.path / "heartbeat")


def plain(value: Any) -> Any:
    """The Python number in a scalar of numpy or torch; anything else as it is."""
    return value.item() if callable(getattr(value, "item", None)) and getattr(value, "ndim", None) == 0 else value


def _is_number(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _append(file: TextIO, row: Mapping[str, Any]) -> None:
    file.write(json.dumps(row) + "\n")
    file.flush()


@dataclass(frozen=True)
class AttemptStatus:
    """How an attempt stands, from its files."""

    state: State
    cause: str | None = None
    message: str | None = None
    started: float | None = None
    ended: float | None = None


def attempt_status(attempt: Path, now: float) -> AttemptStatus:
    """Read an attempt's events and heartbeat; `now` is seconds since 1970."""
    events = _events(attempt)
    started = events.get("started", {}).get("time")
    if end := events.get("ended"):
        return AttemptStatus(end["state"], end.get("cause"), end.get("message"), started, end["time"])
    try:
        beat = (attempt / "heartbeat").stat().st_mtime
    except FileNotFoundError:
        beat = attempt.stat().st_mtime
    if now - beat < STALE_SECONDS and _may_live(events.get("started", {})):
        return AttemptStatus("running", started=started)
    return AttemptStatus("interrupted", "lost", "its process ended without a word", started, beat)


def trial_status(folder: TrialFolder, now: float) -> AttemptStatus:
    """How a trial stands: done when it has a result, else as its newest attempt."""
    if folder.result.exists():
        return AttemptStatus("done")
    attempts = folder.attempt_folders()
    return attempt_status(attempts[-1], now) if attempts else AttemptStatus("new")


def started_by(attempt: Path) -> tuple[str | None, int | None]:
    """The host and the process that an attempt began in; None where it did not come so far as to say."""
    started = _events(attempt).get("started", {})
    return started.get("host"), started.get("pid")


def end_attempt_of_dead_process(attempt: Path, state: State, cause: str, message: str) -> None:
    """Write the end that a process which died could not write; only its parent may, once it is gone."""
    if "ended" in _events(attempt):
        return
    end = {"event": "ended", "time": time.time(), "state": state, "cause": cause, "message": message}
    with (attempt / "events.jsonl").open("a", encoding="utf-8") as events:
        events.write("\n")  # the last line may be torn
        _append(events, end)
    (attempt / ".reserve").unlink(missing_ok=True)


def _events(attempt: Path) -> dict[str, dict[str, Any]]:
    """The last event of each name."""
    return {str(event.get("event")): event for event in read_json_lines(attempt / "events.jsonl")}


def _may_live(started: dict[str, Any]) -> bool:
    """Whether an attempt's process may still be there; known only on its own host."""
    if started.get("host") != platform.node() or os.name != "posix":
        return True
    try:
        os.kill(started["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a JSONL file; a line that was torn by a crash is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
