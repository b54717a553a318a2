"""Attempts: writing and reading events, metrics and the heartbeat of one execution of a trial.

While an attempt runs, its folder has two files more: `heartbeat`, touched every few seconds, and `.reserve`.
"""

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
from typing import Any, Literal, TextIO, TypeVar

from ablate.records.files import TrialFolder, attempt_names
from ablate.records.reading import (
    Damaged,
    Ended,
    ResultRecord,
    Started,
    TrialRecord,
    believable,
    read_json_lines,
    read_object,
    read_result,
    read_trial,
    valid,
)

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
"""An attempt without an end and without a heartbeat for this long counts as dead."""
_RESERVED_BYTES = 8192
STREAMS = ("stderr", "stdout")

State = Literal["new", "running", "done", "failed", "interrupted", "damaged"]
_Event = TypeVar("_Event", Started, Ended)


class AttemptWriter:
    """Appends events and metrics, and updates the heartbeat every few seconds until closed."""

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

    def environment(self, facts: Mapping[str, Any]) -> None:
        """Append what this process runs on and with, and sync it: a result must not be without."""
        self.event("environment", facts=facts)
        os.fsync(self._events.fileno())

    def end(self, **outcome: Any) -> None:
        """Append the event `ended`; a reserve file guarantees space for it on a full disk."""
        self._reserve.unlink(missing_ok=True)
        self.event("ended", **outcome)
        tidy(self.path)

    def metrics(self, row: Mapping[str, Any]) -> None:
        """Append one row of metrics; NaN and infinity become null."""
        values = {str(name): plain(value) for name, value in row.items()}
        unwritable = [name for name, value in values.items() if isinstance(value, float) and not math.isfinite(value)]
        _append(self._metrics, values | dict.fromkeys(unwritable))

    def close(self) -> None:
        """Stop the heartbeat and close the files."""
        self._closed.set()
        self._beat.join()
        for file in (self._metrics, self._events):
            with contextlib.suppress(OSError):  # a full disk was reported when the line was appended
                file.close()
        self._reserve.unlink(missing_ok=True)

    def _beat_until_closed(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):  # a single failure of a network file system must not end the attempt
                os.utime(self.path / "heartbeat")


def plain(value: Any) -> Any:
    """The Python number in a scalar of numpy or torch; any other value unchanged."""
    return value.item() if callable(getattr(value, "item", None)) and getattr(value, "ndim", None) == 0 else value


def _append(file: TextIO, row: Mapping[str, Any]) -> None:
    file.write(json.dumps(row) + "\n")
    file.flush()


@dataclass(frozen=True)
class AttemptStatus:
    """The state of an attempt, read from its files."""

    state: State
    cause: str | None = None
    message: str | None = None
    started: float | None = None
    ended: float | None = None


Events = Mapping[str, dict[str, Any]]
"""The last event of each name."""


def attempt_status(attempt: Path | str, now: float, events: Events | None = None) -> AttemptStatus:
    """The status by an attempt's events and heartbeat; `now` is seconds since 1970. events: what `events_of` returned.

    An attempt that never said which process it is has no process: that is the first thing that it says.
    """
    events = events_of(attempt) if events is None else events
    started, ended = _event(Started, events), _event(Ended, events)
    began = started.time if started else None
    if ended is not None:
        return AttemptStatus(ended.state, ended.cause, ended.message, began, ended.time)
    try:
        beat = Path(attempt, "heartbeat").stat().st_mtime
    except OSError:
        beat = began or 0.0
    if started is not None and now - beat < STALE_SECONDS and _may_be_alive(started):
        return AttemptStatus("running", started=began)
    return AttemptStatus("interrupted", "lost", "its process disappeared", began, beat)


@dataclass(frozen=True)
class TrialState:
    """The state of a trial, and the records that prove it."""

    status: AttemptStatus
    spec: TrialRecord | None = None
    """None if trial.json is missing or damaged."""
    result: ResultRecord | None = None
    """Only of a trial that is done."""
    attempts: tuple[str, ...] = ()
    """The paths of their folders, oldest first."""


