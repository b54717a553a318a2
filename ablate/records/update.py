"""The update of the store: what changed on disk since the last one is read and inserted."""

import gc
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb

from ablate.records.files import Results, TrialFolder
from ablate.records.plans import current_design, planned_profiles, planned_trials, read_plans
from ablate.records.reading import Damaged, content
from ablate.records.series import METRICS, series_of
from ablate.records.sql import sql_type
from ablate.records.tables import TABLES, insert, insert_lines, line_of, replace_view, trial_rows

_BATCH = 500
_TAKEN = {*TABLES, "metrics", "store"}
"""Names that the view of a study cannot have."""
_OF_TRIALS = ("trials", "attempts", "internal.series", "internal.unread", "internal.digests")


def update_store(
    connection: duckdb.DuckDBPyConnection,
    results: Results,
    known: dict[str, str] | None,
    on_disk: dict[str, str],
    curves: bool,
) -> None:
    """Bring a store up to date, whose signatures are `known`; None for a new one, whose tables are created first.

    curves: False to leave the curves of done trials unread, whose attempts `internal.unread` then lists.
    """
    if known is None:  # a new database
        known = {}
        connection.execute("CREATE SCHEMA internal")
        for table, columns in TABLES.items():
            declared = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            connection.execute(f"CREATE TABLE {table} ({declared})")
        connection.execute(f"CREATE VIEW metrics AS {METRICS}")
        connection.execute("CREATE TABLE store AS SELECT 0::BIGINT AS version, 0::BIGINT AS time")
    outdated = sorted(name for name in known.keys() | on_disk.keys() if known.get(name) != on_disk.get(name))
    keys = [name for name in outdated if not name.startswith("study ")]
    if known:
        for table in _OF_TRIALS:
            connection.execute(f"DELETE FROM {table} WHERE key IN (SELECT unnest(?::VARCHAR[]))", [keys])
        connection.execute("DELETE FROM seen WHERE name IN (SELECT unnest(?::VARCHAR[]))", [outdated])
    now = time.time()
    with _no_collection():
        for first in range(0, len(keys), _BATCH):
            part = [results.trial(key) for key in keys[first : first + _BATCH] if key in on_disk]
            _insert_trials(connection, part, now)
        if curves:
            _insert_curves(connection, results)
    studies = {name.removeprefix("study ") for name in outdated if name.startswith("study ")}
    for study in sorted(studies):
        _replace_cells(connection, results, study)
    concerned = "SELECT DISTINCT study FROM cells WHERE key IN (SELECT unnest(?::VARCHAR[]))"
    for study in studies | {study for (study,) in connection.execute(concerned, [keys]).fetchall()}:
        if study.lower() not in _TAKEN:
            replace_view(connection, study)
    insert(connection, "seen", ({"name": name, "signature": on_disk[name]} for name in outdated if name in on_disk))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without searches for cyclic garbage: records make millions of objects, and none that refer to each other."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _insert_trials(connection: duckdb.DuckDBPyConnection, folders: Sequence[TrialFolder], now: float) -> None:
    """Insert what the folders contain. A few hundred at once, so that memory does not grow with the results."""
    lines: dict[str, list[bytes]] = {table: [] for table in _OF_TRIALS}
    for folder in folders:  # each becomes text at once, which takes less memory
        trial, attempts = trial_rows(folder, now)
        lines["trials"].append(line_of("trials", trial))
        if digest := _digest(folder):
            lines["internal.digests"].append(line_of("internal.digests", {"key": trial["key"], "digest": digest}))
        for each in attempts:
            lines["attempts"].append(line_of("attempts", each))
            if trial["state"] == "done":
                lines["internal.unread"].append(line_of("internal.unread", each))
            else:
                lines["internal.series"] += _series_lines(folder, each["attempt"])
    for table, of_table in lines.items():
        insert_lines(connection, table, of_table)


def _insert_curves(connection: duckdb.DuckDBPyConnection, results: Results) -> None:
    """Insert the curves that were left unread."""
    unread = connection.execute("SELECT key, attempt FROM internal.unread ORDER BY ALL").fetchall()
    for first in range(0, len(unread), _BATCH):
        part = unread[first : first + _BATCH]
        lines = [line for key, attempt in part for line in _series_lines(results.trial(key), attempt)]
        insert_lines(connection, "internal.series", lines)
    connection.execute("DELETE FROM internal.unread")


def _series_lines(folder: TrialFolder, attempt: str) -> list[bytes]:
    series = series_of(f"{folder.path}/attempts/{attempt}/metrics.jsonl")
    return [line_of("internal.series", about | {"key": folder.path.name, "attempt": attempt}) for about in series]


def _digest(folder: TrialFolder) -> str | None:
    """SHA-256 of a trial's result.json, by which pages name what they show; None if it cannot be read."""
    try:
        return hashlib.sha256(content(f"{folder.path}/result.json")).hexdigest()
    except (OSError, Damaged):
        return None


def _replace_cells(connection: duckdb.DuckDBPyConnection, results: Results, study: str) -> None:
    """Replace the cells of a study, the current version at each profile, and its axes."""
    for table in ("cells", "internal.axes", "internal.damage"):
        connection.execute(f"DELETE FROM {table} WHERE study = ?", [study])
    plans, damage = read_plans(results, study)
    insert(connection, "internal.damage", [{"study": study, "message": message} for message in damage])
    axes: dict[str, list[Any]] = {}
    rows = []
    for profile in planned_profiles(plans):
        current = current_design(plans, profile)
        for axis in current[-1].axes:
            axes.setdefault(axis.name, []).extend(axis.values)
        about = {"study": study, "profile": profile, "metric": current[-1].metric}
        for position, trial in enumerate(planned_trials(current)):
            own = {"axes": trial.cell.axes, "case": trial.cell.case, "seed": trial.seed, "key": trial.key}
            rows.append({**about, "position": position, **own})
    insert(connection, "cells", rows)
    types = [
        {"study": study, "name": name, "type": sql_type(values), "position": position}
        for position, (name, values) in enumerate(axes.items())
    ]
    insert(connection, "internal.axes", types)
