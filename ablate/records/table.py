"""A table that fits a terminal: one line a row, whatever the width."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.records.plain import rounded

if TYPE_CHECKING:
    from rich.table import Table

_GAP = 2


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    right: bool = False
    least: int | None = None
    """Where a terminal is narrow, its texts may end in an ellipsis, after so many characters."""
    rank: int = 0
    """Where a terminal is narrower still, columns go from the highest rank down; those of rank 0 stay."""


def make_table(columns: Sequence[Column], rows: Sequence[Sequence[Any]], width: int, indent: int = 0) -> "Table":
    """A table of one line a row, no wider than `width`."""
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
    """Index of each column that is shown -> its width.

    Texts are shortened before columns go, and the least important first.
    """
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
    """Whether all columns have a place in that width, with texts shortened where they may be."""
    texts = [[rounded(value) for value in row] for row in rows]
    return len(columns) == 0 or sum(_widths(columns, texts, width).values()) + _GAP * (len(columns) - 1) <= width
