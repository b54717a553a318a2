"""A square a cell, for two axes."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from ablate.report.charts.theme import digits, styled
from ablate.report.measured import Measured

_CELL = 46  # pixels
_WIDE_CELL = 78
"""Of four digits with their exponent."""


def heatmap(measured: Measured, values: Sequence[float | None], title: str) -> alt.LayerChart:
    """One square a cell, first axis downwards, second across, its value printed in it.

    The color scale spans the values of this chart: at another scale than the paper's only order compares.
    """
    down, across = measured.axes
    numbers_as = digits(measured)
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
        tooltip=[f"{down}:N", f"{across}:N", alt.Tooltip("_value:Q", title=title, format=numbers_as),
                 alt.Tooltip("_seeds:Q", title="seeds")],
    )  # fmt: skip
    scale = alt.Scale(scheme="viridis", domain=[low, high] if high > low else [low - 1, low + 1])
    middle = low + 0.6 * (high - low)
    squares = base.mark_rect(stroke="white", strokeWidth=1).encode(
        color=alt.Color(
            "_value:Q",
            scale=scale,
            title=None,
            legend=alt.Legend(gradientLength=len(orders[down]) * _CELL, format=numbers_as),
        )
    )
    numbers = base.transform_filter("isValid(datum._value)").mark_text(fontSize=13).encode(
        text=alt.Text("_value:Q", format=numbers_as),
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
    chart: alt.LayerChart = styled(alt.layer(squares, numbers, missing).properties(title=title, **size))
    return chart
