"""The rows that a chart is drawn from: plain values with short names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablate.report.charts.layout import Layout, Place, color_text, value_text
from ablate.report.charts.shown import Shown, beside, names_of, placed


@dataclass(frozen=True)
class Drawing:
    """One side of a chart, measured or published: its cells where they stand, and the order of what is there."""

    layout: Layout
    cells: tuple[tuple[Place, Shown], ...]
    cases: tuple[Shown, ...]
    xs: tuple[Any, ...]
    ys: tuple[Any, ...]
    colors: tuple[tuple[Any, ...], ...]
    facets: tuple[Any, ...]
    titles: Mapping[str, str]
    """Axis -> what charts call it."""

    @property
    def legend(self) -> list[str]:
        """What the colors are called."""
        return [color_text(self.layout.color, each) for each in self.colors] if self.layout.color else []

    def title(self, axis: str | None) -> str | None:
        """What charts call an axis, or what else x can be."""
        if axis == "parameters":
            return "parameters of the encoder (millions)"
        return None if axis is None or axis == "case" else self.titles.get(axis, axis)


def drawing(layout: Layout, cells: Sequence[Shown], axes: Sequence[Mapping[str, Any]]) -> Drawing:
    """The cells in the order of the axes' values. axes: of a plan file."""
    where = placed(layout, cells)
    orders = {axis["name"]: [*axis["values"]] for axis in axes}
    places = [place for place, _ in where]
    return Drawing(
        layout,
        tuple(where),
        tuple(beside(layout, cells)),
        _ordered((place.x for place in places), orders.get(layout.x or "")),
        _ordered((place.y for place in places), orders.get(layout.y or "")),
        tuple(
            sorted(
                dict.fromkeys(place.color for place in places),
                key=lambda each: [
                    _rank(value, orders.get(axis)) for axis, value in zip(layout.color, each, strict=True)
                ],
            )
        ),
        _ordered((place.facet for place in places), orders.get(layout.facet or "")),
        {axis["name"]: axis.get("label") or axis["name"] for axis in axes},
    )


def rows(drawn: Drawing, digits: str) -> list[dict[str, Any]]:
    """A row a cell: where it stands, its number, interval, seeds, and how many of these there are.

    digits: the format of numbers, as D3 writes it.
    """
    layout = drawn.layout
    names = names_of(layout, [cell for _, cell in drawn.cells])
    return [
        _row(cell, digits)
        | {
            "x": place.x if layout.numeric else value_text(place.x),
            "y": value_text(place.y),
            "color": color_text(layout.color, place.color) if layout.color else "",
            "facet": value_text(place.facet),
            "name": names[number],
        }
        for number, (place, cell) in enumerate(drawn.cells)
        if not layout.numeric or place.x is not None
    ]


def across(drawn: Drawing, digits: str) -> list[dict[str, Any]]:
    """A row for each line across, in each small chart: a case, or a cell that has no place on a scale of numbers."""
    layout = drawn.layout
    found = []
    beside = [(cell.axes.get(layout.facet or ""), cell) for cell in drawn.cases]
    if layout.numeric:
        beside += [(place.facet, cell) for place, cell in drawn.cells if place.x is None]
    for facet, cell in beside:
        where = [facet] if facet is not None or layout.facet is None else drawn.facets
        found += [_row(cell, digits) | {"facet": value_text(each)} for each in where if cell.value is not None]
    return found


def _row(cell: Shown, digits: str) -> dict[str, Any]:
    row = {
        "cell": cell.cell if cell.cell is not None else -2,  # -1 is what is picked where nothing is
        "label": cell.label,
        "value": cell.value,
        "low": cell.low,
        "high": cell.high,
        "seeds": list(cell.seeds) if len(cell.seeds) > 1 else [],
        "about": cell.approximate,
        "told": told(cell, digits),
        "few": cell.count if len(cell.seeds) < cell.planned else "",
    }
    return {name: value for name, value in row.items() if value is not None}


def told(cell: Shown, digits: str) -> str:
    """A cell's number in words: `87.7 (86.0 to 89.4), 2 of 3 seeds`."""
    form = digits.replace("~", "")  # which Python does not know, whose g leaves zeros out anyway
    number = "no number yet" if cell.value is None else f"{'about ' if cell.approximate else ''}{cell.value:{form}}"
    between = "" if cell.low is None else f" ({cell.low:{form}} to {cell.high:{form}})"
    return f"{number}{between}{f', {cell.count} seeds' if cell.planned else ''}"


def _ordered(values: Iterable[Any], order: Sequence[Any] | None) -> tuple[Any, ...]:
    return tuple(sorted(dict.fromkeys(values), key=lambda value: _rank(value, order)))


def _rank(value: Any, order: Sequence[Any] | None) -> int:
    """The place of a value among those of its axis; what has none stands last."""
    texts = list(map(value_text, order or ()))
    text = value_text(value)
    return texts.index(text) if text in texts else len(texts)
