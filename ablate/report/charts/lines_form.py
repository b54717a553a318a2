"""The form `lines`: points over a numeric axis, joined into one line per color."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from ablate.report.charts import layers
from ablate.report.charts.encoding import Traits
from ablate.report.charts.layers import INK, Style, colored, picked, tooltip, valued

if TYPE_CHECKING:
    from ablate.report.charts.marks import Marks

_HEIGHT, _WIDTH, _SMALL = 300, 420, 220


TRAITS = Traits(numeric=True)


def draw(marks: Marks, style: Style) -> alt.LayerChart | alt.FacetChart:
    """One point per cell with its interval and seeds, and one line per color."""
    return points(marks, style, joined=True)


def points(marks: Marks, style: Style, joined: bool) -> alt.LayerChart | alt.FacetChart:
    """One point per cell with its interval and seeds; joined into lines, or labeled."""
    beside = [row | {"across": True} for row in marks.rows_across(style.digits)]
    base = alt.Chart().transform_filter("!datum.across").encode(x=_x(marks), tooltip=tooltip(style))
    known = base.transform_filter("isValid(datum.value)")
    point = known.mark_point(size=70, filled=True, strokeWidth=1.8, cursor="pointer").encode(
        y=valued(alt.Y, style), color=colored(marks, style), stroke=colored(marks, style, alt.Stroke),
        shape=_second(marks, style, alt.Shape, layers.SHAPES), opacity=picked(),
        fillOpacity=alt.condition("datum.about", alt.value(0), alt.value(1)),
    )  # fmt: skip
    drawn = [
        *([_line(known, marks, style)] if joined else []),
        layers.intervals(base, style, color=colored(marks, style)),
        point,
        layers.seeds(base, style),
        *([] if joined else [_names(known, style)]),
        layers.few(known, style, baseline="top", dy=9),
        *layers.hatched(base, 16**2, alt.value(_HEIGHT - 10)),
        *layers.lines_across(beside, style),
    ]
    small = len(marks.facets) > 1
    size = {"width": _SMALL if small else _WIDTH, "height": _HEIGHT}
    cells = [row | {"dash": row["color"]} for row in marks.rows(style.digits)]
    return layers.assembled(drawn, [*cells, *beside], marks, style, **size)


def _x(marks: Marks) -> Any:
    numbers = [value for value in marks.xs if value is not None]
    domain = list(layers.spanned(numbers or [1.0], marks.encoding.log))
    scale = alt.Scale(type="log" if marks.encoding.log else "linear", nice=False, domain=domain)
    apart = marks.encoding.log and 0 in numbers  # which a logarithm has no place for
    if apart:
        least = min(value for value in numbers if value > 0)
        scale = alt.Scale(type="symlog", constant=least, nice=False, domain=domain)
    each = (len(numbers) <= 8 or apart) and marks.encoding.x != "parameters"
    axis = alt.Axis(values=numbers, format=".6~r") if each else alt.Axis(format=".6~r", tickCount=6)
    return alt.X("x:Q", title=marks.title(marks.encoding.x), scale=scale, axis=axis)


def _line(known: Any, marks: Marks, style: Style) -> Any:
    dash = _second(marks, style, alt.StrokeDash, layers.DASHES)
    return known.mark_line(strokeWidth=2).encode(
        y=valued(alt.Y, style), color=colored(marks, style), strokeDash=dash,
        opacity=alt.condition("picked < 0", alt.value(1), alt.value(0.3)),
    )  # fmt: skip


def _second(marks: Marks, style: Style, channel: type[Any], kinds: Any) -> Any:
    """A shape or a dash for each color, for readers who cannot tell the colors apart."""
    if not marks.encoding.color:
        return alt.value(kinds[0])
    by_color = colored(marks, style).to_dict()
    kinds = [kinds[each % len(kinds)] for each in range(len(marks.legend))]
    dash = channel is alt.StrokeDash  # its legend would hide the shapes; another field without a domain keeps it out
    scale = alt.Scale(range=kinds) if dash else alt.Scale(domain=marks.legend, range=kinds)
    return channel(
        "dash:N" if dash else "color:N",
        sort=marks.legend,
        title=by_color.get("title"),
        scale=scale,
        legend=layers.legend_of(marks.legend) if style.legend and not dash else None,
    )


def _names(known: Any, style: Style) -> Any:
    """Each name once, at its highest point: networks of the same size share an x."""
    top = known.transform_window(
        place="row_number()", groupby=["name", "facet"], sort=[alt.SortField("value", order="descending")]
    )
    return (
        top.transform_filter("datum.place === 1")
        .mark_text(align="left", dx=8, dy=-1, fontSize=10, color=INK)
        .encode(y=valued(alt.Y, style), text="name:N", opacity=picked())
    )
