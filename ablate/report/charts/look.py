"""What the charts of one figure share, and the pieces that all forms are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from ablate.report.charts.layout import value_text
from ablate.report.charts.rows import Drawing
from ablate.report.charts.theme import HATCH, INK, QUIET, palette, pickable, picked


@dataclass(frozen=True)
class Look:
    """Beside what is drawn."""

    title: str
    metric: str
    """The title of the values."""
    domain: tuple[float, float]
    """Of the values, the same for what was measured and what is published."""
    digits: str
    legend: bool = True


def spanned(values: Sequence[float], log: bool = False) -> tuple[float, float]:
    """The range of values with some room on either side; said in full, so that no mark without data is asked for it."""
    low, high = min(values), max(values)
    if log:
        room = (high / low) ** 0.06 if high > low else 2.0
        return low / room, high * room
    room = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    return low - room, high + room


def valued(channel: type[Any], look: Look, field: str = "value", **options: Any) -> Any:
    """A channel of values, over the domain that both sides have."""
    scale = alt.Scale(domain=list(look.domain), nice=False, zero=False)
    return channel(f"{field}:Q", title=look.metric, scale=scale, **options)


def colored(drawn: Drawing, look: Look, channel: type[Any] = alt.Color) -> Any:
    """The channel of color with its legend; one color where nothing is told by it."""
    if not drawn.layout.color:
        return alt.value(palette([""])[0])
    (only,) = drawn.layout.color if len(drawn.layout.color) == 1 else (None,)
    legend = alt.Legend() if look.legend else None
    return channel(
        "color:N",
        sort=drawn.legend,
        title=drawn.title(only) if only else None,
        scale=alt.Scale(domain=drawn.legend, range=colors(drawn)),
        legend=legend,
    )


def colors(drawn: Drawing) -> list[str]:
    """A color for each entry of the legend."""
    return palette([each[0] if len(each) == 1 else str(each) for each in drawn.colors])


def told(look: Look) -> list[Any]:
    """What is told of a mark under the pointer: the cell, and its number with interval and seeds."""
    return [alt.Tooltip("label:N", title="cell"), alt.Tooltip("told:N", title=look.metric)]


def intervals(base: Any, look: Look) -> Any:
    """A line over the interval of each cell."""
    return (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(color=INK, strokeWidth=1.5)
        .encode(y=valued(alt.Y, look, "low"), y2="high:Q", opacity=picked())
    )


def seeds(base: Any, look: Look) -> Any:
    """A dot for each seed of a cell that has several."""
    return (
        base.transform_flatten(["seeds"], ["seed"])
        .transform_filter("isValid(datum.seed)")
        .mark_point(size=14, filled=True, fill="#ffffff", stroke=INK, strokeWidth=0.8)
        .encode(y=valued(alt.Y, look, "seed"), opacity=picked(0.9))
    )


def hatched(base: Any, size: float, y: Any) -> list[Any]:
    """For each cell without a number: hatching, and how many of its seeds are there."""
    missing = base.transform_filter("!isValid(datum.value)")
    return [
        missing.mark_point(shape=HATCH, size=size, filled=False, stroke=QUIET, strokeWidth=0.8).encode(
            y=y, opacity=picked()
        ),
        missing.mark_text(angle=270, align="left", dx=12, fontSize=10, color=INK).encode(y=y, text="few:N"),
    ]


def lines_across(rows: Sequence[dict[str, Any]], look: Look) -> list[Any]:
    """A dashed line with its name for each row."""
    if not rows:
        return []
    base = alt.Chart().transform_filter("datum.across")
    rule = base.mark_rule(color=QUIET, strokeDash=[5, 4], strokeWidth=1.5, cursor="pointer").encode(
        y=valued(alt.Y, look), opacity=picked(), tooltip=told(look)
    )
    text = base.mark_text(align="left", fontSize=11, color=INK, dx=4, limit=130).encode(
        x=alt.value("width"), y=valued(alt.Y, look), text="label:N", opacity=picked()
    )
    return [rule, text]


def assembled(
    layers: Sequence[Any], rows: Sequence[dict[str, Any]], drawn: Drawing, look: Look, **size: Any
) -> alt.LayerChart | alt.FacetChart:
    """The layers over their rows, once or for each value of the facet."""
    chart: Any = alt.layer(*layers)
    if len(drawn.facets) > 1:
        facet = alt.Facet(
            "facet:N",
            title=drawn.title(drawn.layout.facet),
            sort=list(map(value_text, drawn.facets)),
            header=alt.Header(orient="top"),
        )
        none = alt.InlineData(values=[])
        chart = pickable(chart.properties(**size).facet(facet=facet, columns=2, data=none, title=look.title), "columns")
    else:
        fluid = "width" if isinstance(size.get("width"), int) else None
        chart = pickable(chart.properties(title=look.title, **size), fluid)
    chart.data = alt.InlineData(values=list(rows))  # last: Altair copies a chart with its rows at each step
    return chart  # type: ignore[no-any-return]
