"""Encoding: the axes of a study that its main chart shows by x, y, color and facet."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ablate.study.cells.cell import Cell, described, is_number, shown_text, varying_axes
from ablate.study.schema.chart import CASE, PARAMETERS, Chart

CELL = "cell name"
"""The x of a chart with a row for each cell of a design; axes have no space in their names."""
ABSENT = "none"
"""The text for the value of an axis that a cell does not have."""
_FEWEST_FOR_A_HEATMAP = 5
"""The fewest values on each of two axes that would make a tangle of lines."""
_FEWEST_FOR_A_LINE = 3
"""The fewest numbers on an axis that make a line chart."""
_WIDE = 8
"""The ratio of largest to smallest number from which an axis is logarithmic; its square if an axis has a 0."""


@dataclass(frozen=True)
class Encoding:
    """The form of a chart, and the axes that its channels show."""

    form: str
    """`heatmap`, for example, is drawn by the module `heatmap_form` of this package."""
    x: str | None
    """An axis, `case`, `parameters` or `CELL`; None if nothing varies."""
    y: str | None
    color: tuple[str, ...]
    facet: str | None
    best_of: tuple[str, ...]
    """Axes over which the best cell is shown."""
    log: bool

    @property
    def numeric(self) -> bool:
        """Whether x is numeric rather than categorical."""
        return traits_of(self.form).numeric


@dataclass(frozen=True)
class Traits:
    """How a form of chart uses its channels: `TRAITS` of its module."""

    numeric: bool = False
    """x is numeric rather than categorical."""
    two_axes: bool = False
    """y is an axis too, and the color is the value."""
    from_zero: bool = False
    """The scale of values starts at zero."""


@dataclass(frozen=True)
class Position:
    """The position of a cell in a chart: its value on each channel."""

    x: Any = None
    y: Any = None
    color: tuple[Any, ...] = ()
    facet: Any = None


def encode(chart: Chart, cells: Sequence[Cell], also: Sequence[Cell] = (), by_name: bool = False) -> Encoding:
    """The encoding set by a study's `[chart]`; free channels take the remaining axes.

    cells: the grid. also: further cells that are drawn on the same scale. by_name: whether the cells have names, which
    are shown where the chart is left open and has too few channels for the axes.
    """
    groups = varying_axes(cells)
    named = {chart.x, chart.y, chart.facet, *chart.color, *chart.best_of}
    left = [group[0] for group in groups if not named & set(group)]
    form = chart.form or _form(left, cells, bool(named - {None}))
    x, y, color, facet = chart.x, chart.y, tuple(chart.color), chart.facet
    traits = traits_of(form)
    if traits.two_axes:
        y = y or _take(left)
    x = x or _x(traits, left, cells) or (CASE if not cells else None)
    if not (traits.two_axes or color) and left:
        color = (left.pop(0),)
    best_of = tuple(chart.best_of)
    if x != PARAMETERS:
        facet = facet or _take(left)
        best_of += tuple(left)
    if by_name and (left or form == "bars") and chart == Chart():
        return Encoding("dots", CELL, None, (), None, (), log=False)
    log = _spans_widely(x, [*cells, *also]) if chart.log is None else chart.log
    return Encoding(form, x, y, color, facet, best_of, log)


def form_module(name: str) -> Any:
    """The module that draws a form of chart: `draw(marks, style)`, and its `TRAITS`."""
    return importlib.import_module(f"{__package__}.{name}_form")


def traits_of(form: str) -> Traits:
    """How a form uses its channels."""
    traits: Traits = form_module(form).TRAITS
    return traits


def position(encoding: Encoding, cell: Cell, parameters: int | None) -> Position:
    """The position of a cell; None on channels whose axis it does not have."""
    axes = cell.axes
    of_x = {CASE: cell.case, PARAMETERS: parameters and parameters / 1e6}
    x = of_x[encoding.x] if encoding.x in of_x else axes.get(encoding.x or "")
    color = tuple(axes.get(name) for name in encoding.color)
    return Position(x, axes.get(encoding.y or ""), color, axes.get(encoding.facet or ""))


def value_text(value: Any) -> str:
    """A value of an axis as text on the scale of a chart."""
    return ABSENT if value is None else shown_text(value)


def color_text(axes: Sequence[str], values: Sequence[Any]) -> str:
    """The legend's text for some values; numbers include their axis if several axes share the color."""
    if len(axes) == 1 and not isinstance(values[0], bool):
        return value_text(values[0])
    texts = [described(axis, value) for axis, value in zip(axes, values, strict=True) if value is not None]
    return ", ".join(texts) or ABSENT


def _form(left: Sequence[str], cells: Sequence[Cell], named: bool) -> str:
    if len(left) == 2 and not named and all(_count(axis, cells) >= _FEWEST_FOR_A_HEATMAP for axis in left):
        return "heatmap"
    if any(_numbers(axis, cells) >= _FEWEST_FOR_A_LINE for axis in left):
        return "lines"
    text = all(any(isinstance(cell.axes.get(axis), str) for cell in cells) for axis in left)
    if named or len(left) > 2:
        return "bars"
    return "dots" if len(left) < 2 else "heatmap" if text else "bars"


def _spans_widely(x: str | None, cells: Sequence[Cell]) -> bool:
    """Whether the small numbers of an axis would overlap on a linear scale. Zero stands apart on a logarithmic one."""
    values = [cell.axes[x] for cell in cells if x is not None and x in cell.axes]
    numbers = [value for value in values if isinstance(value, (int, float)) and is_number(value) and value >= 0]
    above = [value for value in numbers if value > 0]
    wide = _WIDE if len(above) == len(numbers) else _WIDE**2
    return bool(above) and len(numbers) == len(values) and max(above) >= wide * min(above)


def _count(axis: str, cells: Sequence[Cell]) -> int:
    return len({cell.axes[axis] for cell in cells if axis in cell.axes})


def _numbers(axis: str, cells: Sequence[Cell]) -> int:
    """The count of numbers on an axis; 0 if it has other values too."""
    values = {cell.axes[axis] for cell in cells if axis in cell.axes}
    return len(values) if all(map(is_number, values)) else 0


def _x(traits: Traits, left: list[str], cells: Sequence[Cell]) -> str | None:
    """The axis for x, removed from those that are left: for numeric forms, the one with the most numbers."""
    if not traits.numeric:
        return _take(left)
    chosen = max(left, key=lambda axis: _numbers(axis, cells), default=None)
    if chosen is not None:
        left.remove(chosen)
    return chosen


def _take(left: list[str]) -> str | None:
    return left.pop(0) if left else None
