"""Layers: parts shared by all charts: colors, fonts, intervals, seeds, hatching and facets."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import altair as alt

from ablate.report.charts.encoding import value_text
from ablate.report.render.text import cut

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence
    from ablate.report.charts.marks import Marks

INK, QUIET, FAINT = "#1b1b1f", "#5a5a66", "#b8b8c2"
HATCH = "M-1,-.5L-.5,-1M-1,0L0,-1M-1,.5L.5,-1M-1,1L1,-1M-.5,1L1,-.5M0,1L1,0M.5,1L1,.5"
"""A hatched square as the shape of a point, for cells without a number."""
LINE, ALONE = 26, 44
"""Characters up to which a name stands in one line: beside a chart, and below one."""
_LINES = r"(.{1,%d})(?:\s+|$)|(.{1,%d}[_./,-])|(.{1,%d})"
"""Lines of at most so many characters: broken at spaces, else after signs that join words, else anywhere."""
MOST_WIDE = 640
"""Pixels up to which a chart grows with its place on a page."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 1], [1, 3], [10, 4], [6, 2, 2, 2])
_CATEGORIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#222222")
"""The colors of Okabe and Ito (2008), which color-blind readers can tell apart, without yellow, invisible on white."""
_VIRIDIS = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b")
"""Viridis without its yellow end."""
_DARK = ("#0072b2", "#222222", "#440154", "#482878", "#3e4989", "#31688e", "#26828e")
"""Colors that need white text."""


def palette(values: Sequence[Any]) -> list[str]:
    """One color per value: from dark to light for numbers or many values, else as distinct as possible."""
    ordered = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if len(values) > len(_CATEGORIES) or (ordered and len(values) > 2):
        last = len(_VIRIDIS) - 1
        steps = max(len(values) - 1, 1)
        return [_VIRIDIS[round(number * last / steps)] for number in range(len(values))]
    return list(_CATEGORIES[: len(values)])


def ink_on(color: str) -> str:
    """The text color for a background color of the palettes."""
    return "#ffffff" if color in _DARK else "#000000"


def picked(otherwise: float = 1.0, left: float = 0.2) -> Any:
    """The opacity of a mark, lower for the other cells while a cell is picked."""
    return alt.condition("picked < 0 || datum.cell === picked", alt.value(otherwise), alt.value(left))


def pickable(chart: Any, fluid: str | None = None) -> Any:
    """The finished chart with a parameter `picked`, by which the page highlights a cell; -1 for none.

    fluid: what adapts to the width of the page: `width`, or `columns` of facets.
    """
    chart.params = [alt.VariableParameter(name="picked", value=-1)]
    if fluid:
        chart.usermeta = {"fluid": fluid, "most": MOST_WIDE}
    return styled(chart)


def styled(chart: Any) -> Any:
    """The chart with the fonts and lines that all charts have."""
    return (
        chart.configure(font="system-ui, sans-serif", background="white", padding=8)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", grid=False, labelColor=INK,
                        titleColor=INK, labelLimit=260)
        .configure_axisQuantitative(tickCount=6)
        .configure_legend(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelColor=INK,
                          titleColor=INK, labelLimit=0, orient="bottom", columns=4)
        .configure_header(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelColor=INK,
                          titleColor=INK, labelLimit=300)
        .configure_title(fontSize=16, anchor="start", color=INK, subtitleFontSize=12, subtitleColor=QUIET, offset=12)
        .configure_view(stroke=None)
    )  # fmt: skip


