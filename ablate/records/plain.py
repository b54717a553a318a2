"""Values as text that programs read: whole numbers, nothing rounded, and no character that ends a field or a line."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from ablate.errors import visible, visible_lines

if TYPE_CHECKING:
    from rich.console import Console

LONGEST = 200
"""Characters of a text that people see in a list of values; all of it is in JSON and in exports."""


def console(stderr: bool = False) -> "Console":
    """Standard output or error as a rich console that does not read text as markup, and shows every character of it."""
    import rich.console
    from rich.segment import Segment

    class Visible(rich.console.Console):
        def render_str(self, text: str, **options: Any) -> Any:
            return super().render_str(visible_lines(text), **options)

        def render(self, renderable: Any, options: Any = None) -> Any:
            for segment in super().render(renderable, options):
                text = segment.text if segment.control else visible_lines(segment.text)
                yield segment if text == segment.text else Segment(text, segment.style)

    stream = sys.stderr if stderr else sys.stdout
    own = unguarded(stream)  # for its own escape codes; None follows a stream that is replaced
    return Visible(file=None if own is stream else own, stderr=stderr, highlight=False, markup=False, emoji=False)


def unguarded(stream: IO[str]) -> IO[str]:
    """The stream that a guarded one writes to (see `Guarded`), which takes escape codes as they are."""
    return cast("IO[str]", getattr(stream, "unguarded", stream))


@contextmanager
def unguarded_streams() -> Iterator[None]:
    """A trainer in this process, or a debugger, writes as it would without `ablate`."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast(Any, unguarded(sys.stdout)), cast(Any, unguarded(sys.stderr))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def field(value: Any) -> str:
    """A value as one field of tab-separated text; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return visible(json.dumps(value, default=str))
    return repr(value) if isinstance(value, float) else visible(str(value))


def line(values: list[Any] | tuple[Any, ...]) -> str:
    """A row of tab-separated text."""
    return "\t".join(map(field, values))


FORMULA = r"^[=+\-@\t\r\n\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
"""Patterns (RE2) of text that a spreadsheet would run as a formula, and of text that it reads as a number."""


def csv_cell(value: Any) -> Any:
    """A value as a cell of CSV: text that a spreadsheet would run as a formula begins with an apostrophe."""
    if not isinstance(value, str) or not re.match(FORMULA.replace("x{", "u").replace("}", ""), value):
        return value
    return value if re.match(NUMBER, value, re.ASCII) else f"'{value}"


def rounded(value: Any) -> str:
    """A value for people: six digits of a number, text on one line, cut if it is long."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else visible(str(value), LONGEST)


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


def duration(hours: float) -> str:
    """`14 s`, `6 min`, `2.5 h`, `3 days`."""
    seconds = hours * 3600
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def size(count: int) -> str:
    """`3.2 MB`."""
    value, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"
