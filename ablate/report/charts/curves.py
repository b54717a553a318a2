"""Learning curves: one line a cell, the best, the median and the worst told apart."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ablate.report.charts.look import spanned
from ablate.report.charts.sides import labels_of
from ablate.report.charts.theme import DASHES, FAINT, INK, palette, pickable, picked
from ablate.report.curves import Curve, compact
from ablate.report.figure import Figure, plain
from ablate.report.measured import Measured

_WIDTH, _HEIGHT = 380, 240
_ALL_TOLD = 7
"""So few cells each have a color."""
_DRAWN_STILL = 60
"""So many of the others are in the drawing in which nothing can be picked."""
_TITLES = {"contrastive_accuracy": "contrastive accuracy (%)"}


def curves_figure(measured: Measured, curves: Sequence[Curve]) -> Figure | None:
    """`curves`: a chart a number over epochs, mean over the seeds of each cell; None where nothing was reported."""
    if not curves:
        return None
    labels = labels_of(measured)
    roles = _roles(measured, labels, list(dict.fromkeys(curve.cell for curve in curves)))
    still = [curve for curve in curves if curve.cell in roles]
    others = list(dict.fromkeys(curve.cell for curve in curves if curve.cell not in roles))
    drawn = set(others[:: max(1, -(-len(others) // _DRAWN_STILL))])
    columns, rows = _table(labels, curves)
    chart = _chart(labels, curves, roles)
    fewer = _chart(labels, [*still, *(curve for curve in curves if curve.cell in drawn)], roles)
    rest = f"; the other {len(others)} faint" if others else ""
    return Figure(
        "curves",
        chart,
        f"Learning curves, mean over seeds: {', '.join(roles.values())}{rest}.",
        _summary(labels, curves),
        columns,
        rows,
        still=fewer if len(drawn) < len(others) else None,
    )


def _roles(measured: Measured, labels: Sequence[str], cells: Sequence[int]) -> dict[int, str]:
    """Cells that are told apart -> what they are called: all where they are few, else best, median and worst."""
    if len(cells) <= _ALL_TOLD:
        return {cell: labels[cell] for cell in cells}
    known = [cell for cell in cells if measured.cells[cell].mean is not None]
    ranked = sorted(known, key=lambda cell: measured.cells[cell].mean or 0.0, reverse=True)
    places = {0: "highest", len(ranked) // 2: "median", len(ranked) - 1: "lowest"} if ranked else {}
    return {ranked[place]: f"{role}: {labels[ranked[place]]}" for place, role in places.items()}


def _chart(labels: Sequence[str], curves: Sequence[Curve], roles: Mapping[int, str]) -> alt.ConcatChart:
    names = list(dict.fromkeys(curve.name for curve in curves))
    panels = [_panel(labels, [curve for curve in curves if curve.name == name], name, roles) for name in names]
    chart = alt.concat(*panels, columns=2).resolve_scale(color="shared", strokeDash="shared")
    return pickable(chart, "columns")  # type: ignore[no-any-return]


def _panel(
    labels: Sequence[str], curves: Sequence[Curve], name: str, roles: Mapping[int, str]
) -> alt.LayerChart | alt.FacetChart:
    rows: list[dict[str, Any]] = []
    for curve in curves:
        at, values = compact(curve)
        row: dict[str, Any] = {"cell": curve.cell, "label": labels[curve.cell], "epochs": at, "values": values}
        rows.append(row | ({"role": roles[curve.cell]} if curve.cell in roles else {}))
    last = max(curve.epochs[-1] for curve in curves)
    epochs = [min(curve.epochs[0] for curve in curves), last] if last > 1 else [0, 2]
    spread = list(spanned([value for row in rows for value in row["values"]]))
    base = alt.Chart().transform_flatten(["epochs", "values"], ["epoch", "value"]).encode(
        x=alt.X("epoch:Q", title="epoch", axis=_epochs(curves), scale=alt.Scale(nice=False, domain=epochs)),
        y=alt.Y("value:Q", title=_TITLES.get(name, name), scale=alt.Scale(domain=spread)),
        detail="cell:N", tooltip=[alt.Tooltip("label:N", title="cell"), "epoch:Q", alt.Tooltip("value:Q", title=name)],
    )  # fmt: skip
    kinds = list(dict.fromkeys(roles.values()))
    dashes = [DASHES[number % len(DASHES)] for number in range(len(kinds))]
    told: dict[str, Any] = {"sort": kinds, "title": None}
    legend = alt.Legend(orient="bottom", columns=1 if len(kinds) <= 3 else 2, symbolStrokeWidth=2.5, labelLimit=320)
    points = max(len(curve.epochs) for curve in curves) < 2
    line: dict[str, Any] = {"cursor": "pointer", "point": {"size": 20} if points else False}
    # A line is drawn through where its stroke is; with an opacity, each is a picture of its own that is laid over.
    faint = "opacity" if points else "strokeOpacity"
    wide = alt.condition("datum.cell === picked", alt.value(3.5), alt.value(2.2))
    here = alt.condition("datum.cell === picked", alt.value(INK), alt.value(FAINT))
    layers = [
        base.transform_filter("!isValid(datum.role)").mark_line(strokeWidth=1, **line).encode(
            color=here, strokeWidth=alt.condition("datum.cell === picked", alt.value(3.5), alt.value(1)),
            **{faint: picked(0.7, 0.3)},
        ),
        base.transform_filter("isValid(datum.role)").mark_line(**line).encode(
            color=alt.Color("role:N", scale=alt.Scale(domain=kinds, range=palette(kinds)), legend=legend, **told),
            strokeDash=alt.StrokeDash("role:N", scale=alt.Scale(domain=kinds, range=dashes), legend=legend, **told),
            strokeWidth=wide, **{faint: picked(left=0.25)},
        ),
    ]  # fmt: skip
    return alt.layer(*layers, data=_as_text(rows), width=_WIDTH, height=_HEIGHT)


def _as_text(rows: list[dict[str, Any]]) -> alt.InlineData:
    """The rows as JSON text, which Vega-Lite takes too: Altair would look at every number of them many times."""
    text = json.dumps(plain(rows), separators=(",", ":"))
    return alt.InlineData(values=text, format=alt.JsonDataFormat(type="json"))


def _epochs(curves: Sequence[Curve]) -> alt.Axis:
    """Whole numbers only, of which a short training has few."""
    longest = max((curve.epochs for curve in curves), key=len)
    return alt.Axis(values=list(longest), format="d") if len(longest) <= 10 else alt.Axis(format="d", tickCount=6)


def _table(labels: Sequence[str], curves: Sequence[Curve]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    rows = tuple(
        (labels[curve.cell], curve.name.replace("_", " "), str(curve.epochs[-1]),
         f"{curve.values[0]:.4g}", f"{curve.values[-1]:.4g}")
        for curve in curves
    )  # fmt: skip
    return ("cell", "number", "epochs", "at first", "at last"), rows


def _summary(labels: Sequence[str], curves: Sequence[Curve]) -> str:
    """Between which cells the last values of each number lie."""
    told = []
    for name in dict.fromkeys(curve.name for curve in curves):
        last = sorted((curve for curve in curves if curve.name == name), key=lambda curve: curve.values[-1])
        low, high = last[0], last[-1]
        told.append(
            f"{name.replace('_', ' ').capitalize()} at the end: {low.values[-1]:.3g} "
            f"({labels[low.cell]}) to {high.values[-1]:.3g} ({labels[high.cell]})."
        )
    return " ".join(told)
