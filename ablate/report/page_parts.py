"""Parsing a page into parts that can be compared: each text, attribute, value and drawing, with its location."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

MANIFEST = "manifest"
"""The id of the element with the page's manifest."""
_VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
_RAW = ("script", "style")
Location = tuple[str, ...]
"""A location by structure alone: section, table, row and column, or the name of a drawing or a script."""


@dataclass
class PageParts:
    """The parts of a page."""

    parts: dict[Location, list[str]] = field(default_factory=dict)
    """Location -> the texts and attributes there, in their order."""
    scripts: dict[str, str] = field(default_factory=dict)
    """Scripts and styles by their ids, or by number without one: `script 2`."""
    names: dict[Location, str] = field(default_factory=dict)
    """Location -> its name for people."""

    @property
    def manifest(self) -> dict[str, Any] | None:
        """The page's manifest; None if it has none."""
        try:
            found = json.loads(self.scripts[MANIFEST])
        except (KeyError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def parse_page(page: str) -> PageParts:
    """Parse a page into its parts."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    reader.name_cells()
    return reader.found


def json_values(text: str) -> Iterator[tuple[Location, str]]:
    """Each value of a JSON text with its path of names and indices; the text itself if it is not JSON."""
    try:
        yield from _values(json.loads(text), ())
    except ValueError:
        yield (), text


def _values(value: Any, at: Location) -> Iterator[tuple[Location, str]]:
    if isinstance(value, (dict, list)) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value, 1)
        for name, each in items:
            yield from _values(each, (*at, str(name)))
    else:
        yield at, json.dumps(value, ensure_ascii=False)


class _Reader(HTMLParser):
    """Walks over a page; the location follows from the open elements."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = PageParts()
        self.open: list[tuple[str, str]] = []  # tag and id
        self.section, self.table, self.row, self.column = "top of the page", 0, 0, 0
        self.width = 1  # columns that the open table cell spans
        self.titles: dict[str, str] = {}
        self.headers: set[Location] = set()
        self.raw: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in _VOID:
            self.open.append((tag, given.get("id", "")))
        if tag in _RAW:
            self.raw = given.get("id") or f"{tag} {1 + sum(name.startswith(tag) for name in self.found.scripts)}"
            self.found.scripts[self.raw] = ""
        self._moved(tag, given)
        if text := " ".join(f'{name}="{value}"' for name, value in given.items()):
            self._add(f"<{tag} {text}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and tag in [name for name, _ in self.open]:
            closed, _ = self.open.pop()
            if closed in _RAW:
                self.raw = None
            if closed == "section":
                self.section = next((id for name, id in reversed(self.open) if name == "section"), "end of the page")
            if closed == "table":
                self.row = self.column = 0
            if closed == tag:
                return

    def handle_data(self, data: str) -> None:
        if self.raw is not None:
            self.found.scripts[self.raw] += data
        elif text := data.strip():
            self._add(text)
            if self.open and self.open[-1][0] == "h2":
                self.titles.setdefault(self.section, text)

    def handle_comment(self, data: str) -> None:
        self._add(f"<!--{data}-->")

    def _moved(self, tag: str, given: dict[str, str]) -> None:
        if tag == "section":
            self.section, self.table = given.get("id", "section"), 0
        elif tag == "table":
            self.table, self.row, self.column = self.table + 1, 0, 0
        elif tag == "tr":
            self.row, self.column = self.row + 1, 0
        elif tag in ("td", "th"):
            self.column += self.width if self.column else 1
            self.width = int(span) if (span := given.get("colspan", "")).isdecimal() else 1
            if given.get("scope") == "col":
                self.headers.add(self._location())

    def _add(self, text: str) -> None:
        self.found.parts.setdefault(self._location(), []).append(text)

    def _location(self) -> Location:
        tags = [tag for tag, _ in self.open]
        if "svg" in tags:
            chart = next((id for _, id in reversed(self.open) if id.startswith("chart-")), "")
            return (self.section, "drawing", chart)
        if "tr" in tags:
            return (self.section, "table", str(self.table), str(self.row), str(self.column))
        figure = next((id for tag, id in self.open if tag == "figure"), "")
        return (self.section, figure) if figure else (self.section,)

    def name_cells(self) -> None:
        """Name each location by its section title, and a table cell by the start of its row and its column header."""
        texts = {location: _text(parts) for location, parts in self.found.parts.items()}
        for location in self.found.parts:
            section = self.titles.get(location[0], location[0])
            if location[1:2] == ("table",):
                table, row, column = location[2:]
                header = (location[0], "table", table, "1", column)
                cells = [texts.get((*location[:4], str(number)), "") for number in (1, 2, 3)]
                label = ", ".join(name for name in cells if name)
                under = f", {texts.get(header, column)}" if header in self.headers else ""
                number = int(row) - (header in self.headers)  # the header row is not counted
                self.found.names[location] = f"{section}, row {number} ({label}){under}"
            elif location[1:2] == ("drawing",):
                name = location[2].removeprefix("chart-")
                self.found.names[location] = f"{section}, the static image of chart '{name}'"
            else:
                self.found.names[location] = ", ".join((section, *location[1:]))


def _text(parts: list[str]) -> str:
    """The start of the visible text of a location, without attributes."""
    return " ".join(part for part in parts if not re.match(r"<\w", part))[:60]
