"""What each view shows, read from the watcher's store a page of rows at a time. Names are looked up in the records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ablate.records.address import SHORT, StudyCell, addresses
from ablate.records.attempt import STREAMS
from ablate.records.compare import flat
from ablate.records.curves import live_curves
from ablate.records.detail import Attempt, Detail, read_detail
from ablate.records.logs import end_of_stream
from ablate.records.metric import as_number
from ablate.records.plain import ago
from ablate.records.status import STATES, Running, Standing
from ablate.report.render.html import page_name
from ablate.report.render.text import cut
from ablate.serve.charts import drawing
from ablate.study.cells.cell import Cell

if TYPE_CHECKING:
    from ablate.serve.watcher import Watcher

ROWS = 100
"""Trials on a page of a table."""
_MOST_RUNNING = 24
"""Running trials with a curve in one view."""
_POINTS, _MOST_CURVES = 200, 12
_TAIL_BYTES = 16_000
_LOG_BYTES = 1 << 20
_LONGEST_VALUE = 300


class NotRecorded(Exception):
    """The records have nothing of this name."""


@dataclass(frozen=True)
class Card:
    """One study at one profile on the index."""

    standing: Standing
    title: str
    question: str
    running: list[dict[str, Any]]
    page: str | None
    """The name of its report page, if it has been written."""


def index(watcher: Watcher, reports: Path) -> dict[str, Any]:
    """All studies, those first that are running."""
    standings = sorted(watcher.status.standings, key=lambda each: (not each.counts["running"], each.study))
    running = [trial for standing in standings for trial in standing.running]
    with watcher.cursor() as store:
        drawn = _drawn(store, running[:_MOST_RUNNING])
    cards = []
    for standing in standings:
        own = [drawn[trial.key] for trial in standing.running if trial.key in drawn][:4]
        cards.append(Card(standing, *_title(watcher, standing.study), own, _page(standing, reports)))
    return {"cards": cards, "status": watcher.status, "states": STATES}


def study(
    watcher: Watcher, reports: Path, name: str, profile: str | None, state: str | None, page: int
) -> dict[str, Any]:
    """One study: its running trials with curves, the causes of its failures, and a page of its trials.

    state: only trials of this state. Raises NotRecorded for an unknown study or profile.
    """
    of_name = [each for each in watcher.status.standings if each.study == name]
    standing = next((each for each in of_name if profile in (None, each.profile)), None)
    if standing is None:
        raise NotRecorded(f"no study '{cut(name)}'" + (f" at the profile '{cut(profile)}'" if profile else ""))
    state = state if state in STATES else None
    with watcher.cursor() as store:
        total = standing.counts[state] if state else standing.trials
        page = max(1, min(page, -(-total // ROWS)))
        rows = _trials(store, watcher, standing, state, page)
        drawn = _drawn(store, standing.running[:_MOST_RUNNING])
    title, question = _title(watcher, name)
    return {
        "standing": standing, "title": title, "question": question, "state": state, "states": STATES, "rows": rows,
        "running": list(drawn.values()), "unseen": len(standing.running) - len(drawn), "page": page, "total": total,
        "pages": max(1, -(-total // ROWS)), "profiles": [each.profile for each in of_name],
        "report": _page(standing, reports), "clusters": [
            each.text for each in watcher.status.clusters if (each.study, each.profile) == (name, standing.profile)],
    }  # fmt: skip


def trial(watcher: Watcher, key: str) -> dict[str, Any]:
    """One trial: its curves, results, attempts, settings, cause of failure, and the end of its log."""
    with watcher.cursor() as store:
        detail = _detail(store, key)
        found = live_curves(store, [key], _POINTS, _MOST_CURVES).get(key, ())
        curves = [drawing(each) for each in found if each.rows > 1 or detail.state == "running"]  # one row has no shape
    attempt = detail.attempts[-1] if detail.attempts else None
    ends = [(stream, *_end(watcher, key, attempt, stream, _TAIL_BYTES)) for stream in STREAMS] if attempt else []
    trained = detail.curve.of if detail.curve.losses and detail.curve.of != key else None
    return {
        "detail": detail, "short": key[:SHORT], "curves": curves,
        "attempts": [_attempt(each) for each in detail.attempts],
        "logs": [each for each in ends if each[1]], "waits": watcher.waiting.get(key), "trained": trained,
        "numbers": {name: _text(value) for name, value in detail.numbers.items()},
        "settings": {name: _text(value) for name, value in flat(detail.config).items()},
    }  # fmt: skip


def log(watcher: Watcher, key: str, attempt: str | None, stream: str) -> dict[str, Any]:
    """The end of what an attempt printed; by default the latest one."""
    with watcher.cursor() as store:
        detail = _detail(store, key)
    named = [each for each in detail.attempts if attempt in (None, each.name)]
    if not named or stream not in STREAMS:
        raise NotRecorded("no such log")
    text, before = _end(watcher, key, named[-1], stream, _LOG_BYTES)
    return {
        "detail": detail, "short": key[:SHORT], "attempt": named[-1], "stream": stream, "text": text, "before": before,
        "streams": STREAMS, "attempts": [each.name for each in detail.attempts],
    }  # fmt: skip


def queue(watcher: Watcher, page: int) -> dict[str, Any]:
    """What runs now, and a page of the trials that have not begun or were interrupted, in the order of their plans."""
    running = [(each, trial) for each in watcher.status.standings for trial in each.running]
    with watcher.cursor() as store:
        counted = store.execute(f"SELECT count(DISTINCT (study, profile, key)) {_WAITING}").fetchone()
        total = counted[0] if counted else 0
        page = max(1, min(page, -(-total // ROWS)))
        rows = store.execute(
            f"""SELECT study, profile, axes, "case", cells.seed, key, coalesce(state, 'new') {_WAITING}
            QUALIFY row_number() OVER (PARTITION BY study, profile, key ORDER BY position) = 1
            ORDER BY study, profile, position LIMIT {ROWS} OFFSET ?""",
            [ROWS * (page - 1)],
        ).fetchall()
    waiting = [
        {"study": study, "profile": profile, "key": key, "short": key[:SHORT], "state": state,
         "label": _label(study, profile, axes, case, seed), "waits": watcher.waiting.get(key, "")}
        for study, profile, axes, case, seed, key, state in rows
    ]  # fmt: skip
    return {
        "running": [{"standing": each, "trial": trial, "beat": ago(trial.beat)} for each, trial in running[:ROWS]],
        "count": len(running), "waiting": waiting, "total": total, "page": page, "pages": max(1, -(-total // ROWS)),
        "clusters": [each.text for each in watcher.status.clusters],
    }  # fmt: skip


_WAITING = "FROM cells LEFT JOIN trials USING (key) WHERE coalesce(state, 'new') IN ('new', 'interrupted')"


def report_file(watcher: Watcher, reports: Path, name: str) -> Path:
    """The file of a report page that belongs to a recorded study. Raises NotRecorded for any other name."""
    known = {page_name(each.study, each.profile) for each in watcher.status.standings}
    if name not in known:
        raise NotRecorded(f"no report page '{cut(name)}'")
    return reports / f"{name}.html"


def _page(standing: Standing, reports: Path) -> str | None:
    name = page_name(standing.study, standing.profile)
    return name if (reports / f"{name}.html").is_file() else None


def _title(watcher: Watcher, study: str) -> tuple[str, str]:
    return watcher.titles.get(study, (study, ""))


def _drawn(store: duckdb.DuckDBPyConnection, running: Sequence[Running]) -> dict[str, dict[str, Any]]:
    """Key -> a running trial with its curve."""
    curves = live_curves(store, [trial.key for trial in running], _POINTS)
    return {
        trial.key: {
            "trial": trial, "short": trial.key[:SHORT], "beat": ago(trial.beat), "since": ago(trial.since),
            "curve": drawing(curves[trial.key][0]) if trial.key in curves else None,
        }
        for trial in running
    }  # fmt: skip


def _trials(
    store: duckdb.DuckDBPyConnection, watcher: Watcher, standing: Standing, state: str | None, page: int
) -> list[dict[str, Any]]:
    rows = store.execute(
        f"""SELECT key, axes, "case", seed, now, metric, numbers, seconds, cause, message FROM (
            SELECT key, axes, "case", cells.seed, position, metric, numbers, seconds, cause, message,
                CASE WHEN list_contains($waiting::VARCHAR[], key) AND coalesce(state, 'new') NOT IN ('done', 'running')
                    THEN 'queued' ELSE coalesce(state, 'new') END AS now
            FROM cells LEFT JOIN trials USING (key) WHERE study = $study AND profile = $profile
            QUALIFY row_number() OVER (PARTITION BY key ORDER BY position) = 1
        ) WHERE now = coalesce($state, now) ORDER BY position LIMIT {ROWS} OFFSET $skipped""",
        {"waiting": list(watcher.waiting), "study": standing.study, "profile": standing.profile, "state": state,
         "skipped": ROWS * (page - 1)},
    ).fetchall()  # fmt: skip
    found = []
    for key, axes, case, seed, now, metric, numbers, seconds, cause, message in rows:
        value = as_number(json.loads(numbers or "{}").get(metric or ""))
        found.append(
            {"key": key, "short": key[:SHORT], "label": _label(standing.study, standing.profile, axes, case, seed),
             "state": now, "metric": metric, "value": "" if value is None else f"{value:.6g}",
             "took": "" if seconds is None else ago(seconds), "cause": cause, "message": message or ""}
        )  # fmt: skip
    return found


def _label(study: str, profile: str, axes: str, case: str | None, seed: int) -> str:
    return StudyCell(study, profile, Cell(json.loads(axes), case), seed).label


def _detail(store: duckdb.DuckDBPyConnection, key: str) -> Detail:
    known = store.execute("SELECT key FROM trials WHERE key = $1 UNION SELECT key FROM cells WHERE key = $1", [key])
    if known.fetchone() is None:
        raise NotRecorded(f"no trial '{cut(key)}'")
    return read_detail(store, addresses(store, [key])[0])


def _end(watcher: Watcher, key: str, attempt: Attempt, stream: str, most: int) -> tuple[str, int]:
    return end_of_stream(watcher.results.trial(key).attempts / attempt.name, stream, most)


def _attempt(attempt: Attempt) -> dict[str, Any]:
    began = "" if attempt.started is None else _clock(attempt.started)
    took = ago(attempt.ended - attempt.started) if attempt.started and attempt.ended else ""
    where = ", ".join(filter(None, (attempt.host, attempt.device)))
    return {"attempt": attempt, "began": began, "took": took, "where": where}


def _clock(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"
    except (OverflowError, OSError, ValueError):  # of a damaged record
        return ""


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return cut(value if isinstance(value, str) else json.dumps(value, default=str), _LONGEST_VALUE)
