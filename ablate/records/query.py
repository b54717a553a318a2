"""`ablate query`: SQL over the store, as a table for people, as text or JSON for programs."""

import json
import math
import sys
from typing import Any

import duckdb

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.plain import line, rounded
from ablate.records.store import open_store
from ablate.records.table import Column, fits, make_table

_LEAST = 12
"""Characters of a text that a narrow terminal shows: enough of a key to name a trial."""


def print_query(results: Results, sql: str, as_json: bool = False) -> None:
    """Print the rows of a query: a table on a terminal, tab-separated lines elsewhere, or a JSON list of objects."""
    with open_store(results) as store:
        try:
            cursor = store.execute(sql)
            columns = cursor.description or []
            rows = cursor.fetchall()
        except duckdb.Error as error:
            views = [name for (name,) in store.execute("SELECT table_name FROM information_schema.tables").fetchall()]
            shown = ", ".join(name for name in sorted(views) if name not in ("seen", "store"))
            raise UserError(f"the query failed: {error}", help=f"tables and views are: {shown}") from error
    names = [str(column[0]) for column in columns]
    if as_json:
        kinds = [str(column[1]) for column in columns]
        print(json.dumps([_object(names, kinds, row) for row in rows], indent=2, default=str))
    elif sys.stdout.isatty():
        _print_table(names, rows)
    else:
        print(line(names))
        for row in rows:
            print(line(row))


def _object(names: list[str], kinds: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    """A row with its JSON columns as what they hold; a number that JSON has no way to write is null."""
    values = (
        json.loads(value) if kind == "JSON" and isinstance(value, str) else value
        for kind, value in zip(kinds, row, strict=True)
    )
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in zip(names, values, strict=True)
    }


def _print_table(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    """One line a row.

    Where the terminal is too narrow, what all rows share is said once; where it still is, each value has its line.
    """
    from rich.console import Console
    from rich.text import Text

    terminal = Console(highlight=False, markup=False, emoji=False)
    indices = list(range(len(names)))
    if not fits(_columns(names, rows, indices), rows, terminal.width):
        shared = [index for index in indices if len(rows) > 1 and all(row[index] == rows[0][index] for row in rows)]
        indices = [index for index in indices if index not in shared]
        said = ", ".join(f"{names[index]} {rounded(rows[0][index]) or 'nothing'}" for index in shared)
        if shared:
            terminal.print(Text(f"in every row: {said}"), soft_wrap=True)
    chosen = [tuple(row[index] for index in indices) for row in rows]
    columns = _columns(names, rows, indices)
    if fits(columns, chosen, terminal.width):
        terminal.print(make_table(columns, chosen, terminal.width))
        return
    widest = max(len(column.name) for column in columns)
    for row in chosen:
        terminal.print()
        for column, value in zip(columns, row, strict=True):
            terminal.print(Text(f"{column.name:<{widest}}  {rounded(value)}"), soft_wrap=True)


def _columns(names: list[str], rows: list[tuple[Any, ...]], indices: list[int]) -> list[Column]:
    """Of the results at these places; numbers stand right and are never cut."""
    columns = []
    for index in indices:
        numbers = all(row[index] is None or isinstance(row[index], (int, float)) for row in rows)
        columns.append(Column(names[index], right=numbers, least=None if numbers else _LEAST))
    return columns
