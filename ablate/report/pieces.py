"""A page taken to pieces that can be compared: each text, attribute, datum and drawing, with where it stands."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

MANIFEST = "manifest"
"""The id of the element that says what a page was made of."""
_VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
_RAW = ("script", "style")
Place = tuple[str, ...]
"""Where something stands, by structure alone: section, table, row and column, or the name of a drawing or a script."""


@dataclass
class Pieces:
    """What a page consists of."""

    parts: dict[Place, list[str]] = field(default_factory=dict)
    """Place -> the texts and the attributes that stand there, in their order."""
    scripts: dict[str, str] = field(default_factory=dict)
    """Scripts and styles by their ids, those without one by number: `script 2`."""
    words: dict[Place, str] = field(default_factory=dict)
    """Place -> what people call it."""

    @property
    def manifest(self) -> dict[str, Any] | None:
        """What the page was made of; None where it does not say it."""
        try:
            found = json.loads(self.scripts[MANIFEST])
        except (KeyError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def pieces(page: str) -> Pieces:
    """Take a page to pieces."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    reader.name_cells()
    return reader.found


def data(text: str) -> Iterator[tuple[Place, str]]:
    """Each value of a JSON text with the names and the numbers that lead to it; the text itself where it is none."""
    try:
        yield from _values(json.loads(text), ())
    except ValueError:
        yield (), text


def _values(value: Any, at: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, (dict, list)) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value, 1)
        for name, each in items:
            yield from _values(each, (*at, str(name)))
    else:
        yield at, json.dumps(value, ensure_ascii=False)


class _Reader(HTMLParser):
    """Walks over a page; where it is follows from the elements that are open."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = Pieces()
        self.open: list[tuple[str, str]] = []  # tag and id
        self.section, self.table, self.row, self.column = "top of the page", 0, 0, 0
        self.width = 1  # of the cell of a table that is open, in columns
        self.titles: dict[str, str] = {}
        self.heads: set[Place] = set()
        self.raw: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in _VOID:
            self.open.append((tag, given.get("id", "")))
        if tag in _RAW:
            self.raw = given.get("id") or f"{tag} {1 + sum(name.startswith(tag) for name in self.found.scripts)}"
            self.found.scripts[self.raw] = ""
        self._moved(tag, given)
        if told := " ".join(f'{name}="{value}"' for name, value in given.items()):
            self._add(f"<{tag} {told}>")

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
                self.heads.add(self._place())

    def _add(self, text: str) -> None:
        self.found.parts.setdefault(self._place(), []).append(text)

    def _place(self) -> Place:
        tags = [tag for tag, _ in self.open]
        if "svg" in tags:
            chart = next((id for _, id in reversed(self.open) if id.startswith("chart-")), "")
            return (self.section, "drawing", chart)
        if "tr" in tags:
            return (self.section, "table", str(self.table), str(self.row), str(self.column))
        figure = next((id for tag, id in self.open if tag == "figure"), "")
        return (self.section, figure) if figure else (self.section,)

    def name_cells(self) -> None:
        """Call every place by its section's title, and a table's by the head of its column and the begin of its row."""
        texts = {place: _text(parts) for place, parts in self.found.parts.items()}
        for place in self.found.parts:
            section = self.titles.get(place[0], place[0])
            if place[1:2] == ("table",):
                table, row, column = place[2:]
                head = (place[0], "table", table, "1", column)
                names = [texts.get((*place[:4], str(number)), "") for number in (1, 2, 3)]
                label = ", ".join(name for name in names if name)
                under = f", {texts.get(head, column)}" if head in self.heads else ""
                number = int(row) - (head in self.heads)  # that of the heads is none
                self.found.words[place] = f"{section}, row {number} ({label}){under}"
            elif place[1:2] == ("drawing",):
                name = place[2].removeprefix("chart-")
                self.found.words[place] = f"{section}, the drawing of '{name}' for where scripts are off"
            else:
                self.found.words[place] = ", ".join((section, *place[1:]))


def _text(parts: list[str]) -> str:
    """What one reads of a place, without attributes; the begin of it."""
    return " ".join(part for part in parts if not re.match(r"<\w", part))[:60]
