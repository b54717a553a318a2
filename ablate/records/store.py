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
from pathlib import Path
from typing import Any

import duckdb

from ablate.errors import UserError
from ablate.records.attempt import attempt_status
from ablate.records.files import Results, TrialFolder, attempt_number
from ablate.records.plans import current_design, load_plans, planned_trials

_VERSION = 1
_TABLES = {
    "trials": {
        "key": "VARCHAR", "pretrain_key": "VARCHAR", "seed": "BIGINT", "state": "VARCHAR", "top1": "DOUBLE",
        "loss": "DOUBLE", "seconds": "DOUBLE", "images": "VARCHAR", "attempt": "VARCHAR", "cause": "VARCHAR",
        "message": "VARCHAR", "numbers": "JSON", "config": "JSON",
    },
    "attempts": {
        "key": "VARCHAR", "attempt": "VARCHAR", "number": "BIGINT", "state": "VARCHAR", "cause": "VARCHAR",
        "message": "VARCHAR", "started": "DOUBLE", "ended": "DOUBLE", "environment": "JSON",
    },
    "metrics": {
        "key": "VARCHAR", "attempt": "VARCHAR", "phase": "VARCHAR", "epoch": "BIGINT", "name": "VARCHAR",
        "value": "DOUBLE",
    },
    "cells": {
        "study": "VARCHAR", "profile": "VARCHAR", "case": "VARCHAR", "axes": "JSON", "seed": "BIGINT",
        "key": "VARCHAR", "position": "BIGINT",
    },
    "seen": {"name": "VARCHAR", "signature": "VARCHAR"},
}  # fmt: skip


def open_store(results: Results) -> duckdb.DuckDBPyConnection:
    """A read-only connection to the store, brought up to date first.

    Tables: `trials`, `attempts`, `metrics` (one row a value), `cells` (which trial stands in which cell of
    which study); and for each study a view of its name with a column for each axis. Where the results
    folder cannot be written, the store is made in memory. Raises UserError where there is no such folder.
    """
    if not results.root.is_dir():
        raise UserError(f"there is no results folder {results.root}", help="run a study first, or give --results DIR")
    on_disk = {**_trial_signatures(results), **_study_signatures(results)}
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


def _trial_signatures(results: Results) -> dict[str, str]:
    """For each trial on disk, a text that changes when its record does."""
    signatures = {}
    for folder in _entries(results.trials):
        times = []
        for attempt in TrialFolder(folder).attempt_folders():
            times += [
                attempt.name,
                *(_stamp(attempt / name) for name in ("events.jsonl", "metrics.jsonl", "heartbeat")),
            ]
        signatures[folder.name] = " ".join([_stamp(folder / "trial.json"), _stamp(folder / "result.json"), *times])
    return signatures


def _study_signatures(results: Results) -> dict[str, str]:
    """For each study with plans, under the key `study <name>`, a text that changes when they do."""
    studies = _entries(results.root / "studies")
    return {f"study {study.name}": " ".join(sorted(map(_stamp, study.glob("plan-*.json")))) for study in studies}


def _entries(folder: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()]
    except FileNotFoundError:
        return []


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
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
        try:
            trial, its_attempts = _read_trial(results.trial(key), now)
        except (OSError, ValueError, KeyError) as error:
            trial, its_attempts = {"key": key, "state": "damaged", "message": str(error)}, []
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


def _read_trial(folder: TrialFolder, now: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The rows of a trial and of its attempts."""
    spec = json.loads(folder.trial.read_text(encoding="utf-8"))
    result = json.loads(folder.result.read_text(encoding="utf-8")) if folder.result.exists() else {}
    attempts = []
    for path in folder.attempt_folders():
        status = attempt_status(path, now)
        environment = path / "env.json"
        attempts.append(
            {
                "key": spec["key"],
                "attempt": path.name,
                "number": attempt_number(path),
                "environment": json.loads(environment.read_text(encoding="utf-8")) if environment.exists() else None,
                **vars(status),
            }
        )
    last = attempts[-1] if attempts else {"attempt": None, "state": "new", "cause": None, "message": None}
    numbers = {name: value for name, value in result.items() if name not in ("key", "attempt")}
    trial = {
        "key": spec["key"],
        "pretrain_key": spec["pretrain_key"],
        "seed": spec["config"].get("seed"),
        "state": "done" if result else last["state"],
        **{name: numbers.get(name) for name in ("top1", "loss", "seconds", "images")},
        "attempt": result.get("attempt", last["attempt"]),
        "cause": None if result else last["cause"],
        "message": None if result else last["message"],
        "numbers": numbers,
        "config": spec["config"],
    }
    return trial, attempts


def _replace_study(connection: duckdb.DuckDBPyConnection, results: Results, study: str) -> None:
    """The cells of a study, of each profile's newest design, and the view over them."""
    connection.execute("DELETE FROM cells WHERE study = ?", [study])
    plans = load_plans(results, study)
    axes: dict[str, list[Any]] = {}
    rows = []
    for profile in dict.fromkeys(plan["profile"] for plan in plans):
        current = current_design(plans, profile)
        for axis in current[-1]["axes"]:
            axes.setdefault(axis["name"], []).extend(axis["values"])
        for position, trial in enumerate(planned_trials(current)):
            rows.append({"study": study, "profile": profile, "position": position, **trial})
    _insert(connection, "cells", rows)
    columns = "".join(
        f"""(axes ->> '$."{name}"')::{_sql_type(values)} AS "{name}", """ for name, values in axes.items()
    )
    connection.execute(
        f"""CREATE OR REPLACE VIEW "{study}" AS
        SELECT study, profile, "case", {columns} cells.seed, key, coalesce(state, 'new') AS state,
            top1, loss, seconds, images
        FROM cells LEFT JOIN trials USING (key) WHERE study = '{study}' ORDER BY profile, position"""
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
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.writelines(json.dumps({name: row.get(name) for name in columns}) + "\n" for row in rows)
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
                (line.json ->> 'epoch')::BIGINT, item.key, TRY_CAST(item.value AS DOUBLE)
            FROM read_ndjson_objects(?, filename = true, ignore_errors = true) AS line, json_each(line.json) AS item
            WHERE line.json IS NOT NULL AND item.key NOT IN ('phase', 'epoch')""",
            [written],
        )
