"""`ablate query`: SQL over the store, printed as a table."""

import sys
from typing import Any

import duckdb

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.store import open_store


def print_query(results: Results, sql: str) -> None:
    """Print the rows of a query: a table on a terminal, tab-separated lines elsewhere."""
    with open_store(results) as store:
        try:
            cursor = store.execute(sql)
            names = [column[0] for column in cursor.description or []]
            rows = cursor.fetchall()
        except duckdb.Error as error:
            views = [name for (name,) in store.execute("SELECT table_name FROM information_schema.tables").fetchall()]
            shown = ", ".join(name for name in sorted(views) if name not in ("seen", "store"))
            raise UserError(f"the query failed: {error}", help=f"tables and views are: {shown}") from error
    if sys.stdout.isatty():
        _print_table(names, rows)
    else:
        print("\t".join(names))
        for row in rows:
            print("\t".join(_text(value) for value in row))


def _print_table(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*names, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_text(value)) for value in row))
    for index in range(len(names)):
        if all(isinstance(row[index], (int, float)) for row in rows):
            table.columns[index].justify = "right"
    Console(highlight=False).print(table)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
