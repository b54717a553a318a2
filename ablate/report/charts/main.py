"""The main chart of a study, measured and published, in one form and on one scale."""

from collections.abc import Mapping, Sequence
from typing import Any

from ablate.report.charts.bars import bars
from ablate.report.charts.heatmap import heatmap
from ablate.report.charts.layout import Layout, layout
from ablate.report.charts.lines import lines, scatter
from ablate.report.charts.look import Look, spanned
from ablate.report.charts.rows import Drawing, drawing
from ablate.report.charts.shown import Shown
from ablate.report.charts.sides import measured_cells, published_of
from ablate.report.charts.words import digits, published_table, summary, table
from ablate.report.figure import Figure
from ablate.report.measured import Measured

_FORMS = {"heatmap": heatmap, "bars": bars, "lines": lines, "scatter": scatter}


def main_figures(measured: Measured, plan: Mapping[str, Any], parameters: Mapping[int, int]) -> list[Figure]:
    """`measured`, and `published` where the paper has numbers for the study.

    plan: with the chart that is drawn. parameters: number of a cell -> parameters of its encoder.
    """
    cells = measured_cells(measured, parameters)
    paper = published_of(measured, plan, parameters)
    shape = shape_of(measured, plan)
    here = drawing(shape, cells, plan["axes"])
    domain = _domain(shape, [*cells, *paper])
    textures = "synthetic textures: " if measured.synthetic else ""
    where = ", on synthetic textures" if measured.synthetic else ""
    best = f" Of {', '.join(shape.best_of)} the best." if shape.best_of else ""
    look = Look(f"measured: {textures}{measured.metric}", measured.metric, domain, digits(measured))
    figures = [
        Figure(
            "measured",
            _FORMS[shape.form](here, look),
            f"Measured here{where}: {measured.metric}, mean over seeds{_spread(measured)}.{best}",
            summary(measured, here, measured_here=True),
            *table(measured, cells),
        )
    ]
    if paper:
        figures.append(_published(measured, plan, shape, here, domain, paper))
    return figures


def shape_of(measured: Measured, plan: Mapping[str, Any]) -> Layout:
    """The layout of the main chart."""
    paper = [cell["axes"] for cell in (plan.get("paper") or {}).get("cells", ()) if cell["case"] is None]
    return layout(plan.get("chart") or {}, [cell.axes for cell in measured.grid], paper)


def _published(
    measured: Measured,
    plan: Mapping[str, Any],
    shape: Layout,
    here: Drawing,
    domain: tuple[float, float],
    paper: Sequence[Shown],
) -> Figure:
    axes = (plan.get("paper") or plan)["axes"]
    labels = {axis["name"]: axis.get("label") for axis in plan["axes"]}
    drawn = drawing(shape, paper, [{"label": labels.get(axis["name"]), **axis} for axis in axes])
    cited = ", ".join(dict.fromkeys(reference["label"] for reference in plan.get("references") or []))
    cited = cited or measured.plan["reference"]["label"]
    own_legend = drawn.legend != here.legend or not any(cell.value is not None for _, cell in here.cells)
    look = Look(f"published: {measured.metric}", measured.metric, domain, digits(measured), legend=own_legend)
    about = " Hollow: read off a figure, so about." if any(cell.approximate for cell in paper) else ""
    return Figure(
        "published",
        _FORMS[shape.form](drawn, look),
        f"Published in {cited} of the SimCLR paper, at its own scale, drawn on that of the chart beside it.{about}",
        summary(measured, drawn, measured_here=False),
        *published_table(measured, paper),
    )


def _spread(measured: Measured) -> str:
    return ", with 95 % intervals and a dot a seed" if measured.repeated else ""


def _domain(shape: Layout, cells: Sequence[Shown]) -> tuple[float, float]:
    """The values that the scale of both charts spans; bars start at zero."""
    known = [
        value
        for cell in cells
        for value in (cell.value, cell.low, cell.high, *cell.seeds)
        if value is not None and (shape.form != "heatmap" or (value == cell.value and cell.case is None))
    ]
    if not known:
        return 0.0, 1.0
    if shape.form == "heatmap":
        return (min(known), max(known)) if max(known) > min(known) else (known[0] - 1, known[0] + 1)
    if shape.form == "bars":
        low, high = spanned([0.0, *known])
        return (low if min(known) < 0 else 0.0), high
    return spanned(known)
