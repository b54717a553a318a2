"""The form `bars`: one bar per cell, in groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from ablate.report.charts import layers
from ablate.report.charts.encoding import Traits, value_text
from ablate.report.charts.layers import Style, colored, picked, tooltip, valued

if TYPE_CHECKING:
    from ablate.report.charts.marks import Marks

_HEIGHT = 280
_LEGIBLE = 0.4
"""The fraction of the height from which a bar has room for its name."""
_ROOM = int(_HEIGHT * _LEGIBLE) - 8
"""Pixels for it: longer names stand in the legend alone."""


TRAITS = Traits(from_zero=True)


def draw(marks: Marks, style: Style) -> alt.LayerChart | alt.FacetChart:
    """Bars from zero, one group per value of x, with intervals, seeds, and the name of each bar's color."""
    grouped = bool(marks.encoding.color)
    inks = dict(zip(marks.legend, map(layers.ink_on, layers.colors(marks)), strict=True)) if grouped else {}
    cells = [
        row | {"ink": "#000000" if row["about"] else inks.get(row["color"], "#000000")}
        for row in marks.rows(style.digits)
    ]
    beside = [row | {"across": True} for row in marks.rows_across(style.digits)]
    step = _step(len(cells) // max(len(marks.facets), 1), grouped)
    base = alt.Chart().transform_filter("!datum.across").encode(x=_x(marks), tooltip=tooltip(style))
    if grouped:
        base = base.encode(xOffset=alt.XOffset("color:N", sort=marks.legend))
    known = base.transform_filter("isValid(datum.value)")
    bar = known.mark_bar(cursor="pointer", strokeWidth=1.5).encode(
        y=valued(alt.Y, style), color=colored(marks, style), stroke=colored(marks, style, alt.Stroke), opacity=picked(),
        fillOpacity=alt.condition("datum.about", alt.value(0.35), alt.value(1)),
    )  # fmt: skip
    drawn = [
        bar,
        *([_names(known, style, step)] if grouped and max(map(len, marks.legend)) * 7 <= _ROOM else []),
        layers.intervals(base, style),
        layers.seeds(base, style),
        *layers.hatched(base, (step * 0.9) ** 2, alt.value(_HEIGHT - step / 2)),
        layers.few(known, style, angle=270, align="left", dx=5),
        *layers.lines_across(beside, style),
    ]
    width = alt.Step(step, **{"for": "offset" if grouped else "position"})
    return layers.assembled(drawn, [*cells, *beside], marks, style, width=width, height=_HEIGHT)


def _x(marks: Marks) -> Any:
    texts = list(map(value_text, marks.xs))
    longest = min(max(map(len, texts), default=0), layers.LINE)
    room = 16 * max(len(marks.colors), 3)
    angle = -40 if longest * 7 > room else 0
    axis = alt.Axis(labelAngle=angle, labelExpr=layers.lines_of_label(), labelLimit=0, domain=True, ticks=False)
    return alt.X("x:N", sort=texts, title=marks.title(marks.encoding.x), axis=axis)


def _step(bars: int, grouped: bool) -> int:
    """The width of a bar in pixels."""
    if not grouped:
        return 48 if bars <= 12 else 24
    return 22 if bars <= 14 else 16 if bars <= 36 else 12


def _names(known: Any, style: Style, step: int) -> Any:
    low, high = style.domain
    legible = low + _LEGIBLE * (high - low)
    return (
        known.transform_filter(f"datum.value > {legible}")
        .mark_text(angle=270, align="left", fontSize=min(11, step - 3), limit=_ROOM)
        .encode(y=alt.value(_HEIGHT - 5), text="color:N", color=alt.Color("ink:N", scale=None), opacity=picked())
    )
