"""A bar a cell."""

from collections.abc import Sequence

import altair as alt

from ablate.report.charts.theme import digits, styled
from ablate.report.measured import Measured


def bars(measured: Measured, values: Sequence[float | None], title: str) -> alt.Chart:
    """One bar a cell, in the order of the study."""
    cells = measured.grid
    rows = [{"cell": cell.label, "value": value} for cell, value in zip(cells, values, strict=True)]
    chart = alt.Chart(alt.InlineData(values=rows)).mark_bar(color="#3b528b").encode(
        x=alt.X("value:Q", title=title),
        y=alt.Y("cell:N", sort=[cell.label for cell in cells], title=None),
        tooltip=["cell:N", alt.Tooltip("value:Q", title=title, format=digits(measured))],
    )  # fmt: skip
    drawn: alt.Chart = styled(chart.properties(title=title, width=360))
    return drawn
