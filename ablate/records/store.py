"""The DuckDB store: an index over all records, brought up to date by whoever asks.

Records are the truth; this file may be deleted at any time. It is never changed in place: a copy is
brought up to date beside it and renamed over it, so that readers keep what they have open, and no process
waits for another. Trials whose files have not changed since the last time are not read again.
"""

import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.plans import current_design, load_plans, planned_trials
from ablate.records.rows import trial_rows
from ablate.records.sql import VALUE, sql_name, sql_text

_VERSION = 3
_TABLES = {
    "trials": {
        "key": "VARCHAR", "pretrain_key": "VARCHAR", "trainer": "VARCHAR", "recipe_version": "BIGINT",
        "seed": "BIGINT", "state": "VARCHAR", "top1": "DOUBLE", "loss": "DOUBLE", "seconds": "DOUBLE",
        "images": "VARCHAR", "attempt": "VARCHAR", "cause": "VARCHAR", "message": "VARCHAR", "numbers": "JSON",
        "config": "JSON",
    },
    "attempts": {
        "key": "VARCHAR", "attempt": "VARCHAR", "number": "BIGINT", "state": "VARCHAR", "cause": "VARCHAR",
        "message": "VARCHAR", "started": "DOUBLE", "ended": "DOUBLE", "host": "VARCHAR", "device": "VARCHAR",
        "code": "VARCHAR", "environment": "JSON",
    },
    "metrics": {
        "key": "VARCHAR", "attempt": "VARCHAR", "phase": "VARCHAR", "epoch": "BIGINT", "name": "VARCHAR",
        "value": "DOUBLE",
    },
    "cells": {
        "study": "VARCHAR", "profile": "VARCHAR", "case": "VARCHAR", "axes": "JSON", "seed": "BIGINT",
        "key": "VARCHAR", "metric": "VARCHAR", "position": "BIGINT",
    },
    "seen": {"name": "VARCHAR", "signature": "VARCHAR"},
}  # fmt: skip


def open_store(results: Results) -> duckdb.DuckDBPyConnection:
    """A read-only connection to the store, brought up to date first.

    Tables: `trials`, `attempts`, `metrics` (one row a value), `cells` (which trial stands in which cell of
    which study); and for each study a view of its name with a column for each axis, and `value`: the number
    that the study is about. Where the results folder cannot be written, the store is made in memory. Raises
    UserError where there is no such folder.
    """
    if not results.root.is_dir():
        raise UserError(f"there is no results folder {results.root}", help="run a study first, or give --results DIR")
    on_disk = signatures(results)
    known = _known_signatures(results.database)
    if known == on_disk:
        return duckdb.connect(str(results.database), read_only=True)
    try:
        _rebuild(results, known, on_disk)
    except (OSError, duckdb.Error):
        connection = duckdb.connect()
        _update(connection, results, None, on_disk)
        return connection
    return duckdb.connect(str(results.database), read_only=True)


