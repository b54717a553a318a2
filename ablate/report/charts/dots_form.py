"""The form `dots`: a row for each cell, with its name at full length, its interval, its seeds and its value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from ablate.report.charts import layers
from ablate.report.charts.encoding import CELL, Traits, value_text
from ablate.report.charts.layers import FAINT, HATCH, INK, QUIET, Style, colored, picked, tooltip, valued, wrapped

if TYPE_CHECKING:
    from ablate.report.charts.marks import Marks

TRAITS = Traits()
WIDTH = 460
LINE_HEIGHT, _STEP, _DODGED = 15, 26, 20  # pixels of a line of a name, of a row, and of a row's part per color


def draw(marks: Marks, style: Style) -> alt.LayerChart | alt.FacetChart:
    """A row for each value of x, or each cell by its name; cases follow. Several colors share a row."""
    x = marks.encoding.x
    cells = [row | {"name": row["label"] if x == CELL else row["x"]} for row in marks.rows(style.digits)]
    cases = [row | {"name": row["label"], "color": ""} for row in marks.rows_across(style.digits)]
    order = [value_text(value) for value in marks.xs] + [row["label"] for row in cases]
    names = row_names(order)
    rows = [row | {"row": names[row["name"]]} for row in [*cells, *cases]]
    form = style.digits.replace("~", "")
    rows = [row | ({"shown": format(row["value"], form)} if "value" in row else {}) for row in rows]
    grouped = bool(marks.encoding.color)
    known = {"fill": colored(marks, style), "stroke": colored(marks, style, alt.Stroke)} if grouped else {}
    drawn = layers_of(style, list(names.values()), marks.legend, marks.title(x), **known)
    height = row_step(names) + _DODGED * max(len(marks.legend) - 1, 0)
    return layers.assembled(drawn, rows, marks, style, width=WIDTH, height=height * max(len(names), 1))


def row_names(names: Sequence[str]) -> dict[str, str]:
    """Name -> the value of its row: its number, then its lines, each after a line end. Equal names share a row."""
    return {name: f"{number}\n{wrapped(name)}" for number, name in enumerate(dict.fromkeys(names))}


def row_step(names: dict[str, str]) -> int:
    """The height of a row in pixels."""
    return max(_STEP, LINE_HEIGHT * max((value.count("\n") for value in names.values()), default=1) + 6)


def row_axis(grid: bool = True) -> alt.Axis:
    """The axis of these rows: their names, centered, over faint lines."""
    upward = alt.ExprRef(f"(2 - length(split(datum.value, '\\n'))) * {LINE_HEIGHT / 2}")
    lines = "slice(split(datum.value, '\\n'), 1)"
    return alt.Axis(labelExpr=lines, labelLimit=0, labelLineHeight=LINE_HEIGHT, labelOffset=upward, ticks=False,
                    domain=False, grid=grid, gridColor=FAINT, gridOpacity=0.5)  # fmt: skip


def layers_of(
    style: Style, order: Sequence[str], colors: Sequence[str] = (), title: str | None = None, **known: Any
) -> list[Any]:
    """The layers of rows with `row`, `value`, `low`, `high`, `seeds`, `shown`, and `few` where seeds are missing.

    order: the rows from the top. known: channels of the point of a value.
    """
    y = alt.Y("row:N", sort=list(order), title=title, axis=row_axis())
    base = alt.Chart().encode(y=y, tooltip=tooltip(style))
    if colors:
        base = base.encode(yOffset=alt.YOffset("color:N", sort=list(colors)))
    value = base.transform_filter("isValid(datum.value)")
    missing = base.transform_filter("!isValid(datum.value)")
    return [
        base.transform_filter("isValid(datum.low)").mark_rule(color=INK, strokeWidth=1.5)
        .encode(x=valued(alt.X, style, "low"), x2="high:Q", opacity=picked()),
        value.mark_point(size=80, filled=True, strokeWidth=1.8, cursor="pointer", fill=layers.palette([""])[0])
        .encode(x=valued(alt.X, style), opacity=picked(), fillOpacity=alt.condition(
            "datum.about", alt.value(0), alt.value(1)), **known),
        base.transform_flatten(["seeds"], ["seed"]).transform_filter("isValid(datum.seed)")
        .mark_point(size=14, filled=True, fill="#ffffff", stroke=INK, strokeWidth=0.8)
        .encode(x=valued(alt.X, style, "seed"), opacity=picked(0.9)),
        value.mark_text(align="left", fontSize=12, color=INK, dx=10)
        .encode(x=alt.value("width"), text="shown:N", opacity=picked()),
        missing.mark_point(shape=HATCH, size=16**2, filled=False, stroke=QUIET, strokeWidth=0.8)
        .encode(x=alt.value(10), opacity=picked()),
        base.transform_filter("datum.few").mark_text(align="left", fontSize=10, color=INK, dx=22, dy=-8)
        .encode(x=alt.value(0), text="few:N", opacity=picked()),
    ]  # fmt: skip
