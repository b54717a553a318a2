"""Finding out what a source of runs is, and reading it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ablate.errors import UserError
from ablate.records.source import Source, is_remote, unreadable
from ablate.records.source_exports import is_neptune, read_neptune, read_trackio
from ablate.records.source_hydra import OVERRIDES, read_multirun
from ablate.records.source_mlflow import is_mlflow_folder, read_mlflow
from ablate.records.source_optuna import read_optuna
from ablate.records.source_tables import SUFFIXES, read_table
from ablate.records.source_tensorboard import EVENTS, read_events
from ablate.records.source_wandb import RUNS, exported, read_offline, read_project

_HELP = (
    f"sources are: tables ({', '.join(SUFFIXES)}); folders of Hydra, MLflow, Neptune, TensorBoard and W&B; SQLite "
    "files of MLflow, Optuna and trackio; wandb:ENTITY/PROJECT"
)
_TABLES = {"experiments": read_mlflow, "trials": read_optuna, "configs": read_trackio}
"""A table that only this tool's SQLite files have -> the reader."""


def read_source(path: Path) -> Source:
    """The rows of a file or a folder. Raises UserError if it is missing, or of no kind that can be read."""
    if is_remote(path):
        return read_project(path)
    if not path.exists():
        raise UserError(f"there is no {path}", help="give a file or a folder with runs")
    if path.is_dir():
        return _read_folder(path)
    if path.suffix.lower() == ".parquet" and is_neptune(path):
        return read_neptune(path)
    if path.suffix.lower() in SUFFIXES:
        return exported(read_table(path))
    return _read_sqlite(path)


def _read_folder(folder: Path) -> Source:
    """Hydra first, whose jobs may contain the folders of other tools."""
    if any(folder.rglob(OVERRIDES)):
        return read_multirun(folder)
    if is_mlflow_folder(folder):
        return read_mlflow(folder)
    if any(folder.rglob(RUNS)):
        return read_offline(folder)
    if any(folder.rglob(EVENTS)):
        return read_events(folder)
    if any(is_neptune(file) for file in folder.rglob("*.parquet")):
        return read_neptune(folder)
    raise UserError(f"{folder} is not a source of runs", help=_HELP)


def _read_sqlite(path: Path) -> Source:
    try:
        with path.open("rb") as file:
            is_sqlite = file.read(15) == b"SQLite format 3"
        if not is_sqlite:
            raise UserError(f"{path} is not a source of runs", help=_HELP)
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as store:
            tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except (OSError, sqlite3.Error) as error:
        raise unreadable(path, error) from error
    for table, read in _TABLES.items():
        if table in tables:
            return read(path)
    raise UserError(f"{path} is not a source of runs: its tables are {', '.join(sorted(tables)[:10])}", help=_HELP)
