"""Main effects: one row per value of an axis, at the mean over all cells with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from ablate.report.charts.dots_form import row_axis, row_names, row_step
from ablate.report.charts.layers import (
    INK,
    MOST_WIDE,
    QUIET,
    Style,
    digits,
    palette,
    spanned,
    styled,
    titled,
    valued,
    wrapped,
)
from ablate.report.charts.main_effects import AxisEffects, MainEffect, main_effects
from ablate.report.render.figure import Figure
from ablate.study.cells.cell import shown_text

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence

_WIDTH = 420  # pixels


def effects_figure(evidence: Evidence) -> Figure | None:
    """`effects`: the main effects of all axes on one scale; None without any."""
    axes = main_effects(evidence)
    if not axes:
        return None
    largest = max(axes, key=lambda each: each.spread)
    top = max(largest.effects, key=lambda each: each.mean)
    over = top.cells
    title = f"Largest main effect: {largest.axis}" if len(axes) > 1 else f"Main effect of {largest.axis}"
    rows = tuple(
        (axis.axis, shown_text(each.value), evidence.shown(each.mean), _between(evidence, each), str(each.cells))
        for axis in axes
        for each in axis.effects
    )
    return Figure(
        "effects",
        _chart(evidence, axes, title),
        "Main effects: mean over all cells with a value of an axis, with the 95 % interval over seeds where the seeds "
        "are complete. Dashed: mean of all these cells.",
        f"Largest difference: {evidence.shown(largest.spread)} between values of {largest.axis}; highest: "
        f"{shown_text(top.value)}, {evidence.shown(top.mean)} over {over} cells.",
        ("axis", "value", evidence.metric, "95 % interval", "cells"),
        rows,
    )


def _between(evidence: Evidence, effect: MainEffect) -> str:
    if effect.interval is None:
        return "\u2013"
    low, high = map(evidence.shown, effect.interval)
    return f"{low} to {high}"


def _chart(evidence: Evidence, axes: list[AxisEffects], title: str) -> Any:
    least, most = (0.0, 100.0) if evidence.percent else (float("-inf"), float("inf"))
    ends = [end for axis in axes for each in axis.effects for end in (each.mean, *(each.interval or ()))]
    domain = spanned([min(max(end, least), most) for end in ends])
    style = Style(
        titled(title, f"{evidence.metric}, mean over the other axes", width=60),
        evidence.metric,
        domain,
        digits(evidence),
    )
    panels = [_panel(axis, style, (least, most), number == len(axes) - 1) for number, axis in enumerate(axes)]
    chart = styled(alt.vconcat(*panels, spacing=6, title=style.title))
    chart.usermeta = {"fluid": "rows", "most": MOST_WIDE}
    return chart


def _panel(axis: AxisEffects, style: Style, possible: tuple[float, float], last: bool) -> Any:
    low, high = possible
    names = row_names([shown_text(each.value) for each in axis.effects])
    rows = [
        {
            "value": each.mean,
            "name": shown_text(each.value),
            "row": names[shown_text(each.value)],
            "text": f"{format(each.mean, style.digits.replace('~', ''))} over {each.cells} cells",
            **(
                {}
                if each.interval is None
                else {"low": max(each.interval[0], low), "high": min(each.interval[1], high)}
            ),
        }
        for each in axis.effects
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("row:N", sort=list(names.values()), title=None, axis=row_axis()),
        tooltip=[alt.Tooltip("name:N", title=axis.axis), alt.Tooltip("text:N", title=style.metric)],
    )
    across = alt.Axis(grid=False) if last else None
    middle = sum(each.mean for each in axis.effects) / len(rows)
    line = alt.Chart(alt.InlineData(values=[{"value": middle}])).mark_rule(color=QUIET, strokeDash=[4, 4])
    spread = base.transform_filter("isValid(datum.low)").mark_rule(color=INK, strokeWidth=1.5)
    point = base.mark_point(size=90, filled=True, color=palette([""])[0], opacity=1)
    return alt.layer(
        line.encode(x=valued(alt.X, style, axis=across)),
        spread.encode(x=valued(alt.X, style, "low", axis=across), x2="high:Q"),
        point.encode(x=valued(alt.X, style, axis=across)),
        title=alt.TitleParams(
            wrapped(axis.axis, 60).split("\n"), fontSize=12, fontWeight="normal", frame="group", offset=4
        ),
        width=_WIDTH,
        height=row_step(names) * len(rows),
    )
