"""Trackio's SQLite files and the Parquet files of the Neptune exporter as sources."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
from pydantic_core import from_json

from ablate.records.source import RUN_COLUMN, STEP_COLUMN, Source, digest_of, of_runs, unreadable
from ablate.records.source_tables import flat

_NEPTUNE = {"run_id", "attribute_path", "attribute_type", "step"}
"""Columns of every file of the Neptune exporter."""
_VALUES = ("int_value", "float_value", "bool_value", "string_value")


def read_trackio(path: Path) -> Source:
    """The runs of a project's file: configuration, and metrics by step. SQLite reads it, since trackio needs a server.

    Raises UserError if the file is damaged.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as store:
            metrics = store.execute("SELECT run_name, step, metrics FROM metrics ORDER BY run_name, step").fetchall()
            configs = store.execute("SELECT run_name, config FROM configs").fetchall()
    except sqlite3.Error as error:
        raise unreadable(path, error) from error
    rows: list[dict[str, Any]] = []
    settings: set[str] = set()
    for run, text in configs:
        config = {name: value for name, value in _object(path, text).items() if not name.startswith("_")}
        settings |= config.keys()
        rows.append({RUN_COLUMN: run, **config})
    names: set[str] = set()
    by_step: dict[tuple[str, int], dict[str, Any]] = {}
    for run, step, text in metrics:
        logged = _object(path, text)
        names |= logged.keys()
        by_step.setdefault((run, step), {RUN_COLUMN: run, STEP_COLUMN: step}).update(logged)
    return of_runs(path, digest_of([path]), [*rows, *by_step.values()], settings=settings, metrics=names - settings)


def _object(path: Path, text: str) -> dict[str, Any]:
    """The names and values of a JSON object. Raises UserError if it is damaged or too deep."""
    try:
        found = from_json(text)
    except ValueError as error:
        raise unreadable(path, error) from error
    if not isinstance(found, dict):
        raise unreadable(path, "a row of it is not a JSON object")
    return flat(found, f"a row of {path}")


def is_neptune(path: Path) -> bool:
    """Whether a Parquet file is one of the Neptune exporter. Raises UserError if it cannot be read."""
    try:
        return set(pl.read_parquet_schema(path)).issuperset(_NEPTUNE)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, getattr(error, "strerror", None) or error) from error


def read_neptune(path: Path) -> Source:
    """The runs of the Neptune exporter: an attribute is a setting or a result, a series is a metric by step."""
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    frame = pl.concat([pl.read_parquet(file) for file in files], how="diagonal_relaxed")
    present = [name for name in _VALUES if name in frame.columns]
    runs: dict[str, dict[str, Any]] = {}
    by_step: dict[tuple[str, float], dict[str, Any]] = {}
    series: set[str] = set()
    for row in frame.iter_rows(named=True):
        run, name = str(row["run_id"]), str(row["attribute_path"])
        value = next((row[kind] for kind in present if row[kind] is not None), None)
        if value is None or name.startswith("sys/"):
            continue
        if row["step"] is None:
            runs.setdefault(run, {RUN_COLUMN: run})[name] = value
        else:
            series.add(name)
            step = float(row["step"])
            by_step.setdefault((run, step), {RUN_COLUMN: run, STEP_COLUMN: step})[name] = value
    top = None if path.is_file() else path
    return of_runs(path, digest_of(files, top), [*runs.values(), *by_step.values()], metrics=series)
