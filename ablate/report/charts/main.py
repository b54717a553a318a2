"""The main chart of a study, measured and published."""

from collections.abc import Sequence

import altair as alt

from ablate.report.charts.bars import bars
from ablate.report.charts.heatmap import heatmap
from ablate.report.figure import Figure
from ablate.report.measured import Measured


def main_figures(measured: Measured) -> list[Figure]:
    """`measured`, and `published` where the paper has numbers for the study."""
    title = f"measured {measured.metric}" + (", synthetic textures" if measured.synthetic else "")
    where = ", on synthetic textures" if measured.synthetic else ""
    figures = [
        Figure(
            "measured",
            _draw(measured, [cell.mean for cell in measured.grid], title),
            f"Measured here{where}: {measured.metric}, mean over seeds.",
            _summary(measured, "measured"),
        )
    ]
    if any(cell.paper is not None for cell in measured.grid):
        label = measured.plan["reference"]["label"]
        figures.append(
            Figure(
                "published",
                _draw(measured, [cell.paper for cell in measured.grid], f"published {measured.metric}"),
                f"Published in {label} of the SimCLR paper, at its own scale. Each chart has its own color scale.",
                _summary(measured, "published"),
            )
        )
    return figures


def _summary(measured: Measured, which: str) -> str:
    title = measured.plan["title"]
    return f"{title}: {which} {measured.metric} by cell; the same numbers are in the table of cells below."


def _draw(measured: Measured, values: Sequence[float | None], title: str) -> alt.Chart | alt.LayerChart:
    if len(measured.axes) == 2 and all(len(cell.axes) == 2 for cell in measured.grid):
        return heatmap(measured, values, title)
    return bars(measured, values, title)
