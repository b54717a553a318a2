"""Cells before a change against the same cells after it, with the line on which nothing changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt

from ablate.report.charts.theme import styled
from ablate.report.figure import Figure

if TYPE_CHECKING:
    from ablate.report.compare import CellPair
    from ablate.report.reading import Reading

_SIZE = 320  # pixels


def before_and_after(reading: Reading, cells: Sequence[CellPair]) -> Figure | None:
    """A point a cell that both sides have measured; None where there is none."""
    points = [
        {"cell": cell.label, "before": cell.before, "after": cell.after}
        for cell in cells
        if cell.before is not None and cell.after is not None
    ]
    if not points:
        return None
    values = [point[side] for point in points for side in ("before", "after")]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 1.0
    scale = alt.Scale(domain=[low - margin, high + margin], nice=False, zero=False)
    metric = reading.measured.metric
    dots = alt.Chart(alt.InlineData(values=points)).mark_circle(size=60, color="#3b528b", opacity=0.8).encode(
        x=alt.X("before:Q", scale=scale, title=f"before: {metric}"),
        y=alt.Y("after:Q", scale=scale, title=f"after: {metric}"),
    )  # fmt: skip
    ends = [{"at": low - margin}, {"at": high + margin}]
    line = alt.Chart(alt.InlineData(values=ends)).mark_line(color="#5a5a66", strokeDash=[4, 4]).encode(
        x=alt.X("at:Q", scale=scale), y=alt.Y("at:Q", scale=scale)
    )  # fmt: skip
    above = sum(cell.after > cell.before for cell in cells if cell.before is not None and cell.after is not None)
    below = sum(cell.after < cell.before for cell in cells if cell.before is not None and cell.after is not None)
    return Figure(
        "-".join(reading.place),
        styled(alt.layer(line, dots).properties(width=_SIZE, height=_SIZE)),
        f"{metric} of each cell, after against before; on the dashed line nothing changed.",
        f"Of {len(points)} cells {above} are higher after than before, {below} lower.",
    )