@contextmanager
def store_of(results: Results, store: duckdb.DuckDBPyConnection | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """The store that the caller has open, and stays open; else one opened for as long as it is needed."""
    if store is not None:
        yield store
        return
    with open_store(results) as opened:
        yield opened


def _rebuild(results: Results, known: dict[str, str] | None, on_disk: dict[str, str]) -> None:
    """Bring a copy up to date on this machine's own disk, and put it in the place of the old one."""
    temporary = results.database.with_name(f".{results.database.name}.{os.getpid()}-{secrets.token_hex(4)}")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / results.database.name
        if known is not None:
            shutil.copyfile(results.database, copy)
        with duckdb.connect(str(copy)) as connection:
            _update(connection, results, known, on_disk)
            connection.execute("CHECKPOINT")  # closing would do it too, but would not tell of a full disk
        try:
            shutil.copyfile(copy, temporary)
            temporary.replace(results.database)
        finally:
            temporary.unlink(missing_ok=True)


def signatures(results: Results) -> dict[str, str]:
    """For each trial and study on disk, a text that changes when its records do; reads no file."""
    return {**_trial_signatures(results), **_study_signatures(results)}


def _trial_signatures(results: Results) -> dict[str, str]:
    """For each trial on disk, a text that changes when its record does; plain paths, for there may be thousands."""
    signatures = {}
    for folder in map(str, _entries(results.trials)):
        parts = [_stamp(f"{folder}/trial.json"), _stamp(f"{folder}/result.json")]
        for attempt in _names(f"{folder}/attempts"):
            files = (f"{folder}/attempts/{attempt}/{name}" for name in ("events.jsonl", "metrics.jsonl", "heartbeat"))
            parts += [attempt, *map(_stamp, files)]
        signatures[os.path.basename(folder)] = " ".join(parts)  # noqa: PTH119
    return signatures


def _study_signatures(results: Results) -> dict[str, str]:
    """For each study with plans, under the key `study <name>`, a text that changes when they do."""
    studies = _entries(results.root / "studies")
    return {f"study {study.name}": " ".join(sorted(map(_stamp, study.glob("plan-*.json")))) for study in studies}


def _entries(folder: Path) -> list[Path]:
    """The folders in a folder, without what a removal or a writer left behind."""
    try:
        return [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    except FileNotFoundError:
        return []


def _names(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208
    except FileNotFoundError:
        return []


def _stamp(path: str | Path) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return "-"
    return f"{status.st_mtime_ns}:{status.st_size}"


def _known_signatures(database: Path) -> dict[str, str] | None:
    """The signatures at the last update; None where there is no database that this version can read.

    A running trial may die without changing a file: its signature is not trusted.
    """
    if not database.exists():
        return None
    try:
        with duckdb.connect(str(database), read_only=True) as connection:
            if connection.execute("SELECT version FROM store").fetchall() != [(_VERSION,)]:
                return None
            seen = connection.execute("SELECT name, signature FROM seen").fetchall()
            running = connection.execute("SELECT key FROM trials WHERE state = 'running'").fetchall()
    except duckdb.Error:
        return None
    known = dict(seen)
    for (key,) in running:
        known[key] = "running"
    return known


def _update(
    connection: duckdb.DuckDBPyConnection, results: Results, known: dict[str, str] | None, on_disk: dict[str, str]
) -> None:
    if known is None:  # a new database
        known = {}
        for table, columns in _TABLES.items():
            declared = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            connection.execute(f"CREATE TABLE {table} ({declared})")
        connection.execute(f"CREATE TABLE store AS SELECT {_VERSION} AS version")
    outdated = sorted(name for name in known.keys() | on_disk.keys() if known.get(name) != on_disk.get(name))
    keys = [name for name in outdated if not name.startswith("study ")]
    for table in ("trials", "attempts", "metrics"):
        connection.execute(f"DELETE FROM {table} WHERE key IN (SELECT unnest(?::VARCHAR[]))", [keys])
    present = [key for key in keys if key in on_disk]
    now = time.time()
    trials, attempts = [], []
    for key in present:
        trial, its_attempts = trial_rows(results.trial(key), now)
        trials.append(trial)
        attempts += its_attempts
    _insert(connection, "trials", trials)
    _insert(connection, "attempts", attempts)
    _insert_metrics(
        connection, [path for key in present for path in results.trial(key).attempts.glob("*/metrics.jsonl")]
    )
    for name in outdated:
        if name.startswith("study "):
            _replace_study(connection, results, name.removeprefix("study "))
    connection.execute("DELETE FROM seen")
    _insert(connection, "seen", [{"name": name, "signature": text} for name, text in on_disk.items()])


def _replace_study(connection: duckdb.DuckDBPyConnection, results: Results, study: str) -> None:
    """The cells of a study, of each profile's newest design, and the view over them.

    An axis that a cell is without is NULL in the view. Every column is told with its table: an axis may be called
    like one of them, and ORDER BY would take the axis.
    """
    connection.execute("DELETE FROM cells WHERE study = ?", [study])
    plans = load_plans(results, study)
    axes: dict[str, list[Any]] = {}
    rows = []
    for profile in dict.fromkeys(plan["profile"] for plan in plans):
        current = current_design(plans, profile)
        for axis in current[-1]["axes"]:
            axes.setdefault(axis["name"], []).extend(axis["values"])
        about = {"study": study, "profile": profile, "metric": current[-1].get("metric") or "top1"}
        for position, trial in enumerate(planned_trials(current)):
            rows.append({**about, "position": position, **trial})
    _insert(connection, "cells", rows)
    columns = "".join(
        f"(cells.axes ->> {sql_text(f'/{name}')})::{_sql_type(values)} AS {sql_name(name)}, "
        for name, values in axes.items()
    )
    connection.execute(
        f"""CREATE OR REPLACE VIEW {sql_name(study)} AS
        SELECT cells.study, cells.profile, cells."case", {columns} cells.seed, cells.key,
            coalesce(trials.state, 'new') AS state, {VALUE} AS value,
            trials.top1, trials.loss, trials.seconds, trials.images
        FROM cells LEFT JOIN trials ON trials.key = cells.key WHERE cells.study = {sql_text(study)}
        ORDER BY cells.profile, cells.position"""
    )


def _sql_type(values: list[Any]) -> str:
    kinds = {type(value) for value in values}
    return {frozenset({bool}): "BOOLEAN", frozenset({int}): "BIGINT", frozenset({float}): "DOUBLE",
            frozenset({int, float}): "DOUBLE"}.get(frozenset(kinds), "VARCHAR")  # fmt: skip


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows by column name, through a file of JSON lines: DuckDB's fastest way in without Arrow."""
    if not rows:
        return
    columns = _TABLES[table]
    # Half of a surrogate pair, as in the name of a file that is not UTF-8, is replaced: DuckDB takes no such JSON.
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8", errors="replace") as file:
        lines = (json.dumps({name: row.get(name) for name in columns}, ensure_ascii=False) for row in rows)
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        connection.execute(
            f"INSERT INTO {table} BY NAME SELECT * FROM read_json(?, columns = ?, format = 'newline_delimited')",
            [file.name, columns],
        )


def _insert_metrics(connection: duckdb.DuckDBPyConnection, paths: list[Path]) -> None:
    """One row for each number of each line; a torn last line reads as null and is left out."""
    written = [str(path) for path in paths if path.stat().st_size]
    if written:
        connection.execute(
            """INSERT INTO metrics
            SELECT split_part(filename, '/', -4), split_part(filename, '/', -2), line.json ->> 'phase',
                TRY_CAST(line.json ->> 'epoch' AS BIGINT), item.key, TRY_CAST(item.value AS DOUBLE)
            FROM read_ndjson_objects(?, filename = true, ignore_errors = true) AS line, json_each(line.json) AS item
            WHERE line.json IS NOT NULL AND item.key NOT IN ('phase', 'epoch')""",
            [written],
        )
