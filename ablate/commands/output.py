"""What commands print: a table that fits a terminal, tab-separated text in a pipe, JSON when it is asked for."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ablate.records.table import Column, make_table

if TYPE_CHECKING:
    from rich.console import Console

_GAP = 2


def console() -> "Console":
    """The terminal, or the pipe, that people read; nothing in a text is taken for markup."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def print_json(value: Any) -> None:
    """Print plain values as JSON; dataclasses become objects."""
    print(json.dumps(_plain(value), indent=2, default=str))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows: a line each on a terminal, whatever its width; every column in full elsewhere."""
    if sys.stdout.isatty():
        terminal = console()
        terminal.print(make_table(columns, rows, terminal.width))
        return
    from ablate.records.plain import line

    print(line([column.name for column in columns]))
    for row in rows:
        print(line(list(row)))


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print (what, text): wrapped beside its name on a terminal, a name said once; tab-separated elsewhere."""
    if not sys.stdout.isatty():
        from ablate.records.plain import line

        for fact in facts:
            print(line(fact))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, _GAP, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    before = None
    for name, told in facts:
        table.add_row(Text(name if name != before else ""), Text(told))
        before = name
    console().print(table)


def ago(seconds: float | None) -> str:
    """`3 s`, `4 min`, `2 h`, `5 d`: how long, in the unit that people would use."""
    if seconds is None:
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def plural(count: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
