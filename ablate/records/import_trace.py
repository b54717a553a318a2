"""Tracing imported results back to the rows of their sources."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from ablate.errors import UserError
from ablate.records.attempt import environment_of
from ablate.records.files import Results
from ablate.records.import_trials import COLUMN, FROM, PLACE, is_imported
from ablate.records.reading import result_if_any
from ablate.records.source import PLACE as PLACES
from ablate.records.sources import read_source

_MOST = 20


def untraced(results: Results, keys: Iterable[str]) -> list[str]:
    """Sentences for imported results that their source does not have, now, at the row that the record names."""
    of_source: dict[str, list[tuple[str, str, Any]]] = {}
    for key in keys:
        folder = results.trial(key)
        if not is_imported(folder) or (result := result_if_any(folder.result)) is None:
            continue
        facts = environment_of(folder.attempt_folders()[-1])
        column = str(facts.get(COLUMN))
        named = (str(facts.get(PLACE)), column, result.metrics.get(column))
        of_source.setdefault(str(facts.get(FROM)), []).append(named)
    found = [sentence for path, named in of_source.items() for sentence in _of_source(Path(path), named)]
    return found[:_MOST] + (
        [f"{len(found) - _MOST:,} more results are not those of their source"] if found[_MOST:] else []
    )


def _of_source(path: Path, named: list[tuple[str, str, Any]]) -> Iterator[str]:
    try:
        source = read_source(path)
    except UserError as error:
        yield f"{len(named):,} results cannot be traced to their source: {error.problems[0].message}"
        return
    columns = {column for _, column, _ in named}
    values: dict[tuple[str, str], Any] = {}
    for column in columns & set(source.columns):
        numbers = source.rows[column].cast(pl.Float64, strict=False)
        values |= {(place, column): number for place, number in zip(source.rows[PLACES], numbers, strict=True)}
    for place, column, value in named:
        if (place, column) not in values:
            yield f"{path} has no {column} at {place} any more; the record that was imported from there has {value}"
        elif values[place, column] != value:
            now = values[place, column]
            yield f"{path} has {column} {now} at {place}, and the record that was imported from there {value}"
