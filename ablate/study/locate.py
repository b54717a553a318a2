"""Where each key, and each item of a list, stands in a TOML file: tomllib tells values, not places."""

import contextlib
import json
import re
from pathlib import Path

from ablate.errors import Place

Key = tuple[str | int, ...]
Span = tuple[int, int]
"""Where a text begins, and where it ends."""
Spans = dict[tuple[str, ...], Span]

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_BETWEEN_PARTS = re.compile(r"[ \t]*\.[ \t]*")
_SCALAR = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*"{3,5}|\'\'\'(?:[^']|'(?!\'\'))*'{3,5}'''
    r"""|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]+|[^\s,\[\]{}#"']+""",
    re.DOTALL,
)
_DEEPEST = 100


class _Lost(Exception):
    """The text is not TOML from here on."""


def spans(text: str) -> Spans:
    """Every table, key and item with its place, the first of each; an item has its number in the key.

    Of a text that is not TOML: those before its first mistake.
    """
    found: Spans = {}
    for key, span in keys_in(text):
        found.setdefault(key, span)
    return found


def keys_in(text: str) -> list[tuple[tuple[str, ...], Span]]:
    """Keys with their places, in the order of the text, as often as they come; as far as the text is TOML."""
    scanner = _Scanner(text)
    with contextlib.suppress(_Lost):
        scanner.document()
    return scanner.found


def find_key(places: Spans, key: Key) -> tuple[int, Span] | None:
    """How many parts of a key stand in the file, and where the last of them does; None where none does.

    `axes.NAME = [...]` is short for an axis with such `values`, and `[reference]` for a list of one: what stands below
    the part that the file leaves out is looked for too.
    """
    parts = tuple(map(str, key))
    for end in range(len(parts), 0, -1):
        if place := places.get(parts[:end]):
            if parts[end : end + 1] in (("values",), ("0",)):
                short = find_key(places, parts[:end] + parts[end + 1 :])
                if short and (short[0] > end or short[0] == len(parts) - 1):
                    return short[0] + 1, short[1]
            return end, place
    return None


def place_at(path: Path, text: str, span: Span) -> Place:
    """A stretch of a text as a place in its file: as much of it as stands on its first line."""
    begin = text.rfind("\n", 0, span[0]) + 1
    line = text[begin:].split("\n", 1)[0].rstrip("\r")
    column = span[0] - begin + 1
    length = max(1, min(span[1] - span[0], len(line) - column + 1))
    return Place(path, text.count("\n", 0, span[0]) + 1, column, line, length)


class _Scanner:
    """Goes once through a text, and knows where it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: list[tuple[tuple[str, ...], Span]] = []
        self.items: dict[tuple[str, ...], int] = {}  # [[tables]] -> the number of the last one

    def document(self) -> None:
        table: tuple[str, ...] = ()
        self.skip()
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                table = self.table()
            else:
                self.pair(table, 0)
            self.skip()

    def table(self) -> tuple[str, ...]:
        """The full key of a [table], or of the last item of the [[tables]] that it is or stands in."""
        brackets = 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        self.skip()
        key: tuple[str, ...] = ()
        parts = self.dotted()
        start = parts[0][1][0]
        for number, (name, (_, end)) in enumerate(parts, 1):
            key = (*key, name)
            self.found.append((key, (start, end)))
            if brackets == 2 and number == len(parts):
                self.items[key] = self.items.get(key, -1) + 1
            if key in self.items:
                key = (*key, str(self.items[key]))
                self.found.append((key, (start, end)))
        self.skip()
        self.expect("]" * brackets)
        return key

    def pair(self, table: tuple[str, ...], depth: int) -> None:
        parts = self.dotted()
        key = table
        for name, (_, end) in parts:
            key = (*key, name)
            self.found.append((key, (parts[0][1][0], end)))
        self.skip()
        self.expect("=")
        self.skip()
        self.value(key, depth)

    def value(self, key: tuple[str, ...], depth: int) -> None:
        opening = self.text[self.at : self.at + 1]
        if opening not in ("[", "{") or depth > _DEEPEST:
            self.match(_SCALAR)
            return
        self.at += 1
        self.skip()
        closing = "]" if opening == "[" else "}"
        number = 0
        while not self.text.startswith(closing, self.at):
            if opening == "[":
                self.item((*key, str(number)), depth + 1)
            else:
                self.pair(key, depth + 1)
            number += 1
            self.skip()
            if not self.text.startswith(closing, self.at):
                self.expect(",")
                self.skip()
        self.at += 1

    def item(self, key: tuple[str, ...], depth: int) -> None:
        start, number = self.at, len(self.found)
        self.value(key, depth)
        self.found.insert(number, (key, (start, self.at)))

    def dotted(self) -> list[tuple[str, Span]]:
        """The parts of a dotted key."""
        parts = [self.part()]
        while match := _BETWEEN_PARTS.match(self.text, self.at):
            self.at = match.end()
            parts.append(self.part())
        return parts

    def part(self) -> tuple[str, Span]:
        start = self.at
        name = self.match(_PART)
        if name[0] == '"':
            try:
                name = str(json.loads(name))
            except ValueError:  # an escape that only TOML has
                name = name[1:-1]
        return name.removeprefix("'").removesuffix("'"), (start, self.at)

    def skip(self) -> None:
        self.match(_BLANK)

    def expect(self, mark: str) -> None:
        if not self.text.startswith(mark, self.at):
            raise _Lost
        self.at += len(mark)

    def match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if not match:
            raise _Lost
        self.at = match.end()
        return match[0]
