"""The form `heatmap`: one square per cell, for two axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from ablate.report.charts.dots_form import LINE_HEIGHT, row_names, row_step
from ablate.report.charts.encoding import Traits, value_text
from ablate.report.charts.layers import (
    ALONE,
    HATCH,
    INK,
    QUIET,
    Style,
    assembled,
    lines_of_label,
    picked,
    tooltip,
    wrapped,
)

if TYPE_CHECKING:
    from ablate.report.charts.marks import Marks

_CELL = 46  # pixels
_WIDE_CELL = 78
"""Pixels for four digits with an exponent."""
_DARK = 0.6
"""The fraction of the domain up to which viridis is dark enough for white text."""


TRAITS = Traits(two_axes=True)


def draw(marks: Marks, style: Style) -> alt.LayerChart | alt.FacetChart:
    """One square per cell with its value; hatched if it has none yet."""
    ys, xs = list(map(value_text, marks.ys)), list(map(value_text, marks.xs))
    wide = _CELL if style.digits == ".1f" else _WIDE_CELL
    # Beside the published chart, squares are a third narrower: there, too, names must not touch.
    angle = 0 if max(map(len, xs), default=0) * 7 <= wide * 2 / 3 else -40
    tall = max(_CELL, row_step(row_names(ys)))
    lines = max((wrapped(text, ALONE).count("\n") for text in xs), default=0)  # further ones, toward the squares
    above = alt.Axis(orient="top", labelAngle=angle, domain=False, ticks=False, labelLimit=0,
                     labelPadding=2 + 13 * lines, labelExpr=lines_of_label(ALONE))  # fmt: skip
    upward = alt.ExprRef(f"(1 - length({lines_of_label()})) * {LINE_HEIGHT / 2}")
    beside = alt.Axis(domain=False, ticks=False, labelLimit=0, labelLineHeight=LINE_HEIGHT, labelOffset=upward,
                      labelExpr=lines_of_label())  # fmt: skip
    base = alt.Chart().encode(
        x=alt.X("x:N", sort=xs, title=marks.title(marks.encoding.x), axis=above),
        y=alt.Y("y:N", sort=ys, title=marks.title(marks.encoding.y), axis=beside),
        tooltip=tooltip(style), opacity=picked(left=0.25),
    )  # fmt: skip
    layers = [_squares(base, style, len(xs)), _numbers(base, style), *_missing(base, wide)]
    return assembled(layers, marks.rows(style.digits), marks, style, width=len(xs) * wide, height=len(ys) * tall)


def _squares(base: Any, style: Style, wide: int) -> Any:
    # Below, so that the charts of measured and of published values have the same width.
    legend = alt.Legend(gradientLength=min(200, 40 * wide), gradientThickness=10, format=style.digits, orient="bottom")
    scale = alt.Scale(scheme="viridis", domain=list(style.domain))
    return (
        base.transform_filter("isValid(datum.value)")
        .mark_rect(stroke="white", strokeWidth=1, cursor="pointer")
        .encode(color=alt.Color("value:Q", scale=scale, title=None, legend=legend))
    )


def _numbers(base: Any, style: Style) -> Any:
    """The value, and below it the number of finished seeds if some are missing."""
    low, high = style.domain
    ink = alt.condition(f"datum.value > {low + _DARK * (high - low)}", alt.value("black"), alt.value("white"))
    known = base.transform_filter("isValid(datum.value)")
    return alt.layer(
        known.mark_text(fontSize=13, cursor="pointer").encode(
            text=alt.Text("value:Q", format=style.digits), color=ink
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
