"""Output of commands: a table that fits a terminal, tab-separated text in a pipe, or JSON."""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.errors import visible_lines
from ablate.records.plain import console, line, rounded

if TYPE_CHECKING:
    from rich.table import Table

    from ablate.records.query import Rows

_GAP = 2
_NARROWEST_TEXT = 12
"""Characters of a text that a narrow terminal shows: enough to identify a key."""
_LONGEST = 4000
"""Characters of a fact that are shown."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    right: bool = False
    least: int | None = None
    """Narrow terminals cut its texts to this many characters; None to keep them."""
    rank: int = 0
    """Still narrower terminals drop columns, those of the highest rank first; columns of rank 0 stay."""


def make_table(columns: Sequence[Column], rows: Sequence[Sequence[Any]], width: int, indent: int = 0) -> "Table":
    """A table with one line per row, no wider than `width`."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    texts = [[rounded(value) for value in row] for row in rows]
    widths = _widths(columns, texts, width - indent)
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    for index, size in widths.items():
        column = columns[index]
        table.add_column(
            Text(column.name),
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=size,
        )
    for row in texts:
        table.add_row(*(Text(row[index]) for index in widths))
    if indent:
        outer = Table.grid()
        outer.add_row(Padding(table, (0, 0, 0, indent)))
        return outer
    return table


def _widths(columns: Sequence[Column], texts: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """Index -> width of each column that fits: texts are cut before columns are dropped, the highest rank first."""
    natural = {
        index: max([len(column.name), *(len(row[index]) for row in texts)]) for index, column in enumerate(columns)
    }
    while True:
        over = sum(natural.values()) + _GAP * (len(natural) - 1) - width
        spare = {index: natural[index] - least for index in natural if (least := columns[index].least) is not None}
        if over <= sum(max(0, each) for each in spare.values()):
            break
        dropped = max(natural, key=lambda index: (columns[index].rank, index))
        if columns[dropped].rank == 0:
            break
        del natural[dropped]
    while over > 0 and (able := [index for index in spare if spare[index] > 0]):
        widest = max(able, key=lambda index: (columns[index].rank, spare[index]))
        natural[widest] -= 1
        spare[widest] -= 1
        over -= 1
    return natural


def fits(columns: Sequence[Column], rows: Sequence[Sequence[Any]], width: int) -> bool:
    """Whether all columns fit this width, with texts cut as far as allowed."""
    texts = [[rounded(value) for value in row] for row in rows]
    return len(columns) == 0 or sum(_widths(columns, texts, width).values()) + _GAP * (len(columns) - 1) <= width


def print_json(value: Any) -> None:
    """Print plain values as JSON; dataclasses become objects, NaN and infinite numbers null, which JSON has not."""
    print(json.dumps(_plain(value), indent=2, default=str, allow_nan=False))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> None:
    """Print one line per row: cut to the width of a terminal, in full elsewhere."""
    if sys.stdout.isatty():
        terminal = console()
        terminal.print(make_table(columns, rows, terminal.width))
        return
    print(*map(line, ([column.name for column in columns], *map(list, rows))), sep="\n")


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print (what, text): as `facts_table` on a terminal, tab-separated elsewhere."""
    short = ((name, text[:_LONGEST], len(text) > _LONGEST) for name, text in facts)
    facts = [(name, f"{text}... (--json has all)" if cut else text) for name, text, cut in short]
    if sys.stdout.isatty():
        console().print(facts_table(facts))
        return
    for fact in facts:
        print(line(fact))


def facts_table(facts: Sequence[tuple[str, str]]) -> "Table":
    """(what, text) as a table with wrapped texts; a repeated name is shown once."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, _GAP, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    before = None
    for name, text in facts:
        table.add_row(Text(name if name != before else ""), Text(visible_lines(text)))
        before = name
    return table


def print_rows(found: "Rows") -> None:
    """Print the rows of a query: a table on a terminal, tab-separated lines elsewhere."""
    if sys.stdout.isatty():
        _print_wide_table(found.names, found.rows)
        return
    print(*map(line, (found.names, *found.rows)), sep="\n")


def _print_wide_table(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Print one line per row; if the terminal is too narrow, shared values go above the table, then each on a line."""
    from rich.text import Text

    terminal = console()
    indices = list(range(len(names)))
    if not fits(_columns(names, rows, indices), rows, terminal.width):
        shared = [index for index in indices if len(rows) > 1 and all(row[index] == rows[0][index] for row in rows)]
        indices = [index for index in indices if index not in shared]
        values = ", ".join(f"{names[index]} {rounded(rows[0][index]) or 'nothing'}" for index in shared)
        if shared:
            terminal.print(Text(f"in every row: {values}"), soft_wrap=True)
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


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]], indices: Sequence[int]) -> list[Column]:
    """The columns at these indices; numbers are right-aligned and never cut."""
    columns = []
    for index in indices:
        numeric = all(row[index] is None or isinstance(row[index], (int, float)) for row in rows)
        columns.append(Column(names[index], right=numeric, least=None if numeric else _NARROWEST_TEXT))
    return columns


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
