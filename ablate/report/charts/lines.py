"""Points over a scale of numbers, joined to lines or not."""

from typing import Any

import altair as alt

from ablate.report.charts.look import (
    Look,
    assembled,
    colored,
    hatched,
    intervals,
    lines_across,
    seeds,
    spanned,
    told,
    valued,
)
from ablate.report.charts.rows import Drawing, across, rows
from ablate.report.charts.theme import DASHES, INK, SHAPES, picked

_HEIGHT, _WIDTH, _SMALL = 300, 420, 260


def lines(drawn: Drawing, look: Look) -> alt.LayerChart | alt.FacetChart:
    """A point a cell with its interval and seeds, and a line through those of one color."""
    return _drawn(drawn, look, joined=True)


def scatter(drawn: Drawing, look: Look) -> alt.LayerChart | alt.FacetChart:
    """A point a cell with its interval, its seeds and its name."""
    return _drawn(drawn, look, joined=False)


def _drawn(drawn: Drawing, look: Look, joined: bool) -> alt.LayerChart | alt.FacetChart:
    beside = [row | {"across": True} for row in across(drawn, look.digits)]
    base = alt.Chart().transform_filter("!datum.across").encode(x=_x(drawn), tooltip=told(look))
    known = base.transform_filter("isValid(datum.value)")
    point = known.mark_point(size=70, filled=True, strokeWidth=1.8, cursor="pointer").encode(
        y=valued(alt.Y, look), color=colored(drawn, look), stroke=colored(drawn, look, alt.Stroke),
        shape=_second(drawn, look, alt.Shape, SHAPES), opacity=picked(),
        fillOpacity=alt.condition("datum.about", alt.value(0), alt.value(1)),
    )  # fmt: skip
    layers = [
        *([_line(known, drawn, look)] if joined else []),
        intervals(base, look),
        point,
        seeds(base, look),
        *([] if joined else [_names(known, look)]),
        _few(known, look),
        *hatched(base, 16**2, alt.value(_HEIGHT - 10)),
        *lines_across(beside, look),
    ]
    small = len(drawn.facets) > 1
    size = {"width": _SMALL if small else _WIDTH, "height": _HEIGHT}
    cells = [row | {"dash": row["color"]} for row in rows(drawn, look.digits)]
    return assembled(layers, [*cells, *beside], drawn, look, **size)


def _x(drawn: Drawing) -> Any:
    numbers = [value for value in drawn.xs if value is not None]
    domain = list(spanned(numbers or [1.0], drawn.layout.log))
    scale = alt.Scale(type="log" if drawn.layout.log else "linear", nice=False, domain=domain)
    few = len(numbers) <= 8 and drawn.layout.x != "parameters"
    axis = alt.Axis(values=numbers, format=".6~r") if few else alt.Axis(format=".6~r", tickCount=6)
    return alt.X("x:Q", title=drawn.title(drawn.layout.x), scale=scale, axis=axis)


def _line(known: Any, drawn: Drawing, look: Look) -> Any:
    dash = _second(drawn, look, alt.StrokeDash, DASHES)
    return known.mark_line(strokeWidth=2).encode(
        y=valued(alt.Y, look), color=colored(drawn, look), strokeDash=dash,
        opacity=alt.condition("picked < 0", alt.value(1), alt.value(0.3)),
    )  # fmt: skip


def _second(drawn: Drawing, look: Look, channel: type[Any], kinds: Any) -> Any:
    """What tells colors apart for those who do not see them: a shape or a dash."""
    if not drawn.layout.color:
        return alt.value(kinds[0])
    told_by = colored(drawn, look).to_dict()
    kinds = [kinds[each % len(kinds)] for each in range(len(drawn.legend))]
    dash = channel is alt.StrokeDash  # whose legend would hide the shapes: by another name and domain it has no part
    scale = alt.Scale(range=kinds) if dash else alt.Scale(domain=drawn.legend, range=kinds)
    return channel(
        "dash:N" if dash else "color:N",
        sort=drawn.legend,
        title=told_by.get("title"),
        scale=scale,
        legend=alt.Legend() if look.legend and not dash else None,
    )


def _names(known: Any, look: Look) -> Any:
    """Once for each name, at its highest point: networks of one size stand over each other."""
    top = known.transform_window(
        place="row_number()",
        groupby=["name", "facet"],
        sort=[alt.SortField("value", order="descending")],
    )
    return (
        top.transform_filter("datum.place === 1")
        .mark_text(align="left", dx=8, dy=-1, fontSize=10, color=INK)
        .encode(y=valued(alt.Y, look), text="name:N", opacity=picked())
    )


def _few(known: Any, look: Look) -> Any:
    """Under a point of which seeds are missing: how many are there."""
    return (
        known.transform_filter("datum.few")
        .mark_text(baseline="top", dy=9, fontSize=10, color=INK)
        .encode(y=valued(alt.Y, look), text="few:N")
    )
