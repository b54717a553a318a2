"""Hydra's multirun folders as sources: overrides and configuration by OmegaConf, results from tables of each job."""

from pathlib import Path
from typing import Any

import polars as pl

from ablate.errors import UserError
from ablate.records.source import PLACE, RUN_COLUMN, Source, digest_of, needs, of_runs
from ablate.records.source_tables import SUFFIXES, flat, json_rows, read_table

OVERRIDES = ".hydra/overrides.yaml"


def read_multirun(folder: Path) -> Source:
    """Every job of a multirun is a run: its configuration, and the results that its program wrote.

    Results are the tables (CSV, JSON lines, Parquet) and JSON files with an object directly in a job's folder. Raises
    UserError without OmegaConf, and for a job without results.
    """
    try:
        from omegaconf import OmegaConf
    except ImportError as error:
        raise needs("omegaconf", f"{folder} is a multirun of Hydra: reading it") from error
    rows: list[dict[str, Any]] = []
    settings: set[str] = set()
    files: list[Path] = []
    for overrides in sorted(folder.rglob(OVERRIDES)):
        job = overrides.parents[1]
        run = job.relative_to(folder).as_posix()
        file = overrides.with_name("config.yaml")
        config = OmegaConf.to_container(OmegaConf.load(file), resolve=True)
        given = flat({str(name): value for name, value in config.items()}, file)
        settings |= given.keys()
        rows.append({RUN_COLUMN: run, **given})
        found = sorted(file for file in job.iterdir() if file.suffix in SUFFIXES)
        if not found:
            message = f"{job} has no results: no table ({', '.join(SUFFIXES)})"
            raise UserError(message, help="let the program write its results into its working folder")
        files += [overrides, *found]
        for file in found:
            rows += [{RUN_COLUMN: run, **row} for row in _results(file)]
    return of_runs(folder, digest_of(files, folder), rows, settings=settings)


def _results(file: Path) -> list[dict[str, Any]]:
    if file.suffix != ".json":
        table: pl.DataFrame = read_table(file).rows.drop(PLACE)
        return table.to_dicts()
    return json_rows(file)
