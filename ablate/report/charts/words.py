"""What charts show, in sentences and in tables."""

from collections.abc import Sequence

from ablate.report.charts.layout import color_text
from ablate.report.charts.rows import Drawing
from ablate.report.charts.shown import Shown
from ablate.report.measured import Measured

Table = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]
"""Columns and rows, as pages write them."""


def digits(measured: Measured) -> str:
    """The format of a number, as `Measured.shown` writes it: percent with one decimal, others with four digits."""
    return ".1f" if "%" in measured.metric else ".4~g"


def summary(measured: Measured, drawn: Drawing, *, measured_here: bool) -> str:
    """The highest and the lowest cell, the best of each color, and how many cells lack a number or seeds."""
    known = [(place, cell) for place, cell in drawn.cells if cell.value is not None]
    if not known:
        return "No cell has a number yet."
    told = []
    by_value = sorted((cell for _, cell in known), key=lambda cell: cell.value or 0.0)
    low, high = by_value[0], by_value[-1]
    if len(known) == 1:
        told.append(f"{high.label}: {_value(measured, high)}.")
    else:
        told.append(f"Highest: {high.label} {_value(measured, high)}; lowest: {low.label} {_value(measured, low)}.")
    if 1 < len(drawn.colors) <= 8 and len(known) > len(drawn.colors):
        tops = [
            (color, max((cell for place, cell in known if place.color == color), key=lambda cell: cell.value or 0.0))
            for color in drawn.colors
            if any(place.color == color for place, _ in known)
        ]
        each = "; ".join(f"{color_text(drawn.layout.color, color)} {_value(measured, cell)}" for color, cell in tops)
        told.append(f"Best of each: {each}.")
    if measured_here and (lacking := [cell for _, cell in drawn.cells if len(cell.seeds) < cell.planned]):
        told.append(f"{len(lacking)} of {len(drawn.cells)} cells still lack seeds.")
    return " ".join(told)


def table(measured: Measured, cells: Sequence[Shown]) -> Table:
    """Of measured cells: value, interval, seeds."""
    rows = tuple(
        (cell.label, measured.shown(cell.value), _between(measured, cell), cell.count,
         ", ".join(measured.shown(value) for value in cell.seeds))
        for cell in cells
    )  # fmt: skip
    return ("cell", measured.metric, "95 % interval", "seeds", "each"), rows


def published_table(measured: Measured, cells: Sequence[Shown]) -> Table:
    """Of the paper's cells: value, and how far off one that was read off a figure may be."""
    rows = tuple((cell.label, _value(measured, cell), _between(measured, cell)) for cell in cells)
    return ("cell", measured.metric, "between"), rows


def _value(measured: Measured, cell: Shown) -> str:
    return f"{'about ' if cell.approximate else ''}{measured.shown(cell.value)}"


def _between(measured: Measured, cell: Shown) -> str:
    return "\u2013" if cell.low is None else f"{measured.shown(cell.low)} to {measured.shown(cell.high)}"
