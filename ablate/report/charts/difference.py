"""The difference of each cell to the baseline: a row per cell, with its interval, its seeds and its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt

from ablate.judge.baseline import Difference, baseline_title
from ablate.records.plain import plural
from ablate.report.charts.dots_form import WIDTH, layers_of, row_names, row_step
from ablate.report.charts.layers import QUIET, Style, pickable, spanned, titled, valued
from ablate.report.render.figure import Figure
from ablate.report.render.html import capital
from ablate.report.render.names import MINUS, Names

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence, MeasuredCell

_Row = tuple[int, "MeasuredCell", Difference]
"""A cell with its number and its difference."""
MOST = 60
"""Cells of the chart; of more, those with the largest differences."""
_LOSS, _GAIN = "#d55e00", "#0072b2"


def difference_figure(evidence: Evidence, differences: Sequence[Difference | None], notes: str = "") -> Figure | None:
    """`difference`: every cell with a seed in common with its baseline; None without any.

    notes: what to say of the differences below the chart.
    """
    names = Names(evidence).cells
    every = [
        (number, replace(cell, label=names[number]), each)
        for number, (cell, each) in enumerate(zip(evidence.cells, differences, strict=True))
        if each and each.values
    ]
    if not every:
        return None
    ranked = sorted(every, key=lambda row: row[2].mean or 0.0)
    shown = sorted(sorted(ranked, key=_size, reverse=True)[:MOST], key=ranked.index)
    if _size(shown[-1]) > _size(shown[0]):  # the largest difference is the first row
        shown.reverse()
    name = baseline_title(evidence.plan) or "baseline"
    left_out = f" The {MOST} largest of {len(every)}." if len(every) > MOST else ""
    return Figure(
        "difference",
        _chart(evidence, name, shown),
        f"Each cell minus {name}, seed by seed: the mean with its 95 % interval (Student's t), one white dot per seed. "
        f"{_looks(shown)}{left_out}{notes and f' {notes}'}",
        _summary(evidence, ranked),
        ("cell", "difference", "95 % interval", "sd", "seeds"),
        tuple(_texts(evidence, cell, each) for _, cell, each in shown),
    )


def _looks(shown: Sequence[_Row]) -> str:
    """What the colors and the hollow points mean, of those that the chart has."""
    kinds = {_kind(each) for _, _, each in shown}
    with_interval = {bool(each.interval) for _, _, each in shown if _kind(each) == "unclear"}
    reasons = {True: "the interval includes 0", False: "there is no interval"}
    whys = [reason for known, reason in reasons.items() if known in with_interval]
    colors = {"loss": "orange: below the baseline", "gain": "blue: above the baseline"}
    parts = [*([f"hollow: {', or '.join(whys)}"] if whys else []), *(colors[kind] for kind in colors if kind in kinds)]
    return f"{capital('; '.join(parts))}."


def _size(row: _Row) -> float:
    return abs(row[2].mean or 0.0)


def _chart(evidence: Evidence, name: str, shown: Sequence[_Row]) -> alt.LayerChart:
    names = row_names([cell.label for _, cell, _ in shown])
    rows = [_data(evidence, number, names[cell.label], cell.label, each) for number, cell, each in shown]
    ends = [row[name] for row in rows for name in ("value", "low", "high") if name in row]
    domain = spanned([0.0, *ends, *(seed for row in rows for seed in row["seeds"])])
    unit = "percentage points" if evidence.percent else evidence.title
    textures = ", on synthetic textures" if evidence.synthetic else ""
    baseline = evidence.shown(evidence.cells[shown[0][2].baseline].mean)
    seeds = plural(max(len(each.seeds) for _, _, each in shown), "seed")
    title = titled(f"Largest difference to {name}: {shown[0][1].label}, {rows[0]['shown']}",
                   f"{evidence.metric} minus that of {name} ({baseline}){textures}, {seeds}")  # fmt: skip
    style = Style(title, f"{evidence.title}: difference in {unit}", domain, ".3g")
    kinds = alt.Scale(domain=["loss", "gain", "unclear"], range=[_LOSS, _GAIN, QUIET])
    color: dict[str, Any] = {
        "fill": alt.Fill("kind:N", scale=kinds, legend=None),
        "stroke": alt.Stroke("kind:N", scale=kinds, legend=None),
    }
    zero = alt.Chart(alt.InlineData(values=[{"at": 0}])).mark_rule(color=QUIET).encode(x=valued(alt.X, style, "at"))
    drawn = [zero, *layers_of(style, list(names.values()), **color)]
    size: dict[str, Any] = {"width": WIDTH, "height": row_step(names) * len(names)}
    chart = pickable(alt.layer(*drawn).properties(title=title, **size), "width")
    chart.data = alt.InlineData(values=rows)
    return chart  # type: ignore[no-any-return]


def _data(evidence: Evidence, number: int, row: str, label: str, each: Difference) -> dict[str, Any]:
    low, high = each.interval or (None, None)
    kind = _kind(each)
    shown, interval = (text.replace("-", MINUS) for text in each.texts(evidence))
    data = {"row": row, "cell": number, "label": label, "value": each.mean, "low": low, "high": high, "shown": shown}
    about = {"seeds": list(each.values), "about": kind == "unclear", "kind": kind, "text": f"{shown} ({interval})"}
    return {name: value for name, value in (data | about).items() if value is not None}


def _kind(each: Difference) -> str:
    low, high = each.interval or (0.0, 0.0)
    return "unclear" if low <= 0 <= high else "loss" if high < 0 else "gain"


def _summary(evidence: Evidence, ranked: Sequence[_Row]) -> str:
    (_, lowest, least), (_, highest, most) = ranked[0], ranked[-1]
    intervals = [each.interval for _, _, each in ranked if each.interval]
    clear = sum(not low <= 0 <= high for low, high in intervals)
    ends = f"Lowest: {lowest.label} {least.texts(evidence)[0]}; highest: {highest.label} {most.texts(evidence)[0]}."
    if not intervals:
        return f"{ends} Intervals need two seeds that a cell and its baseline share; no cell has them."
    excluding = f"The intervals of {clear} of {plural(len(intervals), 'cell')} exclude 0"
    return f"{ends} {excluding}; they are not adjusted for the number of cells."


def _texts(evidence: Evidence, cell: MeasuredCell, each: Difference) -> tuple[str, ...]:
    return cell.label, *each.texts(evidence), evidence.shown(each.sd, 2), str(len(each.seeds))
