"""Where a key stands in a TOML file: tomllib tells values, not places."""

import re
from pathlib import Path

from ablate.errors import Place

_TABLE = re.compile(r"^\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}\s*(#.*)?$")
_PART = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(\.|$)""")
_KEY = re.compile(r"""^(\s*)((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=""")


def find_key(path: Path, text: str, key: tuple[str | int, ...]) -> Place:
    """The place of a dotted key, or of the nearest key above it that stands in the file."""
    places = _places(path, text)
    for end in range(len(key), 0, -1):
        if place := places.get(tuple(map(str, key[:end]))):
            return _inside(place, key[end:])
    return Place(path)


def _places(path: Path, text: str) -> dict[tuple[str, ...], Place]:
    """Every table and key with its place; an item of an array of tables has its number in the key."""
    places: dict[tuple[str, ...], Place] = {}
    table: tuple[str, ...] = ()
    counts: dict[tuple[str, ...], int] = {}
    quotes: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if quotes:  # inside a multi-line string
            quotes = None if quotes in line else quotes
            continue
        if match := _TABLE.match(line):
            table = _parts(match[1])
            if line.lstrip().startswith("[["):
                counts[table] = counts.get(table, -1) + 1
                table = (*table, str(counts[table]))
            elif (parent := table[:1]) in counts:
                table = (*parent, str(counts[parent]), *table[1:])
            places.setdefault(table, Place(path, number, line.index(match[1]) + 1, line, len(match[1])))
        elif match := _KEY.match(line):
            key = (*table, *_parts(match[2]))
            places.setdefault(key, Place(path, number, len(match[1]) + 1, line, len(match[2])))
            for end in range(len(table) + 1, len(key)):
                places.setdefault(key[:end], places[key])
        for mark in ('"""', "'''"):
            if line.count(mark) % 2:
                quotes = mark
    return places


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(match[1] or match[2] or match[3] for match in _PART.finditer(dotted))


def _inside(place: Place, rest: tuple[str | int, ...]) -> Place:
    """Narrows a place to a key of an inline table on the same line, where there is one."""
    for part in rest:
        match = re.compile(rf"\b{re.escape(str(part))}\s*(?==|\.)").search(place.text, place.column - 1 + place.length)
        if not match:
            break
        place = Place(place.path, place.line, match.start() + 1, place.text, len(match[0].rstrip()))
    return place
