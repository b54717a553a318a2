"""Agreement: one value of each cell against another, measured against published and after against before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import altair as alt

from ablate.judge.statistics.pooled import spearman
from ablate.report.charts.layers import (
    INK,
    LINE,
    QUIET,
    Style,
    digits,
    palette,
    pickable,
    picked,
    spanned,
    styled,
    titled,
    tooltip,
    valued,
    wrapped,
)
from ablate.report.charts.marks import Mark, measured_marks, positioned
from ablate.report.render.figure import Figure
from ablate.report.render.text import typeset

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence
    from ablate.report.charts.encoding import Encoding

_SIDE, _PAIR_SIDE = 340, 320  # pixels
_FEWEST = 3
"""The fewest cells whose order is informative."""


@dataclass(frozen=True)
class Both:
    """One cell with its measured and its published value."""

    mark: Mark
    value: float
    paper: float
    approximate: bool
    """Whether the published number was read off a figure."""


def agreement_figure(evidence: Evidence, encoding: Encoding) -> Figure | None:
    """`agreement`: measured against published values of the main chart's cells; None for fewer than 3 cells.

    With their rank correlation. The cells with the highest and lowest values on either axis are labeled.
    """
    published = {each.cell: each.paper for each in evidence.grid}
    both = [
        Both(mark, mark.value, paper.value, paper.approximate)
        for mark in positioned(encoding, measured_marks(evidence, {}))
        if mark.value is not None and (paper := published.get(mark.cell)) is not None
    ]
    if len(both) < _FEWEST:
        return None
    rank = spearman([each.value for each in both], [each.paper for each in both])
    rank_text = (
        "No rank correlation: all values are equal"
        if rank is None
        else typeset(f"Rank correlation {rank:.2f} (Spearman)")
    )
    columns = ("cell", f"measured {evidence.metric}", f"published {evidence.metric}")
    rows = tuple((each.mark.label, evidence.shown(each.value), evidence.shown(each.paper)) for each in both)
    return Figure(
        "agreement",
        _chart(evidence, both, rank, f"{rank_text}, {len(both)} cells"),
        f"Measured values against those published in {evidence.plan.cited}, for the {len(both)} cells that have both.",
        _summary(both, rank_text),
        columns,
        rows,
    )


def _chart(evidence: Evidence, both: Sequence[Both], rank: float | None, about: str) -> alt.LayerChart:
    named = _apart(_extremes(both), both)
    rows: list[dict[str, Any]] = [
        {
            "cell": each.mark.number,
            "label": each.mark.label,
            "value": each.value,
            "paper": each.paper,
            "about": each.approximate,
            "text": each.mark.text(digits(evidence)),
            "name": wrapped(each.mark.label, 2 * LINE) if each.mark.label in named else "",
        }
        | ({} if each.mark.low is None else {"low": each.mark.low, "high": each.mark.high})
        for each in both
    ]
    ours = [value for row in rows for name in ("value", "low", "high") if (value := row.get(name)) is not None]
    style = Style(
        titled(_finding(rank, len(both)), about, width=60),
        f"measured {evidence.metric}",
        spanned(ours),
        digits(evidence),
    )
    theirs = replace(style, metric=f"published {evidence.metric}", domain=spanned([each.paper for each in both]))
    base = alt.Chart().encode(
        x=valued(alt.X, theirs, "paper"),
        tooltip=[*tooltip(style), alt.Tooltip("paper:Q", title=theirs.metric, format=style.digits)],
        opacity=picked(),
    )  # fmt: skip
    color = palette([""])[0]
    point = base.mark_point(size=60, filled=True, color=color, stroke=color, strokeWidth=1.5, cursor="pointer").encode(
        y=valued(alt.Y, style), fillOpacity=alt.condition("datum.about", alt.value(0), alt.value(0.75))
    )
    spread = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(color=INK)
        .encode(y=valued(alt.Y, style, "low"), y2="high:Q")
    )
    chart = alt.layer(*_equal(style, theirs), spread, point, *_labels(base, style, theirs),
                      data=alt.InlineData(values=rows))  # fmt: skip
    return pickable(chart.properties(title=style.title, width=_SIDE, height=_SIDE), "width")  # type: ignore[no-any-return]


def _labels(base: Any, ours: Style, theirs: Style) -> list[Any]:
    """The names of some cells, with a rim in the color of the page, for what they cover."""
    look = {"align": _inwards(theirs), "fontSize": 12, "lineBreak": "\n", "lineHeight": 13}
    up = alt.expr("-12 - 13 * (length(split(datum.name, '\\n')) - 1)")
    drawn = base.transform_filter("datum.name").encode(y=valued(alt.Y, ours), text="name:N")
    return [
        drawn.mark_text(stroke="white", strokeWidth=4, strokeJoin="round", color="white", dy=up, **look),
        drawn.mark_text(color=INK, dy=up, **look),
    ]


_STRONG = 0.5
"""The rank correlation from which the title speaks of the same order."""
_FEWEST_RANKED = 5
"""The fewest cells of which it does: 3 cells in any order reach that correlation half of the time."""


def _finding(rank: float | None, cells: int) -> str:
    if cells < _FEWEST_RANKED:
        return "Measured against published values"
    if rank is None or abs(rank) < _STRONG:
        return "The order of the cells differs from the published one"
    return "The cells rank similarly to the published ones" if rank > 0 else "The order of the cells is reversed"


def _equal(ours: Style, theirs: Style) -> list[alt.Chart]:
    """A dashed line where both values are equal, if both scales have such values."""
    low, high = max(ours.domain[0], theirs.domain[0]), min(ours.domain[1], theirs.domain[1])
    if low >= high:
        return []
    ends = alt.InlineData(values=[{"value": low, "paper": low}, {"value": high, "paper": high}])
    line = alt.Chart(ends).mark_line(color=QUIET, strokeDash=[4, 4], strokeWidth=1)
    return [line.encode(x=valued(alt.X, theirs, "paper"), y=valued(alt.Y, ours))]


def _inwards(across: Style) -> Any:
    """The alignment of names: away from the nearer edge of the chart, so that they stay inside."""
    low, high = across.domain
    third = (high - low) / 3
    return alt.expr(f"datum.paper < {low + third} ? 'left' : datum.paper > {high - third} ? 'right' : 'center'")


_PER_CHARACTER = 0.02
"""The share of the chart's width on a phone that a character of a name takes."""


