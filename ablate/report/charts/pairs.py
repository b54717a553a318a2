"""Cells before a change against the same cells after it, with the line on which nothing changed."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from ablate.report.charts.theme import styled
from ablate.report.figure import Figure

_SIZE = 320  # pixels


def before_and_after(name: str, metric: str, cells: Sequence[tuple[str, float, float]]) -> Figure | None:
    """A point a cell, (label, before, after); None where there is none.

    name: of the figure. metric: what the values are.
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
        styled(alt.layer(line, dots).properties(width=_SIZE, height=_SIZE)),
        f"{metric} of each cell, after against before; on the dashed line nothing changed.",
        f"Of {len(points)} cells {above} are higher after than before, {below} lower.",
    )
