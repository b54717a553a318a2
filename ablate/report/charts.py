"""The charts of a page, as Altair charts of plain values."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from ablate.report.measured import Cell, Measured

_CELL = 46  # pixels
_WIDE_CELL = 78
"""Of four digits with their exponent."""


def charts(measured: Measured) -> dict[str, alt.Chart | alt.LayerChart]:
    """Name -> chart: `measured`, and `published` where the paper has numbers for the study."""
    title = f"measured {measured.metric}" + (", synthetic textures" if measured.synthetic else "")
    drawn = {"measured": _draw(measured, [cell.mean for cell in measured.grid], title)}
    if any(cell.paper is not None for cell in measured.grid):
        drawn["published"] = _draw(measured, [cell.paper for cell in measured.grid], f"published {measured.metric}")
    return drawn


def _draw(measured: Measured, values: Sequence[float | None], title: str) -> alt.Chart | alt.LayerChart:
    if len(measured.axes) == 2 and all(len(cell.axes) == 2 for cell in measured.grid):
        return heatmap(measured, values, title)
    return bars(measured.grid, values, title, _format(measured))


def _format(measured: Measured) -> str:
    """As `Measured.shown` writes numbers: percent with one decimal, others with four digits."""
    return ".1f" if "%" in measured.metric else ".4~g"


def heatmap(measured: Measured, values: Sequence[float | None], title: str) -> alt.LayerChart:
    """One square a cell, first axis downwards, second across, its value printed in it.

    The color scale spans the values of this chart: at another scale than the paper's only order compares.
    """
    down, across = measured.axes
    digits = _format(measured)
    rows: list[dict[str, Any]] = [
        {down: cell.axes[down], across: cell.axes[across], "_value": value, "_seeds": len(cell.values)}
        for cell, value in zip(measured.grid, values, strict=True)
    ]
    orders = {
        axis["name"]: [v for v in axis["values"] if any(r[axis["name"]] == v for r in rows)]
        for axis in measured.plan["axes"]
    }
    titles = {axis["name"]: axis.get("label") or axis["name"] for axis in measured.plan["axes"]}
    known = [value for value in values if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X(f"{across}:N", sort=orders[across], title=titles[across],
                axis=alt.Axis(orient="top", labelAngle=0, domain=False, ticks=False)),
        y=alt.Y(f"{down}:N", sort=orders[down], title=titles[down],
                axis=alt.Axis(domain=False, ticks=False)),
        tooltip=[f"{down}:N", f"{across}:N", alt.Tooltip("_value:Q", title=title, format=digits),
                 alt.Tooltip("_seeds:Q", title="seeds")],
    )  # fmt: skip
    scale = alt.Scale(scheme="viridis", domain=[low, high] if high > low else [low - 1, low + 1])
    middle = low + 0.6 * (high - low)
    squares = base.mark_rect(stroke="white", strokeWidth=1).encode(
        color=alt.Color(
            "_value:Q",
            scale=scale,
            title=None,
            legend=alt.Legend(gradientLength=len(orders[down]) * _CELL, format=digits),
        )
    )
    numbers = base.transform_filter("isValid(datum._value)").mark_text(fontSize=13).encode(
        text=alt.Text("_value:Q", format=digits),
        color=alt.condition(f"datum._value > {middle}", alt.value("black"), alt.value("white")),
    )  # fmt: skip
    missing = (
        base.transform_filter("!isValid(datum._value)")
        .mark_text(fontSize=13, color="#767676")
        .encode(text=alt.value("-"))
    )
    size = {
        "width": len(orders[across]) * (_CELL if "%" in measured.metric else _WIDE_CELL),
        "height": len(orders[down]) * _CELL,
    }
    chart: alt.LayerChart = _styled(alt.layer(squares, numbers, missing).properties(title=title, **size))
    return chart


def bars(cells: Sequence[Cell], values: Sequence[float | None], title: str, digits: str) -> alt.Chart:
    """One bar a cell, in the order of the study; `digits` is the format of its number."""
    rows = [{"cell": cell.label, "value": value} for cell, value in zip(cells, values, strict=True)]
    chart = alt.Chart(alt.InlineData(values=rows)).mark_bar(color="#3b528b").encode(
        x=alt.X("value:Q", title=title),
        y=alt.Y("cell:N", sort=[cell.label for cell in cells], title=None),
        tooltip=["cell:N", alt.Tooltip("value:Q", title=title, format=digits)],
    )  # fmt: skip
    styled: alt.Chart = _styled(chart.properties(title=title, width=360))
    return styled


def _styled(chart: Any) -> Any:
    return (
        chart.configure(font="system-ui, sans-serif", background="white")
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", grid=False)
        .configure_title(fontSize=14, anchor="start")
        .configure_view(stroke=None)
    )
