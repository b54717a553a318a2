"""`ablate query` and `ablate export`: SQL over the store, and a study's trials as CSV, JSON or Parquet."""

import json
import math
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ablate.errors import UserError, nearest
from ablate.records.files import Results
from ablate.records.plans import unknown_study
from ablate.records.sql import check_reads, csv_columns, plain_place, sql_name
from ablate.records.store import open_store

_COPY = {"csv": "FORMAT csv, HEADER", "json": "FORMAT json, ARRAY true", "parquet": "FORMAT parquet"}


@dataclass(frozen=True)
class Rows:
    """The result of a query."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    """DuckDB's types of the columns."""
    rows: list[tuple[Any, ...]]

    def objects(self) -> list[dict[str, Any]]:
        """The rows as JSON objects: JSON columns are parsed, NaN and infinity become null."""
        return [
            {name: _json_value(kind, value) for name, kind, value in zip(self.names, self.types, row, strict=True)}
            for row in self.rows
        ]


def run_query(results: Results, sql: str) -> Rows:
    """Run a query over the store. Raises UserError where it fails, and for anything but one statement that reads."""
    with open_store(results) as store:
        try:
            check_reads(sql)
            cursor = store.execute(sql)
            columns = cursor.description or []
            rows = cursor.fetchall()
        except (duckdb.Error, UnicodeError, RuntimeError) as error:  # RuntimeError: a value that Python cannot hold
            raise UserError(f"the query failed: {error}", help=_columns_or_tables(store, sql)) from error
    return Rows(tuple(str(column[0]) for column in columns), tuple(str(column[1]) for column in columns), rows)


def _columns_or_tables(store: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The columns of the tables that a query names; all tables if it names none."""
    rows = store.execute(
        """SELECT table_name, string_agg(column_name, ', ' ORDER BY ordinal_position) FROM information_schema.columns
        WHERE table_schema = 'main' AND table_name NOT IN ('seen', 'store') GROUP BY table_name ORDER BY table_name"""
    ).fetchall()
    named = set(re.split(r"[^\w-]+", sql.lower()))
    if found := [f"columns of {name} are: {columns}" for name, columns in rows if name.lower() in named]:
        return "\n".join(found)
    return f"tables and views are: {', '.join(name for name, _ in rows)}"


def _json_value(kind: str, value: Any) -> Any:
    if kind == "JSON" and isinstance(value, str):
        return json.loads(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def export_study(results: Results, study: str, format: str, profile: str | None, output: Path | None) -> None:
    """Write the study's view in the store, one row per trial.

    Columns: study, profile, case, each axis, seed, key, state, value (the study's metric), each value that trials
    returned, seconds.
    """
    name = Path(study).stem
    check_format(name, format, output)
    with open_store(results, locked=False) as store, tempfile.TemporaryDirectory(dir=plain_place()) as folder:
        known = [view for (view,) in store.execute("SELECT DISTINCT study FROM cells ORDER BY study").fetchall()]
        if name not in known:
            raise unknown_study(results, name, known)
        profiles = store.execute(
            "SELECT DISTINCT profile FROM cells WHERE study = ? ORDER BY profile", [name]
        ).fetchall()
        if profile is not None and (profile,) not in profiles:
            help = f"it was run at: {', '.join(each for (each,) in profiles)}"
            raise UserError(f"'{name}' was not run at the profile '{profile}'", help=help)
        where = "WHERE profile = $profile" if profile else ""
        columns = csv_columns(store, name) if format == "csv" else "*"
        temporary = Path(folder) / f"export.{format}"
        store.execute(
            f"""COPY (SELECT {columns} FROM {sql_name(name)} {where}) TO '{temporary}' ({_COPY[format]})""",
            {"profile": profile} if profile else None,
        )
        write_export(temporary.read_bytes(), output)


def check_format(study: str, format: str, output: Path | None) -> None:
    """Raise UserError for an unknown format, and for binary data on a terminal."""
    if format not in _COPY:
        raise UserError(f"unknown format '{format}'{nearest(format, _COPY)}", help=f"formats are: {', '.join(_COPY)}")
    if format == "parquet" and output is None and sys.stdout.isatty():
        raise UserError("refusing to write binary Parquet to a terminal", help=f"add --output {study}.parquet")


def write_export(data: bytes, output: Path | None) -> None:
    """Write an export to a file, or to standard output: a terminal shows characters that would control it."""
    if output is None and sys.stdout.isatty():
        sys.stdout.write(data.decode())
        return
    if output is None:
        sys.stdout.buffer.write(data)
        return
    try:
        output.write_bytes(data)
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}") from error
