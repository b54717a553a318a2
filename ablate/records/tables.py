"""Tables of the store: their columns, the rows that a trial's files make, and how rows are inserted."""

import json
import tempfile
from collections.abc import Iterable
from functools import partial
from typing import Any

import duckdb
from pydantic_core import PydanticSerializationError, to_json

from ablate.records.attempt import attempt_status, environment_of, events_of, read_state
from ablate.records.files import TrialFolder, attempt_number
from ablate.records.series import COLUMNS
from ablate.records.sql import VALUE, column_names, number_sql, plain_place, sql_name, sql_text

TABLES = {
    "trials": {
        "key": "VARCHAR", "pretrain_key": "VARCHAR", "trainer": "VARCHAR", "recipe_version": "BIGINT",
        "seed": "BIGINT", "state": "VARCHAR", "seconds": "DOUBLE", "attempt": "VARCHAR", "cause": "VARCHAR",
        "message": "VARCHAR", "numbers": "JSON", "warnings": "JSON", "config": "JSON",
    },
    "attempts": {
        "key": "VARCHAR", "attempt": "VARCHAR", "number": "BIGINT", "state": "VARCHAR", "cause": "VARCHAR",
        "message": "VARCHAR", "started": "DOUBLE", "ended": "DOUBLE", "host": "VARCHAR", "device": "VARCHAR",
        "code": "VARCHAR", "environment": "JSON",
    },
    "cells": {
        "study": "VARCHAR", "profile": "VARCHAR", "case": "VARCHAR", "axes": "JSON", "seed": "BIGINT",
        "key": "VARCHAR", "metric": "VARCHAR", "position": "BIGINT",
    },
    "seen": {"name": "VARCHAR", "signature": "VARCHAR"},
    "internal.series": COLUMNS,
    "internal.unread": {"key": "VARCHAR", "attempt": "VARCHAR"},
    "internal.digests": {"key": "VARCHAR", "digest": "VARCHAR"},
    "internal.damage": {"study": "VARCHAR", "message": "VARCHAR"},
    "internal.axes": {"study": "VARCHAR", "name": "VARCHAR", "type": "VARCHAR", "position": "BIGINT"},
}  # fmt: skip
VIEW = ("study", "profile", "case", "seed", "key", "state", "value", "seconds")
"""The columns of a study's view besides its axes and what its trainer returned."""
_MOST_COLUMNS = 1000


Row = dict[str, Any]


def trial_rows(folder: TrialFolder, now: float) -> tuple[Row, list[Row]]:
    """The rows of a trial, by the name of its folder, and of its attempts; damage is named in the row's message."""
    key = folder.path.name
    state = read_state(folder, now)
    attempts = [_attempt_row(key, path, now) for path in state.attempts]
    row: Row = {"key": key, "state": state.status.state, "cause": state.status.cause, "message": state.status.message}
    row["attempt"] = attempts[-1]["attempt"] if attempts else None
    if spec := state.spec:
        seed = spec.config.get("seed")
        row |= {
            "pretrain_key": spec.pretrain_key,
            "trainer": spec.trainer,
            "recipe_version": spec.recipe_version,
            "seed": seed if type(seed) is int and abs(seed) < 2**63 else None,  # the range of DuckDB's BIGINT
            "config": spec.config,
        }
    if result := state.result:
        row |= {"seconds": result.seconds, "attempt": result.attempt or row["attempt"], "numbers": result.metrics}
        row["warnings"] = result.warnings or None
    return row, attempts