def read_state(folder: TrialFolder, now: float) -> TrialState:
    """The state of a trial by its records: the only place that decides it.

    It is done if it has a readable result that carries the trial's own key, in the trial's own folder. It is damaged if
    a record is missing, unreadable or of another trial; otherwise it has the state of its latest attempt.
    """
    place = str(folder.path)
    spec: TrialRecord | None = None
    attempts: tuple[str, ...] = ()
    try:
        attempts = tuple(f"{place}/attempts/{name}" for name in attempt_names(f"{place}/attempts"))
        with contextlib.suppress(FileNotFoundError):
            spec = read_trial(f"{place}/trial.json")
        for _ in range(2):  # the attempt may end between the reading of its result and that of its events
            with contextlib.suppress(FileNotFoundError):
                result = read_result(f"{place}/result.json")
                if spec is None:
                    raise Damaged("trial.json is missing")
                return TrialState(AttemptStatus("done"), spec, result, attempts)
            last = attempt_status(attempts[-1], now) if attempts else AttemptStatus("new")
            if last.state != "done":
                break
        else:
            raise Damaged(f"result.json is missing, although attempt {attempts[-1].rpartition('/')[2]} ended as done")
        whole = folder.path.is_dir() or not os.path.lexists(folder.path)
        if spec is None and (attempts or not whole):  # without attempts, another process may be about to write it
            raise Damaged("trial.json is missing" if whole else "it is not a folder")
    except (Damaged, OSError) as error:
        message = str(error) if isinstance(error, Damaged) else f"it cannot be read: {error.strerror or error}"
        return TrialState(AttemptStatus("damaged", "damaged", message), spec, None, attempts)
    return TrialState(last, spec, None, attempts)


def trial_status(folder: TrialFolder, now: float) -> AttemptStatus:
    """The state of a trial; see `read_state`."""
    return read_state(folder, now).status


def is_done(folder: TrialFolder) -> bool:
    """Whether a trial has a result that counts."""
    return os.path.lexists(folder.result) and read_state(folder, 0.0).status.state == "done"


def started_by(attempt: Path) -> tuple[str | None, int | None]:
    """Host and process id of an attempt; None if it ended before recording them."""
    started = _event(Started, events_of(attempt))
    return (started.host, started.pid) if started else (None, None)


def end_attempt_of_dead_process(attempt: Path, state: State, cause: str, message: str) -> str | None:
    """Record the end of an attempt whose process, a child of the caller, is gone; returns why that failed, or None."""
    if "ended" in events_of(attempt):
        return None
    try:
        (attempt / ".reserve").unlink(missing_ok=True)  # first, since the disk may be full
        add_event(attempt, "ended", state=state, cause=cause, message=message)
    except OSError as error:
        return error.strerror or str(error)  # a full disk must not stop the work on other trials
    tidy(attempt)
    return None


def environment_of(attempt: Path | str, events: Events | None = None) -> dict[str, Any]:
    """The environment that an attempt recorded: in an event, or in env.json as earlier versions did; empty if none."""
    events = events_of(attempt) if events is None else events
    facts = events.get("environment", {}).get("facts")
    return believable(facts if isinstance(facts, dict) else read_object(f"{attempt}/env.json"))


def tidy(attempt: Path) -> None:
    """Remove the files of an ended attempt that say nothing any more: its heartbeat, and output that it never wrote."""
    with contextlib.suppress(OSError):
        (attempt / "heartbeat").unlink(missing_ok=True)
        for stream in STREAMS:
            path = attempt / stream
            if path.exists() and not path.stat().st_size:
                path.unlink()


def add_event(attempt: Path, name: str, **details: Any) -> None:
    """Append an event to the record of an attempt whose process has ended; its last line may be truncated."""
    with (attempt / "events.jsonl").open("a", encoding="utf-8") as events:
        events.write("\n")
        _append(events, {"event": name, "time": time.time(), **details})


def events_of(attempt: Path | str) -> dict[str, dict[str, Any]]:
    """The last event of each name that an attempt recorded."""
    return {str(event.get("event")): event for event in read_json_lines(f"{attempt}/events.jsonl")}


def _event(model: type[_Event], events: Mapping[str, Any]) -> _Event | None:
    """The event that a model describes, if there is one of its form."""
    with contextlib.suppress(Damaged):
        name = model.__name__.lower()
        return valid(model, events[name], name) if name in events else None
    return None


def _may_be_alive(started: Started) -> bool:
    """Whether an attempt's process may still exist; only its own host can tell."""
    if started.host != platform.node() or started.pid is None or os.name != "posix":
        return True
    try:
        os.kill(started.pid, 0)
        state = Path(f"/proc/{started.pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except (OSError, IndexError):  # a process of another user, or not Linux
        return True
    return state not in ("Z", "X")  # dead, though its parent has not asked for its exit code
