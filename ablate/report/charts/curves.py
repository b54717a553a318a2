"""Learning curves: metrics logged during training, one line per cell, averaged over its seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from ablate.report.charts.layers import DASHES, FAINT, INK, legend_of, palette, pickable, picked, spanned, titled
from ablate.report.charts.logged import Curve
from ablate.report.render.figure import Figure, plain
from ablate.report.render.html import capital
from ablate.report.render.names import Names

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence

_WIDTH, _HEIGHT = 380, 240
_ALL_TOLD = 7
"""The most cells that each get a color of their own."""
_DRAWN_STILL = 60
"""The most faint lines in the static drawing, in which no cell can be picked."""
_TITLES = {"contrastive_accuracy": "contrastive accuracy (%)"}
LONGEST = 50
"""The most points drawn per curve; more would not be visible."""


def compact(curve: Curve) -> tuple[list[float], list[float]]:
    """At most 50 evenly spaced points of a curve, including its first and last, with four significant digits."""
    count = len(curve.at)
    last = min(count, LONGEST) - 1
    places = [round(number * (count - 1) / max(last, 1)) for number in range(last + 1)]
    at = [curve.at[place] for place in places]
    return [int(each) if each == int(each) else each for each in at], [
        float(f"{curve.values[place]:.4g}") for place in places
    ]


def curves_figure(evidence: Evidence, curves: Sequence[Curve]) -> Figure | None:
    """`curves`: one chart per metric, averaged over the seeds of each cell; None if nothing was logged."""
    if not curves:
        return None
    labels = Names(evidence).cells
    roles = _roles(evidence, labels, list(dict.fromkeys(curve.cell for curve in curves)))
    still = [curve for curve in curves if curve.cell in roles]
    others = list(dict.fromkeys(curve.cell for curve in curves if curve.cell not in roles))
    drawn = set(others[:: max(1, -(-len(others) // _DRAWN_STILL))])
    columns, rows = _table(labels, curves)
    chart = _chart(labels, curves, roles)
    fewer = _chart(labels, [*still, *(curve for curve in curves if curve.cell in drawn)], roles)
    rest = f"; the other {len(others)} are faint" if others else ""
    return Figure(
        "curves",
        chart,
        f"Learning curves, mean over seeds: {', '.join(roles.values())}{rest}.",
        _summary(labels, curves),
        columns,
        rows,
        still=fewer if len(drawn) < len(others) else None,
    )


def _roles(evidence: Evidence, labels: Sequence[str], cells: Sequence[int]) -> dict[int, str]:
    """Highlighted cell -> its name in the legend: all cells if they are few, else best, median and worst."""
    if len(cells) <= _ALL_TOLD:
        return {cell: labels[cell] for cell in cells}
    known = [cell for cell in cells if evidence.cells[cell].mean is not None]
    ranked = sorted(known, key=lambda cell: evidence.cells[cell].mean or 0.0, reverse=True)
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
        row: dict[str, Any] = {"cell": curve.cell, "label": labels[curve.cell], "places": at, "values": values}
        rows.append(row | ({"role": roles[curve.cell]} if curve.cell in roles else {}))
    first, last = min(curve.at[0] for curve in curves), max(curve.at[-1] for curve in curves)
    domain = [first, last] if last > first else [first - 1, last + 1]
    along = curves[0].along
    spread = list(spanned([value for row in rows for value in row["values"]]))
    base = alt.Chart().transform_flatten(["places", "values"], ["place", "value"]).encode(
        x=alt.X("place:Q", title=along, axis=_places(curves), scale=alt.Scale(nice=False, domain=domain)),
        y=alt.Y("value:Q", title=_TITLES.get(name, name), scale=alt.Scale(domain=spread)),
        detail="cell:N", tooltip=[alt.Tooltip("label:N", title="cell"), alt.Tooltip("place:Q", title=along),
                                  alt.Tooltip("value:Q", title=name)],
    )  # fmt: skip
    kinds = list(dict.fromkeys(roles.values()))
    dashes = [DASHES[number % len(DASHES)] for number in range(len(kinds))]
    encoding: dict[str, Any] = {"sort": kinds, "title": None}
    legend = legend_of(kinds, orient="bottom", symbolStrokeWidth=2.5)
    points = max(len(curve.at) for curve in curves) < 2
    line: dict[str, Any] = {"cursor": "pointer", "point": {"size": 20} if points else False}
    # A stroke's opacity is cheap to draw; the opacity of a whole line needs a compositing layer per line.
    faint = "opacity" if points else "strokeOpacity"
    wide = alt.condition("datum.cell === picked", alt.value(3.5), alt.value(2.2))
    here = alt.condition("datum.cell === picked", alt.value(INK), alt.value(FAINT))
    layers = [
        base.transform_filter("!isValid(datum.role)").mark_line(strokeWidth=1, **line).encode(
            color=here, strokeWidth=alt.condition("datum.cell === picked", alt.value(3.5), alt.value(1)),
            **{faint: picked(0.7, 0.3)},
        ),
        base.transform_filter("isValid(datum.role)").mark_line(**line).encode(
            color=alt.Color("role:N", scale=alt.Scale(domain=kinds, range=palette(kinds)), legend=legend, **encoding),
            strokeDash=alt.StrokeDash("role:N", scale=alt.Scale(domain=kinds, range=dashes), legend=legend, **encoding),
            strokeWidth=wide, **{faint: picked(left=0.25)},
        ),
    ]  # fmt: skip
    title = titled(capital(_TITLES.get(name, name).replace("_", " ")), f"mean over seeds, by {along}")
    return alt.layer(*layers, data=_as_text(rows), title=title, width=_WIDTH, height=_HEIGHT)


def _as_text(rows: list[dict[str, Any]]) -> alt.InlineData:
    """The rows as JSON text, since Altair would traverse every number several times."""
    text = json.dumps(plain(rows), separators=(",", ":"))
    return alt.InlineData(values=text, format=alt.JsonDataFormat(type="json"))


def _places(curves: Sequence[Curve]) -> alt.Axis:
    """An axis with whole epochs only, of which a short training has few; with fractions where there are any."""
    longest = max((curve.at for curve in curves), key=len)
    if any(place != int(place) for curve in curves for place in curve.at):
        return alt.Axis(format="~g", tickCount=6)
    return alt.Axis(values=list(longest), format="d") if len(longest) <= 10 else alt.Axis(format="d", tickCount=6)


def _table(labels: Sequence[str], curves: Sequence[Curve]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    rows = tuple(
        (labels[curve.cell], curve.name.replace("_", " "), f"{curve.at[-1]:.10g}",
         f"{curve.values[0]:.4g}", f"{curve.values[-1]:.4g}")
        for curve in curves
    )  # fmt: skip
    counted = {curve.along for curve in curves}
    return ("cell", "number", f"{counted.pop()}s" if len(counted) == 1 else "until", "at first", "at last"), rows


def _summary(labels: Sequence[str], curves: Sequence[Curve]) -> str:
    """The lowest and the highest final value of each metric, with their cells."""
    sentences = []
    for name in dict.fromkeys(curve.name for curve in curves):
        last = sorted((curve for curve in curves if curve.name == name), key=lambda curve: curve.values[-1])
        low, high = last[0], last[-1]
        sentences.append(
            f"{name.replace('_', ' ').capitalize()} at the end: {low.values[-1]:.3g} "
            f"({labels[low.cell]}) to {high.values[-1]:.3g} ({labels[high.cell]})."
        )
    return " ".join(sentences)
