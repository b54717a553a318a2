"""Output of commands: a table that fits a terminal, tab-separated text in a pipe, or JSON."""

import json
import math
import os
import re
import signal
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

from ablate.errors import visible_lines
from ablate.records.plain import console, line, rounded, unguarded

if TYPE_CHECKING:
    from rich.table import Table

    from ablate.records.query import Rows

_GAP = 2
_NARROWEST_TEXT = 12
"""Characters of a text that a narrow terminal shows: enough to identify a key."""
_LONGEST = 4000
"""Characters of a fact that are shown."""
_COLOR = re.compile(r"(\x1b\[(?:0|[13479]|2[1234579]|[34][0-79]|[34]8;5;\d{1,3}|9[0-7]|10[0-7]|;)*m)")
"""A code that sets the color or weight of text; none that hides it."""


class Guarded:
    """A stream that shows characters that control a terminal instead of sending them: data cannot imitate the output.

    `unguarded` is the stream itself, for the escape codes of `console` and for a trainer's own output.
    """

    def __init__(self, unguarded: IO[str]) -> None:
        self.unguarded = unguarded

    def write(self, text: str) -> int:
        """Write a text with its line ends and tabs; returns its length."""
        self.unguarded.write(visible_lines(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one after another."""
        for text in lines:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


def guard_streams() -> None:
    """Guard standard output and error, where every command writes."""
    sys.stdout, sys.stderr = cast(Any, Guarded(sys.stdout)), cast(Any, Guarded(sys.stderr))


def write_log(text: str) -> None:
    """What a trial printed: as it is in a pipe; on a terminal with its colors, and what would move the cursor shown."""
    if sys.stdout.isatty():
        lines = re.sub(r"\r+\n|\r", "\n", text)
        text = "".join(part if _COLOR.fullmatch(part) else visible_lines(part) for part in _COLOR.split(lines))
    stream = unguarded(sys.stdout)
    stream.write(text)
    stream.flush()


@contextmanager
def ends_with_ctrl_c(message: str = "") -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP end the command without a traceback, with the exit code that shells give them."""
    import typer

    received: list[int] = []

    def stop(number: int, frame: object) -> None:
        received.append(number)
        _leave_closed_terminal()
        raise KeyboardInterrupt

    # Under nohup, a closed terminal must not stop the command.
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {each: signal.signal(each, stop) for each in numbers if signal.getsignal(each) is not signal.SIG_IGN}
    try:
        yield
    except KeyboardInterrupt:
        if message:
            print(message)
        raise typer.Exit(128 + (received or [signal.SIGINT])[0]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_closed_terminal() -> None:
    """Print nothing more on a terminal that was closed, which would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
            os.dup2(nowhere, stream)
    os.close(nowhere)


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