def titled(finding: str, *about: str, width: int = 38) -> alt.TitleParams:
    """A chart's title, which says what it shows, over lines with metric and source; all wrapped. It may have lines.

    width: characters of a line of the title; those below it, which are smaller, have more.
    """
    below = [line for each in about for line in textwrap.wrap(cut(each), max(width * 5 // 4, 44))]
    lines = [line for each in finding.split("\n") for line in textwrap.wrap(cut(each), width)]
    return alt.TitleParams(lines or [""], subtitle=below)


@dataclass(frozen=True)
class Style:
    """The title, scale and number format of a chart."""

    title: alt.TitleParams
    metric: str
    """The title of the value axis."""
    domain: tuple[float, float]
    """The range of values, shared by the measured and the published chart."""
    digits: str
    legend: bool = True


def spanned(values: Sequence[float], log: bool = False) -> tuple[float, float]:
    """The range of values with a margin, given explicitly because layers without data cannot provide it."""
    low, high = min(values), max(values)
    if log:
        low = min(value for value in values if value > 0)
        room = (high / low) ** 0.06 if high > low else 2.0
        return low / room if min(values) > 0 else low * (1 - room), high * room
    room = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    return low - room, high + room


def valued(channel: type[Any], style: Style, field: str = "value", **options: Any) -> Any:
    """A channel of values over the shared range."""
    scale = alt.Scale(domain=list(style.domain), nice=False, zero=False)
    return channel(f"{field}:Q", title=style.metric, scale=scale, **options)


def colored(marks: Marks, style: Style, channel: type[Any] = alt.Color) -> Any:
    """The color channel with its legend; a constant if no axis is shown by color."""
    if not marks.encoding.color:
        return alt.value(palette([""])[0])
    (only,) = marks.encoding.color if len(marks.encoding.color) == 1 else (None,)
    return channel(
        "color:N",
        sort=marks.legend,
        title=marks.title(only) if only else None,
        scale=alt.Scale(domain=marks.legend, range=colors(marks)),
        legend=legend_of(marks.legend) if style.legend else None,
    )


def legend_of(texts: Sequence[str], **look: Any) -> alt.Legend:
    """A legend whose long texts are wrapped, in as many columns as fit on a phone."""
    longest = max(map(len, texts), default=0)
    columns = 4 if longest <= 8 else 2 if longest <= 20 else 1
    return alt.Legend(labelExpr=lines_of_label(ALONE), columns=columns, **look)


def lines_of_label(width: int = LINE) -> str:
    """The lines of a label of an axis or a legend, as a Vega expression."""
    pattern = (_LINES % (width, width - 1, width)).replace("\\", "\\\\")
    return f"slice(split(replace(datum.label, regexp('{pattern}', 'g'), '$1$2$3\\n'), '\\n'), 0, -1)"


def wrapped(text: str, width: int = LINE) -> str:
    """A text in lines for a mark that breaks them at line ends; very long ones are cut."""
    found = re.findall(_LINES % (width, width - 1, width), " ".join(cut(text, 5 * width).split()))
    return "\n".join(map("".join, found))


def colors(marks: Marks) -> list[str]:
    """A color for each entry of the legend."""
    return palette([each[0] if len(each) == 1 else str(each) for each in marks.colors])


def tooltip(style: Style) -> list[Any]:
    """The tooltip of a mark: the cell, and its value with interval and seeds."""
    return [alt.Tooltip("label:N", title="cell"), alt.Tooltip("text:N", title=style.metric)]


def intervals(base: Any, style: Style, **encoding: Any) -> Any:
    """A line over the interval of each cell. encoding: further channels, such as its color."""
    return (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(color=INK, strokeWidth=1.5)
        .encode(y=valued(alt.Y, style, "low"), y2="high:Q", opacity=picked(), **encoding)
    )


def seeds(base: Any, style: Style) -> Any:
    """A dot for each seed of a cell that has several."""
    return (
        base.transform_flatten(["seeds"], ["seed"])
        .transform_filter("isValid(datum.seed)")
        .mark_point(size=14, filled=True, fill="#ffffff", stroke=INK, strokeWidth=0.8)
        .encode(y=valued(alt.Y, style, "seed"), opacity=picked(0.9))
    )


def few(base: Any, style: Style, **look: Any) -> Any:
    """The number of finished seeds, at marks that lack some."""
    return (
        base.transform_filter("datum.few")
        .mark_text(fontSize=10, color=INK, **look)
        .encode(y=valued(alt.Y, style), text="few:N")
    )


def hatched(base: Any, size: float, y: Any) -> list[Any]:
    """Hatching and the number of finished seeds, for cells without a value."""
    missing = base.transform_filter("!isValid(datum.value)")
    return [
        missing.mark_point(shape=HATCH, size=size, filled=False, stroke=QUIET, strokeWidth=0.8).encode(
            y=y, opacity=picked()
        ),
        missing.mark_text(angle=270, align="left", dx=12, fontSize=10, color=INK).encode(y=y, text="few:N"),
    ]


def lines_across(rows: Sequence[dict[str, Any]], style: Style) -> list[Any]:
    """A dashed line with its name for each row."""
    if not rows:
        return []
    base = alt.Chart().transform_filter("datum.across")
    rule = base.mark_rule(color=QUIET, strokeDash=[5, 4], strokeWidth=1.5, cursor="pointer").encode(
        y=valued(alt.Y, style), opacity=picked(), tooltip=tooltip(style)
    )
    text = (
        base.transform_calculate(lines=lines_of_label())
        .mark_text(align="left", fontSize=11, color=INK, dx=4)
        .encode(x=alt.value("width"), y=valued(alt.Y, style), text="lines:N", opacity=picked())
    )
    return [rule, text]


def assembled(
    layers: Sequence[Any], rows: Sequence[dict[str, Any]], marks: Marks, style: Style, **size: Any
) -> alt.LayerChart | alt.FacetChart:
    """The layers with their rows, repeated for each value of the facet."""
    chart: Any = alt.layer(*layers)
    if len(marks.facets) > 1:
        title, texts = marks.title(marks.encoding.facet), list(map(value_text, marks.facets))
        facet = alt.Facet(
            "facet:N",
            title=title,
            sort=texts,
            header=alt.Header(orient="top", labelLimit=0, labelExpr=lines_of_label(ALONE)),
        )
        none = alt.InlineData(values=[])
        chart = pickable(
            chart.properties(**size).facet(facet=facet, columns=2, data=none, title=style.title), "columns"
        )
    else:
        fluid = "width" if isinstance(size.get("width"), int) else None
        chart = pickable(chart.properties(title=style.title, **size), fluid)
    chart.data = alt.InlineData(values=list(rows))  # last, since Altair copies a chart with its rows at each step
    return chart  # type: ignore[no-any-return]


def digits(evidence: Evidence) -> str:
    """The D3 format of `Evidence.shown`: percent with one decimal, other numbers with four digits."""
    return ".1f" if evidence.percent else ".4~g"
