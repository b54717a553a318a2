"""A bar a cell, in groups."""

from typing import Any

import altair as alt

from ablate.report.charts.layout import value_text
from ablate.report.charts.look import (
    Look,
    assembled,
    colored,
    colors,
    hatched,
    intervals,
    lines_across,
    seeds,
    told,
    valued,
)
from ablate.report.charts.rows import Drawing, across, rows
from ablate.report.charts.theme import INK, ink_on, picked

_HEIGHT = 280
_LEGIBLE = 0.4
"""The part of the height that a bar needs to bear its name."""


def bars(drawn: Drawing, look: Look) -> alt.LayerChart | alt.FacetChart:
    """Bars from zero, one group a value of x, with intervals, seeds, and the name of its color in each bar."""
    grouped = bool(drawn.layout.color)
    inks = dict(zip(drawn.legend, map(ink_on, colors(drawn)), strict=True)) if grouped else {}
    cells = [
        row | {"ink": "#000000" if row["about"] else inks.get(row["color"], "#000000")}
        for row in rows(drawn, look.digits)
    ]
    beside = [row | {"across": True} for row in across(drawn, look.digits)]
    step = _step(len(cells) // max(len(drawn.facets), 1), grouped)
    base = alt.Chart().transform_filter("!datum.across").encode(x=_x(drawn), tooltip=told(look))
    if grouped:
        base = base.encode(xOffset=alt.XOffset("color:N", sort=drawn.legend))
    known = base.transform_filter("isValid(datum.value)")
    bar = known.mark_bar(cursor="pointer", strokeWidth=1.5).encode(
        y=valued(alt.Y, look), color=colored(drawn, look), stroke=colored(drawn, look, alt.Stroke), opacity=picked(),
        fillOpacity=alt.condition("datum.about", alt.value(0.35), alt.value(1)),
    )  # fmt: skip
    layers = [
        bar,
        *([_names(known, look, step)] if grouped else []),
        intervals(base, look),
        seeds(base, look),
        *hatched(base, (step * 0.9) ** 2, alt.value(_HEIGHT - step / 2)),
        _few(known, look),
        *lines_across(beside, look),
    ]
    width = alt.Step(step, **{"for": "offset" if grouped else "position"})
    return assembled(layers, [*cells, *beside], drawn, look, width=width, height=_HEIGHT)


def _x(drawn: Drawing) -> Any:
    texts = list(map(value_text, drawn.xs))
    longest = max(map(len, texts), default=0)
    room = 16 * max(len(drawn.colors), 3)
    axis = alt.Axis(labelAngle=-40 if longest * 7 > room else 0, domain=True, ticks=False)
    return alt.X("x:N", sort=texts, title=drawn.title(drawn.layout.x), axis=axis)


def _step(bars: int, grouped: bool) -> int:
    """Pixels a bar."""
    if not grouped:
        return 48 if bars <= 12 else 24
    return 22 if bars <= 14 else 16 if bars <= 36 else 12


def _names(known: Any, look: Look, step: int) -> Any:
    low, high = look.domain
    legible = low + _LEGIBLE * (high - low)
    return (
        known.transform_filter(f"datum.value > {legible}")
        .mark_text(angle=270, align="left", fontSize=min(11, step - 3), limit=int(_HEIGHT * _LEGIBLE) - 8)
        .encode(y=alt.value(_HEIGHT - 5), text="color:N", color=alt.Color("ink:N", scale=None), opacity=picked())
    )


def _few(known: Any, look: Look) -> Any:
    """Over a bar of which seeds are missing: how many are there."""
    return (
        known.transform_filter("datum.few")
        .mark_text(angle=270, align="left", dx=5, fontSize=10, color=INK)
        .encode(y=valued(alt.Y, look), text="few:N")
    )
