"""The position of each key, and of each item of a list, in a TOML file: tomllib only returns values."""

import contextlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ablate.errors import Location

Key = tuple[str | int, ...]
Span = tuple[int, int]
"""The offsets at which a stretch of text begins and ends."""
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
    """The text is not valid TOML from here on."""


def spans(text: str) -> Spans:
    """The first position of every table, key and item; the key of an item ends in its index.

    If the text is not valid TOML: those before its first error.
    """
    found: Spans = {}
    for key, span in keys_in(text):
        found.setdefault(key, span)
    return found


def keys_in(text: str) -> list[tuple[tuple[str, ...], Span]]:
    """All keys with their positions, in the order of the text, up to its first syntax error."""
    scanner = _Scanner(text)
    with contextlib.suppress(_Lost):
        scanner.document()
    return scanner.found


def find_key(positions: Spans, key: Key) -> tuple[int, Span] | None:
    """How many parts of a key the file has, and the position of the last of them; None if it has none.

    `axes.NAME = [...]` is short for an axis with these `values`, and `[reference]` for a list of one: keys below the
    omitted part are found too.
    """
    parts = tuple(map(str, key))
    for end in range(len(parts), 0, -1):
        if span := positions.get(parts[:end]):
            if parts[end : end + 1] in (("values",), ("0",)):
                short = find_key(positions, parts[:end] + parts[end + 1 :])
                if short and (short[0] > end or short[0] == len(parts) - 1):
                    return short[0] + 1, short[1]
            return end, span
    return None


def location_at(path: Path, text: str, span: Span) -> Location:
    """The location of a stretch of text, cut at the end of its first line."""
    begin = text.rfind("\n", 0, span[0]) + 1
    line = text[begin:].split("\n", 1)[0].rstrip("\r")
    column = span[0] - begin + 1
    length = max(1, min(span[1] - span[0], len(line) - column + 1))
    return Location(path, text.count("\n", 0, span[0]) + 1, column, line, length)


@dataclass(frozen=True)
class Source:
    """A TOML file and the files that it extends, used to locate problems."""

    path: Path
    text: str
    below: tuple["Source", ...] = ()
    """The files that it extends, highest priority first."""
    left_out: tuple[Key, ...] = ()
    """The keys of list items removed from the values, in order of removal; an index counts what was left by then."""

    @cached_property
    def _spans(self) -> Spans:
        return spans(self.text)

    def find(self, key: Key) -> tuple[int, Location]:
        """How many parts of a key this file or one below it has, and the location of the last of them."""
        found = find_key(self._spans, key)
        own = (found[0], location_at(self.path, self.text, found[1])) if found else (0, Location(self.path))
        return max([own, *(source.find(key) for source in self.below)], key=lambda each: each[0])

    def locate(self, key: Key) -> Location:
        """The location of a key of the values, or of the nearest key above it."""
        for *above, index in reversed(self.left_out):
            inside = key[: len(above)] == tuple(above) and key[len(above) :]
            if inside and isinstance(inside[0], int) and inside[0] >= int(index):
                key = (*above, inside[0] + 1, *inside[1:])
        return self.find(key)[1]

    @property
    def whole(self) -> str:
        """The text of this file and of all files that it extends, each once, under its name."""
        if not self.below:
            return self.text
        files = {source.path: source.text for source in self.all_sources}
        return "\n".join(f"# {path}\n{text}" for path, text in files.items())

    @property
    def all_sources(self) -> list["Source"]:
        """The file itself and all files below it."""
        return [self, *(source for below in self.below for source in below.all_sources)]


class _Scanner:
    """Scans a text once and records the position of each key."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: list[tuple[tuple[str, ...], Span]] = []
        self.items: dict[tuple[str, ...], int] = {}  # [[tables]] -> index of the last one

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
        """The full key of a [table]; inside [[tables]], that of their last item."""
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
            except ValueError:  # an escape that JSON does not have
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
