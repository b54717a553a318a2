"""Measured against published: one point a cell that has both."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt

from ablate.judge.correlation import spearman
from ablate.report.charts.layout import Layout
from ablate.report.charts.look import Look, spanned, told, valued
from ablate.report.charts.rows import told as words_of
from ablate.report.charts.shown import Shown, placed
from ablate.report.charts.sides import measured_cells
from ablate.report.charts.theme import INK, palette, pickable, picked
from ablate.report.charts.words import digits
from ablate.report.figure import Figure
from ablate.report.measured import Measured

_SIDE = 340
_FEWEST = 3
"""Cells, for an order of them to say anything."""


@dataclass(frozen=True)
class Both:
    """One cell on both sides."""

    cell: Shown
    value: float
    paper: float
    approximate: bool
    """Whether the paper's number was read off a figure."""


def agreement_figure(measured: Measured, shape: Layout) -> Figure | None:
    """`agreement`: the cells of the main chart by the paper's number and ours; None for fewer than 3.

    With their rank correlation. Called by name are the cells that are highest and lowest on either side.
    """
    cells = [cell for _, cell in placed(shape, measured_cells(measured, {})) if cell.case is None]
    both = [
        Both(cell, cell.value, paper, measured.cells[cell.cell].paper_status == "figure-read")
        for cell in cells
        if cell.cell is not None and cell.value is not None
        and (paper := measured.cells[cell.cell].paper) is not None
    ]  # fmt: skip
    if len(both) < _FEWEST:
        return None
    rank = spearman([each.value for each in both], [each.paper for each in both])
    told_rank = "No rank correlation: all are alike" if rank is None else f"Rank correlation {rank:.2f} (Spearman)"
    label = measured.plan["reference"]["label"]
    columns = ("cell", f"measured {measured.metric}", f"published {measured.metric}")
    rows = tuple((each.cell.label, measured.shown(each.value), measured.shown(each.paper)) for each in both)
    return Figure(
        "agreement",
        _chart(measured, both, f"{told_rank}, {len(both)} cells"),
        f"Measured here against published in {label}, over the {len(both)} cells that have both.",
        _summary(both, told_rank),
        columns,
        rows,
    )


def _chart(measured: Measured, both: Sequence[Both], title: str) -> alt.LayerChart:
    named = {each.cell.label for each in _extremes(both)}
    rows: list[dict[str, Any]] = [
        {
            "cell": each.cell.cell,
            "label": each.cell.label,
            "value": each.value,
            "paper": each.paper,
            "about": each.approximate,
            "told": words_of(each.cell, digits(measured)),
            "name": each.cell.label if each.cell.label in named else "",
        }
        | ({} if each.cell.low is None else {"low": each.cell.low, "high": each.cell.high})
        for each in both
    ]
    ours = [value for row in rows for name in ("value", "low", "high") if (value := row.get(name)) is not None]
    look = Look(title, f"measured {measured.metric}", spanned(ours), digits(measured))
    theirs = replace(look, metric=f"published {measured.metric}", domain=spanned([each.paper for each in both]))
    base = alt.Chart().encode(
        x=valued(alt.X, theirs, "paper"),
        tooltip=[*told(look), alt.Tooltip("paper:Q", title=theirs.metric, format=look.digits)],
        opacity=picked(),
    )  # fmt: skip
    color = palette([""])[0]
    point = base.mark_point(size=60, filled=True, color=color, stroke=color, strokeWidth=1.5, cursor="pointer").encode(
        y=valued(alt.Y, look), fillOpacity=alt.condition("datum.about", alt.value(0), alt.value(0.75))
    )
    spread = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(color=INK)
        .encode(y=valued(alt.Y, look, "low"), y2="high:Q")
    )
    names = (
        base.transform_filter("datum.name")
        .mark_text(align=_inwards(theirs), fontSize=11, dy=-10, color=INK, limit=200)
        .encode(y=valued(alt.Y, look), text="name:N")
    )
    chart = alt.layer(spread, point, names, data=alt.InlineData(values=rows))
    return pickable(chart.properties(title=title, width=_SIDE, height=_SIDE), "width")  # type: ignore[no-any-return]


def _inwards(across: Look) -> Any:
    """A name begins at a point on the left, ends at one on the right, and so leaves the chart on neither side."""
    low, high = across.domain
    third = (high - low) / 3
    return alt.expr(f"datum.paper < {low + third} ? 'left' : datum.paper > {high - third} ? 'right' : 'center'")


def _extremes(both: Sequence[Both]) -> list[Both]:
    """Lowest and highest here, lowest and highest in the paper."""
    ours, theirs = sorted(both, key=lambda each: each.value), sorted(both, key=lambda each: each.paper)
    return [ours[0], ours[-1], theirs[0], theirs[-1]]


def _summary(both: Sequence[Both], told_rank: str) -> str:
    _, ours, _, theirs = _extremes(both)
    if ours == theirs:
        return f"{told_rank}. The same cell is highest in both: {ours.cell.label}."
    place = 1 + sum(each.value > theirs.value for each in both)
    return (
        f"{told_rank}. Highest here: {ours.cell.label}; highest in the paper: {theirs.cell.label}, "
        f"which has place {place} of {len(both)} here."
    )