def _apart(wanted: Sequence[Both], both: Sequence[Both]) -> set[str]:
    """The names of those cells whose names would not cover one another."""
    across = max(each.paper for each in both) - min(each.paper for each in both) or 1.0
    ends = [end for each in both for end in (each.value, each.mark.low, each.mark.high) if end is not None]
    up = max(ends) - min(ends) or 1.0  # of the chart, which shows the intervals
    kept: list[Both] = []
    for each in wanted:
        if all(
            abs(each.paper - one.paper) > _PER_CHARACTER * across * len(each.mark.label + one.mark.label)
            or abs(each.value - one.value) > 0.06 * up
            for one in kept
        ):
            kept.append(each)
    return {each.mark.label for each in kept}


def _extremes(both: Sequence[Both]) -> list[Both]:
    """The cells with the lowest and the highest measured, and the lowest and the highest published value."""
    ours, theirs = sorted(both, key=lambda each: each.value), sorted(both, key=lambda each: each.paper)
    return [ours[0], ours[-1], theirs[0], theirs[-1]]


def _summary(both: Sequence[Both], rank_text: str) -> str:
    _, ours, _, theirs = _extremes(both)
    if ours == theirs:
        return f"{rank_text}. The same cell is highest in both: {ours.mark.label}."
    place = 1 + sum(each.value > theirs.value for each in both)
    return (
        f"{rank_text}. Highest measured: {ours.mark.label}. Highest published: {theirs.mark.label}, "
        f"which ranks {place} of {len(both)} here."
    )


def before_and_after(name: str, metric: str, cells: Sequence[tuple[str, float, float]]) -> Figure | None:
    """One point per cell (label, before, after); None without cells.

    name: the figure's. metric: the name of the values.
    """
    if not cells:
        return None
    points = [{"cell": label, "before": before, "after": after} for label, before, after in cells]
    values = [value for _, *both in cells for value in both]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 1.0
    scale = alt.Scale(domain=[low - margin, high + margin], nice=False, zero=False)
    dots = alt.Chart(alt.InlineData(values=points)).mark_circle(size=60, color="#3b528b", opacity=0.8).encode(
        x=alt.X("before:Q", scale=scale, title=f"before: {metric}"),
        y=alt.Y("after:Q", scale=scale, title=f"after: {metric}"),
    )  # fmt: skip
    ends = [{"at": low - margin}, {"at": high + margin}]
    line = alt.Chart(alt.InlineData(values=ends)).mark_line(color="#5a5a66", strokeDash=[4, 4]).encode(
        x=alt.X("at:Q", scale=scale), y=alt.Y("at:Q", scale=scale)
    )  # fmt: skip
    above, below = (sum(way * after > way * before for _, before, after in cells) for way in (1, -1))
    return Figure(
        name,
        styled(alt.layer(line, dots).properties(width=_PAIR_SIDE, height=_PAIR_SIDE)),
        f"{metric} of each cell, after against before the change; cells on the dashed line did not change.",
        f"After the change, {above} of {len(points)} cells are higher and {below} are lower.",
    )
