"""Cells and comparisons on pages: `crop + color`, `k = 12, m = 5`, `(crop + color) \u2212 (color + sobel)`."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ablate.study.cells.cell import Cell, Scalar, described, is_number, shown_text, varying_axes

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence

MINUS = "\u2212"
_SIGNS = {"==": "=", "!=": "\u2260", "<=": "\u2264", ">=": "\u2265"}
_CONDITION = re.compile(r"[=!<>]=|[<>]|\b(?:not )?in [\[(]")
_TOKEN = re.compile(r"'([^']*)'|\"([^\"]*)\"|([=!<>]=)|\s+(and)\s+|([\[\]()])")


def cell_names(cells: Sequence[Cell], labels: Sequence[str]) -> list[str]:
    """A name for each cell, from what tells the cells of the grid apart.

    labels: what the judge calls the cells. Cases and cells of a design (`without color`) keep it.
    """
    return list(_all_names(tuple(cells), tuple(labels)))


@functools.lru_cache(maxsize=8)
def _all_names(cells: tuple[Cell, ...], labels: tuple[str, ...]) -> tuple[str, ...]:
    """The names for `cell_names`; a page asks for those of the same cells about ten times."""
    telling = [group[0] for group in varying_axes([cell for cell in cells if cell.case is None])]
    return tuple(_named(cell, label, telling) for cell, label in zip(cells, labels, strict=True))


def _named(cell: Cell, label: str, telling: Sequence[str]) -> str:
    values = {axis: cell.axes[axis] for axis in telling if axis in cell.axes} or cell.axes
    if cell.case is not None or not values or label not in _usual(cell, values):
        return label
    if any(isinstance(value, str) and re.search(r"[,+]", value) for value in values.values()):
        return "; ".join(_equals(axis, value) for axis, value in values.items()) if len(values) > 1 else label
    groups = itertools.groupby(values.items(), key=lambda each: isinstance(each[1], str))
    parts: list[str] = []
    for text, group in groups:
        parts += [" + ".join(shown_text(value) for _, value in group)] if text else [_equals(*each) for each in group]
    return ", ".join(parts)


def _usual(cell: Cell, values: Mapping[str, Scalar]) -> tuple[str, ...]:
    """What the judge calls a cell that no design names."""
    return ", ".join(described(axis, value) for axis, value in values.items()), cell.title()


def _equals(axis: str, value: Scalar) -> str:
    """`k = 12`; true is `axis`, false `not axis`."""
    if isinstance(value, bool):
        return described(axis.replace("_", " "), value)
    return f"{axis.replace('_', ' ')} = {shown_text(value)}"


def axis_value(value: Scalar, axis: str) -> str:
    """One value of an axis by itself: `crop`, `k = 12`."""
    return _equals(axis, value) if is_number(value) or isinstance(value, bool) else shown_text(value)


class Names:
    """The names of a study's cells, by number and by the judge's label."""

    def __init__(self, evidence: Evidence) -> None:
        """Name the cells of the evidence."""
        labels = [cell.label for cell in evidence.cells]
        self.cells = cell_names([cell.cell for cell in evidence.cells], labels)
        self._of = dict(zip(labels, self.cells, strict=True))
        values = {value for axis in evidence.plan.axes for value in axis.values if isinstance(value, str)}
        self._values = values if not any("," in value or "+" in value for value in values) else set()

    def comparison(self, text: str) -> str:
        """What the judge says it compared, in these names: `15 of 42 hold (22 needed); crop \u2212 color`."""
        head, mark, body = text.rpartition("; ")
        if (sides := self.sides(body)) is not None:
            left, right = (f"({side})" if {"+", ","} & set(side) else side for side in sides)  # else one sum
            return f"{head}{mark}{left} {MINUS} {right}"
        return f"{head}{mark}{self._side(body)}"

    def sides(self, text: str) -> tuple[str, str] | None:
        """The two sides of a difference; None where the text is not one."""
        parts = text.split(" - ")
        cuts = [(" - ".join(parts[:cut]), " - ".join(parts[cut:])) for cut in range(1, len(parts))]
        found = next((each for each in cuts if self._of.keys() & set(each)), cuts[0] if len(cuts) == 1 else None)
        return found and (self._side(found[0]), self._side(found[1]))

    def _side(self, text: str) -> str:
        if text in self._of:
            return self._of[text]
        for mark in (" at ", " (", ": "):
            head, found, tail = text.rpartition(mark)
            if found and head in self._of:
                return f"{self._of[head]}{mark}{tail}"
        if all(part in self._values for part in text.split(", ")):
            return " + ".join(text.split(", "))
        return in_words(text) if _CONDITION.search(text) else text


def in_words(condition: str) -> str:
    """A condition of a study file as people write it: `first = crop, second \u2260 color`."""

    def word(found: re.Match[str]) -> str:
        one, two, sign, joint, _ = found.groups()
        text = one if one is not None else two
        return text if text is not None else _SIGNS[sign] if sign else ", " if joint else ""

    return re.sub(r"\s+", " ", _TOKEN.sub(word, condition)).strip()
