"""The difference of each cell to the baseline: a row per cell, with its interval and its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt

from ablate.judge.baseline import Difference, baseline_title
from ablate.records.plain import plural
from ablate.report.charts.layers import INK, MOST_WIDE, QUIET, Style, spanned, styled, titled, valued
from ablate.report.render.figure import Figure
from ablate.report.render.names import Names

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence, MeasuredCell

MOST = 60
"""Cells of the chart; of more, those with the largest differences."""
_WIDTH, _STEP = 460, 26  # pixels


def difference_figure(evidence: Evidence, differences: Sequence[Difference | None]) -> Figure | None:
    """`difference`: every cell with a seed in common with its baseline; None without any."""
    named = [replace(cell, label=name) for cell, name in zip(evidence.cells, Names(evidence).cells, strict=True)]
    every = [(cell, each) for cell, each in zip(named, differences, strict=True) if each and each.values]
    if not every:
        return None
    ranked = sorted(every, key=lambda pair: pair[1].mean or 0.0)
    shown = ranked if len(ranked) <= MOST else sorted(ranked, key=lambda pair: -abs(pair[1].mean or 0.0))[:MOST]
    name = baseline_title(evidence.plan) or "baseline"
    left_out = f" The {MOST} largest of {len(every)}." if len(every) > MOST else ""
    unit = "percentage points" if evidence.percent else evidence.title
    return Figure(
        "difference",
        _chart(f"Difference to {name}", f"{evidence.title}: difference in {unit}", shown),
        f"Each cell minus {name}, seed by seed: the mean with its 95 % interval (Student's t), one dot per seed."
        + left_out,
        _summary(evidence, ranked),
        ("cell", "difference", "95 % interval", "sd", "seeds"),
        tuple(_texts(evidence, cell, each) for cell, each in shown),
    )


def _chart(title: str, metric: str, shown: Sequence[tuple[MeasuredCell, Difference]]) -> alt.LayerChart:
    rows: list[dict[str, Any]] = []
    for number, (cell, each) in enumerate(shown):
        low, high = each.interval or (None, None)
        row = {"row": number, "label": cell.label, "value": each.mean, "low": low, "high": high}
        rows.append({name: value for name, value in row.items() if value is not None} | {"seeds": list(each.values)})
    ends = [row[name] for row in rows for name in ("value", "low", "high") if name in row]
    domain = spanned([0.0, *ends, *(seed for row in rows for seed in row["seeds"])])
    style = Style(titled(title, metric, width=60), metric, domain, ".3g")
    hint = [alt.Tooltip("label:N", title="cell"), alt.Tooltip("value:Q", title="difference", format=".3g")]
    base = alt.Chart().encode(tooltip=hint, y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=260)))
    zero = alt.Chart(alt.InlineData(values=[{"at": 0}])).mark_rule(color=QUIET, strokeDash=[4, 4]).encode(
        x=valued(alt.X, style, "at")
    )  # fmt: skip
    spread = base.transform_filter("isValid(datum.low)").mark_rule(color=INK, strokeWidth=2).encode(
        x=valued(alt.X, style, "low"), x2="high:Q"
    )  # fmt: skip
    dots = base.transform_flatten(["seeds"], ["seed"]).mark_point(size=22, filled=True, fill=QUIET, opacity=0.8).encode(
        x=valued(alt.X, style, "seed")
    )  # fmt: skip
    mean = base.mark_point(shape="diamond", size=80, filled=True, opacity=1, fill=INK).encode(x=valued(alt.X, style))
    chart = styled(alt.layer(zero, spread, dots, mean, title=style.title, width=_WIDTH, height=_STEP * len(rows)))
    chart.usermeta = {"fluid": "width", "most": MOST_WIDE}
    chart.data = alt.InlineData(values=rows)
    return chart  # type: ignore[no-any-return]


def _summary(evidence: Evidence, ranked: Sequence[tuple[MeasuredCell, Difference]]) -> str:
    (lowest, least), (highest, most) = ranked[0], ranked[-1]
    intervals = [each.interval for _, each in ranked if each.interval]
    clear = sum(not low <= 0 <= high for low, high in intervals)
    ends = f"Lowest: {lowest.label} {least.texts(evidence)[0]}; highest: {highest.label} {most.texts(evidence)[0]}."
    if not intervals:
        return f"{ends} Intervals need two seeds that a cell and its baseline share; no cell has them."
    excluding = f"The intervals of {clear} of {plural(len(intervals), 'cell')} exclude 0"
    return f"{ends} {excluding}; they are not adjusted for the number of cells."


def _texts(evidence: Evidence, cell: MeasuredCell, each: Difference) -> tuple[str, ...]:
    return cell.label, *each.texts(evidence), evidence.shown(each.sd, 2), str(len(each.seeds))