def _attempt_row(key: str, path: str, now: float) -> Row:
    events = events_of(path)
    environment = environment_of(path, events)
    started = events.get("started", {})
    about = {name: _text(environment.get(name)) or _text(started.get(name)) for name in ("host", "device", "code")}
    status = vars(attempt_status(path, now, events))
    name = path.rpartition("/")[2]
    own = {"key": key, "attempt": name, "number": attempt_number(name), "environment": environment or None}
    return own | about | status


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def replace_view(connection: duckdb.DuckDBPyConnection, study: str) -> None:
    """Replace a study's view: a column for each axis, the study's metric as `value`, and all that was returned.

    An axis that a cell lacks is NULL. Columns are qualified with their table, because an axis may have the name of a
    column, and ORDER BY would use the axis.
    """
    axes = dict(
        connection.execute("SELECT name, type FROM internal.axes WHERE study = ? ORDER BY position", [study]).fetchall()
    )
    metrics = connection.execute("SELECT DISTINCT metric FROM cells WHERE study = ?", [study]).fetchall()
    returned = _returned(connection, study)
    names = sorted(returned, key=lambda name: ((name,) not in metrics, name))[:_MOST_COLUMNS]
    of_axis, of_metric = column_names(VIEW, axes, names)
    columns = [
        f"TRY_CAST(cells.axes ->> {sql_text(_pointer(name))} AS {kind}) AS {sql_name(of_axis[name])}"
        for name, kind in axes.items()
    ]
    columns += ["cells.seed", "cells.key", "coalesce(trials.state, 'new') AS state"]
    columns.append(f"{VALUE} AS value")
    columns += [
        f"{_value_sql(place, 'DOUBLE' if (name,) in metrics else returned[name])} AS {sql_name(of_metric[name])}"
        for place, name in enumerate(names, 1)
    ]
    pointers = f"[{', '.join(sql_text(_pointer(name)) for name in names)}]::VARCHAR[]"
    connection.execute(
        f"""CREATE OR REPLACE VIEW {sql_name(study)} AS
        SELECT cells.study, cells.profile, cells."case", {", ".join(columns)}, trials.seconds
        FROM cells LEFT JOIN (
            SELECT key, state, seconds, numbers, json_extract_string(numbers, {pointers}) AS texts,
                json_type(numbers, {pointers}) AS types, json_extract(numbers, {pointers}) AS parts FROM trials
        ) AS trials ON trials.key = cells.key WHERE cells.study = {sql_text(study)}
        ORDER BY cells.profile, cells.position"""
    )


def _returned(connection: duckdb.DuckDBPyConnection, study: str) -> dict[str, str]:
    """Name of each value that trials of a study returned -> the type of its column.

    A column has numbers if one of the values is a number, or if all are null; else truth values, text, or JSON.
    """
    rows = connection.execute(
        """SELECT item.key, bool_or(item.type IN ('BIGINT', 'UBIGINT', 'DOUBLE')),
            bool_and(TRY_CAST(item.value AS BIGINT) IS NOT NULL) FILTER (item.type IN ('BIGINT', 'UBIGINT', 'DOUBLE')),
            bool_or(item.type = 'DOUBLE'), bool_and(item.type IN ('BOOLEAN', 'NULL')),
            bool_and(item.type IN ('VARCHAR', 'NULL')), bool_and(item.type = 'NULL')
        FROM (SELECT DISTINCT key FROM cells WHERE study = ?) JOIN trials USING (key), json_each(trials.numbers) AS item
        GROUP BY item.key""",
        [study],
    ).fetchall()
    return {
        name: ("BIGINT" if whole and not fractional else "DOUBLE")
        if number or nothing
        else ("BOOLEAN" if truth else "VARCHAR" if text else "JSON")
        for name, number, whole, fractional, truth, text, nothing in rows
    }


def _pointer(name: str) -> str:
    """A JSON pointer to an entry of an object, whatever characters its name has."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _value_sql(place: int, kind: str) -> str:
    """The value at a place in the lists of returned values, which DuckDB takes out of the JSON all at once."""
    if kind in ("BIGINT", "DOUBLE"):
        return number_sql(f"trials.texts[{place}]", f"trials.types[{place}]", kind)
    if kind == "JSON":
        return f"CASE WHEN trials.types[{place}] <> 'NULL' THEN trials.parts[{place}] END"
    return f"trials.texts[{place}]::{kind}"


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Row]) -> None:
    """Insert rows by column name through a file of JSON lines, the fastest way into DuckDB without Arrow."""
    insert_lines(connection, table, map(partial(line_of, table), rows))


def insert_lines(connection: duckdb.DuckDBPyConnection, table: str, lines: Iterable[bytes]) -> None:
    """Insert rows that are lines already, see `line_of`."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl", dir=plain_place()) as file:
        if not file.write(b"".join(lines)):
            return
        file.flush()
        connection.execute(
            f"INSERT INTO {table} BY NAME SELECT * FROM read_json(?, columns = ?, format = 'newline_delimited')",
            [file.name, TABLES[table]],
        )


def line_of(table: str, row: Row) -> bytes:
    """A row of a table as a line of JSON."""
    row = {name: row.get(name) for name in TABLES[table]}
    try:
        return to_json(row, inf_nan_mode="null") + b"\n"
    except PydanticSerializationError:  # half a character, as in a file name that is not UTF-8: DuckDB rejects it
        return json.dumps(row, ensure_ascii=False).encode(errors="replace") + b"\n"
