"""Which axis of a study its main chart shows by what: as `[chart]` says, or by what the axes are."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablate.judge.cells import value_named

ABSENT = "none"
"""What a chart calls the value of an axis that a cell does not have."""
CASE, PARAMETERS = "case", "parameters"
_FEW = 3
"""So many numbers make a line."""


@dataclass(frozen=True)
class Layout:
    """The form of a chart, and what each of its channels shows."""

    form: str
    """`heatmap`, `bars`, `lines` or `scatter`."""
    x: str | None
    """An axis, `case` or `parameters`; None where nothing varies."""
    y: str | None
    color: tuple[str, ...]
    facet: str | None
    best_of: tuple[str, ...]
    log: bool

    @property
    def numeric(self) -> bool:
        """Whether x is a scale of numbers, and not a place for each value."""
        return self.form in ("lines", "scatter")


@dataclass(frozen=True)
class Place:
    """Where a cell stands in a chart."""

    x: Any
    y: Any
    color: tuple[Any, ...]
    facet: Any


def layout(
    chart: Mapping[str, Any], cells: Sequence[Mapping[str, Any]], also: Sequence[Mapping[str, Any]] = ()
) -> Layout:
    """The layout of a chart.

    chart: what the study says of it, with keys of `ablate.study.chart.Chart`. cells: the axes of each cell of the grid;
    also: of cells that are drawn on the same scale.
    """
    groups = _telling(cells)
    named = {name for key in ("x", "y", "facet", "color", "best_of") for name in _listed(chart.get(key))}
    left = [group[0] for group in groups if not named & set(group)]
    form = chart.get("form") or _form(left, cells, named)
    x, y = chart.get("x"), chart.get("y")
    if form == "heatmap":
        y = y or _take(left)
    x = x or _x(form, left, cells) or (CASE if not cells else None)
    color, facet = tuple(_listed(chart.get("color"))), chart.get("facet")
    if form != "heatmap":
        color = color or tuple(_listed(_take(left)))
    if x != PARAMETERS:
        facet = facet or _take(left)
    best_of = (*_listed(chart.get("best_of")), *(left if x != PARAMETERS else ()))
    log = chart.get("log")
    return Layout(form, x, y, color, facet, best_of, _wide(x, [*cells, *also]) if log is None else log)


def place(shown: Layout, axes: Mapping[str, Any], case: str | None, parameters: int | None) -> Place:
    """Where a cell stands: None on a channel whose axis it does not have."""
    x = {CASE: case, PARAMETERS: parameters and parameters / 1e6}.get(shown.x or "", axes.get(shown.x or ""))
    color = tuple(axes.get(name) for name in shown.color)
    return Place(x, axes.get(shown.y or ""), color, axes.get(shown.facet or ""))


def value_text(value: Any) -> str:
    """A value of an axis on a scale of a chart."""
    if value is None:
        return ABSENT
    return value if isinstance(value, str) else json.dumps(value)


def color_text(axes: Sequence[str], values: Sequence[Any]) -> str:
    """What a legend calls the values of the axes told by color: numbers with the axis only where there are several."""
    if len(axes) == 1 and not isinstance(values[0], bool):
        return value_text(values[0])
    told = [value_named(axis, value) for axis, value in zip(axes, values, strict=True) if value is not None]
    return ", ".join(told) or ABSENT


def varied(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """The axes that tell cells apart, without one that moves together with another."""
    return [group[0] for group in _telling(cells)]


def is_number(value: Any) -> bool:
    """Whether a value can stand on a scale of numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _telling(cells: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The axes that tell cells apart, those together that move together."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for axis in dict.fromkeys(axis for cell in cells for axis in cell):
        numbers: dict[str, int] = {}
        pattern = tuple(numbers.setdefault(repr(cell.get(axis)), len(numbers)) for cell in cells)
        if len(numbers) > 1:
            groups.setdefault(pattern, []).append(axis)
    return list(groups.values())


def _form(left: list[str], cells: Sequence[Mapping[str, Any]], named: set[str]) -> str:
    if any(_numbers(axis, cells) >= _FEW for axis in left):
        return "lines"
    text = all(any(isinstance(cell.get(axis), str) for cell in cells) for axis in left)
    return "heatmap" if len(left) == 2 and text and not named else "bars"


def _wide(x: str | None, cells: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the numbers of an axis are so far apart that the small ones would lie on each other."""
    values = [cell[x] for cell in cells if x is not None and x in cell]
    return bool(values) and all(is_number(value) and value > 0 for value in values) and max(values) >= 8 * min(values)


def _numbers(axis: str, cells: Sequence[Mapping[str, Any]]) -> int:
    """How many numbers an axis has; 0 where it has other values too."""
    values = {cell[axis] for cell in cells if axis in cell}
    return len(values) if all(map(is_number, values)) else 0


def _x(form: str, left: list[str], cells: Sequence[Mapping[str, Any]]) -> str | None:
    """The axis that goes across, taken out of those that are left: the one with the most numbers where these matter."""
    if form in ("lines", "scatter"):
        chosen = max(left, key=lambda axis: _numbers(axis, cells), default=None)
        if chosen is not None:
            left.remove(chosen)
        return chosen
    return _take(left)


def _take(left: list[str]) -> str | None:
    return left.pop(0) if left else None


def _listed(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())
