"""The curve of `[tune]`: the score of each cell at each value that it tried, a panel for each tuned setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from ablate.judge.tried import Tries, tries_of
from ablate.report.charts.layers import (
    MOST_WIDE,
    SHAPES,
    Style,
    legend_of,
    palette,
    spanned,
    styled,
    titled,
    valued,
)
from ablate.report.render.figure import Figure
from ablate.study.cells.cell import axis_text, is_number

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence

_WIDTH, _HEIGHT = 420, 150  # pixels
_MOST_CELLS = 16
"""The most lines that a reader can distinguish; of more cells, the page has the scores in its table only."""


def tuning_figure(evidence: Evidence) -> Figure | None:
    """`tuning`; None without `[tune]`, without tuned numbers, or for more cells than a reader can distinguish."""
    cells, tuned = tries_of(evidence), evidence.plan.tuned
    rows = [row for each in cells for row in _rows(each, tuned["lowest"])]
    if not rows or len(cells) > _MOST_CELLS:
        return None
    title = evidence.title if tuned["metric"] == evidence.plan.metric else tuned["metric"]
    percent = evidence.in_percent(tuned["metric"])  # the study's metric may be another one, with other units
    metric, form = (f"{title} (%)", ".1f") if percent else (title, ".4g")
    best = (min if tuned["lowest"] else max)(rows, key=lambda row: row["value"])
    style = Style(
        titled("Each cell at the values that it tried", f"{metric}, of the trials that chose", width=60),
        metric,
        spanned([row["value"] for row in rows]),
        form,
    )
    return Figure(
        "tuning",
        _chart(rows, style),
        "The trials of [tune]: the score of each value, with the best of the cell's other tuned settings. Filled: what "
        "the cell chose.",
        f"Best: {best['cell']} with {best['setting']} {axis_text(best['x'])}, {best['value']:{form}}.",
        ("cell", "setting", "value", metric, "chosen"),
        tuple(
            (
                row["cell"],
                row["setting"],
                axis_text(row["x"]),
                format(row["value"], form),
                "yes" if row["chosen"] else "",
            )
            for row in rows
        ),
    )


def _rows(cell: Tries, lowest: bool) -> Iterator[dict[str, Any]]:
    """The points of a cell, in the order of the values; none where a value diverged."""
    for name in cell.values[0]:
        numbers = sorted({tried[name] for tried in cell.values if is_number(tried[name])})
        if len(numbers) < 2 or any(not is_number(tried[name]) for tried in cell.values):
            continue
        for number in numbers:
            tries = zip(cell.values, cell.scores, strict=True)
            scores = [score for tried, score in tries if tried[name] == number and score is not None]
            if scores:
                value, chosen = min(scores) if lowest else max(scores), cell.values[cell.place][name] == number
                yield {"cell": cell.title, "setting": name, "x": number, "value": value, "chosen": chosen}


def _chart(rows: Sequence[dict[str, Any]], style: Style) -> Any:
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    panels = [_panel([row for row in rows if row["setting"] == name], cells, style)
              for name in dict.fromkeys(row["setting"] for row in rows)]  # fmt: skip
    chart = styled(alt.vconcat(*panels, spacing=12, title=style.title))
    chart.usermeta = {"fluid": "rows", "most": MOST_WIDE}
    return chart


def _panel(rows: Sequence[dict[str, Any]], cells: Sequence[str], style: Style) -> Any:
    """Lines over one setting, on a logarithmic axis if all its values are above 0."""
    numbers = sorted({row["x"] for row in rows})
    log = numbers[0] > 0
    scale = alt.Scale(type="log" if log else "linear", nice=False, domain=list(spanned(numbers, log)))
    axis = alt.Axis(values=numbers, format=".6~r")
    shapes = [SHAPES[number % len(SHAPES)] for number in range(len(cells))]
    legend = legend_of(cells, title=None)
    colors = alt.Scale(domain=cells, range=palette(cells))
    base = alt.Chart(alt.InlineData(values=list(rows))).encode(
        x=alt.X("x:Q", title=rows[0]["setting"], scale=scale, axis=axis), y=valued(alt.Y, style),
        color=alt.Color("cell:N", sort=cells, scale=colors, legend=legend),
        tooltip=[alt.Tooltip("cell:N"), alt.Tooltip("x:Q", title=rows[0]["setting"]), alt.Tooltip("value:Q")],
    )  # fmt: skip
    point = base.mark_point(size=80, filled=True, strokeWidth=1.8).encode(
        shape=alt.Shape("cell:N", sort=cells, scale=alt.Scale(domain=cells, range=shapes), legend=legend),
        stroke=alt.Stroke("cell:N", sort=cells, scale=colors, legend=legend),
        fillOpacity=alt.condition("datum.chosen", alt.value(1), alt.value(0)),
    )
    return alt.layer(base.mark_line(strokeWidth=2), point, width=_WIDTH, height=_HEIGHT)
