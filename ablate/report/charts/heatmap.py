"""A square a cell, for two axes."""

from typing import Any

import altair as alt

from ablate.report.charts.layout import value_text
from ablate.report.charts.look import Look, assembled, told
from ablate.report.charts.rows import Drawing, rows
from ablate.report.charts.theme import HATCH, INK, QUIET, picked

_CELL = 46  # pixels
_WIDE_CELL = 78
"""Of four digits with their exponent."""
_DARK = 0.6
"""Up to this part of the domain viridis is so dark that text on it is white."""


def heatmap(drawn: Drawing, look: Look) -> alt.LayerChart | alt.FacetChart:
    """One square a cell, its value printed in it; hatched where there is none yet."""
    ys, xs = list(map(value_text, drawn.ys)), list(map(value_text, drawn.xs))
    wide = _CELL if look.digits == ".1f" else _WIDE_CELL
    angle = 0 if max(map(len, xs), default=0) * 7 <= wide + 6 else -40
    base = alt.Chart().encode(
        x=alt.X("x:N", sort=xs, title=drawn.title(drawn.layout.x),
                axis=alt.Axis(orient="top", labelAngle=angle, domain=False, ticks=False)),
        y=alt.Y("y:N", sort=ys, title=drawn.title(drawn.layout.y), axis=alt.Axis(domain=False, ticks=False)),
        tooltip=told(look), opacity=picked(left=0.25),
    )  # fmt: skip
    layers = [_squares(base, look, len(ys)), _numbers(base, look), *_missing(base, wide)]
    return assembled(layers, rows(drawn, look.digits), drawn, look, width=len(xs) * wide, height=len(ys) * _CELL)


def _squares(base: Any, look: Look, tall: int) -> Any:
    legend = alt.Legend(gradientLength=tall * _CELL, format=look.digits, orient="right") if look.legend else None
    scale = alt.Scale(scheme="viridis", domain=list(look.domain))
    return (
        base.transform_filter("isValid(datum.value)")
        .mark_rect(stroke="white", strokeWidth=1, cursor="pointer")
        .encode(color=alt.Color("value:Q", scale=scale, title=None, legend=legend))
    )


def _numbers(base: Any, look: Look) -> Any:
    """The value; below it, where seeds are missing, how many are there."""
    low, high = look.domain
    ink = alt.condition(f"datum.value > {low + _DARK * (high - low)}", alt.value("black"), alt.value("white"))
    known = base.transform_filter("isValid(datum.value)")
    return alt.layer(
        known.mark_text(fontSize=13, cursor="pointer").encode(
            text=alt.Text("value:Q", format=look.digits), color=ink
        ),
        known.transform_filter("datum.few").mark_text(fontSize=10, dy=14).encode(text="few:N", color=ink),
    )  # fmt: skip


def _missing(base: Any, wide: int) -> list[Any]:
    missing = base.transform_filter("!isValid(datum.value)")
    shape: dict[str, Any] = {"shape": HATCH, "size": (min(wide, _CELL) - 4) ** 2, "filled": False, "stroke": QUIET}
    return [
        missing.mark_point(strokeWidth=0.8, cursor="pointer", **shape),
        missing.mark_text(fontSize=11, color=INK, fontWeight="bold").encode(text="few:N"),
    ]
