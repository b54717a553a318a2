"""Writing and reading one attempt: events, metrics, heartbeat. The attempt is the only writer."""

import contextlib
import json
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

State = Literal["new", "running", "done", "failed", "interrupted"]


class AttemptWriter:
    """Appends events and metrics, and beats once every few seconds until closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._metrics = (path / "metrics.jsonl").open("a", encoding="utf-8")
        self._events = (path / "events.jsonl").open("a", encoding="utf-8")
        self._closed = threading.Event()
        self._beat = threading.Thread(target=self._beat_until_closed, daemon=True)
        (path / "heartbeat").touch()
        self._beat.start()

    def event(self, name: str, **details: Any) -> None:
        """Append one event with the time in seconds since 1970."""
        _append(self._events, {"event": name, "time": time.time(), **details})

    def metrics(self, row: Mapping[str, float | int | str]) -> None:
        """Append one row of metrics; numbers that are none (NaN) become null."""
        _append(self._metrics, {name: value if value == value else None for name, value in row.items()})

    def close(self) -> None:
        """Stop the heartbeat and close the files."""
        self._closed.set()
        self._beat.join()
        for file in (self._metrics, self._events):
            with contextlib.suppress(OSError):  # a full disk was told of when the line was appended
                file.close()

    def _beat_until_closed(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            os.utime(self.path / "heartbeat")


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
    events = {event["event"]: event for event in read_json_lines(attempt / "events.jsonl")}
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


def end_attempt_of_dead_process(folder: TrialFolder, cause: str, message: str) -> None:
    """Write the end that a process which died could not write; only its parent may, once it is gone."""
    attempts = folder.attempt_folders()
    if attempts and attempt_status(attempts[-1], time.time()).ended is None:
        with (attempts[-1] / "events.jsonl").open("a", encoding="utf-8") as events:
            end = {"event": "ended", "time": time.time(), "state": "failed", "cause": cause, "message": message}
            _append(events, end)


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
    """All whole lines of a JSONL file; a last line that was torn by a crash is left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows
