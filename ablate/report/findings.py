"""Findings: what the measurements show, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ablate.judge.baseline import baseline_title, differences
from ablate.records.plain import plural
from ablate.report.render.names import cell_names
from ablate.report.render.text import named
from ablate.study.cells.cell import Cell, axis_text

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence, MeasuredCell


def findings(measured: Evidence) -> Iterator[str]:
    """Sentences on the best cell, the best on the diagonal, the cases and agreement with the paper.

    Made one by one, since a headline needs only the first.
    """
    done = [cell for cell in measured.grid if cell.mean is not None]
    names = _names(measured)
    others = [
        (named(cell.title[:1].upper() + cell.title[1:]), cell)
        for cell in measured.cells
        if cell.case and cell.mean is not None
    ]
    if measured.lacking:
        yield ended(measured.lacking)
        return
    if not done:
        yield from [f"{label}: {_value(measured, cell)}." for label, cell in others] or ["No trial has finished yet."]
        return
    best = max(done, key=_mean)
    yield extremes(measured, sure=True)
    yield from _beside_baseline(measured, best)
    if (single := _diagonal(measured, done)) is not None:
        others.insert(0, (f"{_top(measured)} on the diagonal: {names[single.cell]}", single))
    for label, cell in others:
        apart = _mean(best) - _mean(cell)
        distance = f"{abs(apart):.1f} points" if measured.percent else f"{abs(apart):.4g}"
        of_grid = "" if apart >= 0 else " of the grid"
        side = f"{distance} {'below' if apart >= 0 else 'above'} the {_top(measured).lower()}{of_grid}"
        yield f"{label}: {_value(measured, cell)}, {side}."
    yield from _beside_paper(measured, done, names)
    if max(len(cell.measured) for cell in measured.cells) == 1:
        yield "One seed per cell: this suggests an answer but does not decide it."


def ended(sentence: str) -> str:
    """A sentence with its full stop, unless it ends in a question mark."""
    return f"{sentence}{'' if sentence.endswith('?') else '.'}"


def extremes(measured: Evidence, sure: bool = False) -> str:
    """The best cell; for a metric of unknown direction, the highest and the lowest. Empty without a value of the grid.

    sure: with 95 % intervals.
    """
    done = [cell for cell in measured.grid if cell.mean is not None]
    if not done:
        return ""
    best, worst = max(done, key=_mean), min(done, key=_mean)
    names = _names(measured)

    def said(cell: MeasuredCell) -> str:
        return f"{_value(measured, cell)}{_sure(measured, cell) if sure else ''}"

    if len(done) > 1 and measured.shown(best.mean) == measured.shown(worst.mean):
        return f"All {len(done)} cells have the same {measured.title}: {_value(measured, best)}."
    if measured.percent and len(done) > 1:
        interval = _sure(measured, best) if sure else ""
        return f"Best: {names[best.cell]}, with {_value(measured, best)} {measured.title}{interval}."
    if len(done) == 1:
        return f"{names[best.cell]}: {measured.title} {said(best)}."
    low = f"lowest: {names[worst.cell]}, with {said(worst)}"
    return f"Highest: {names[best.cell]}, with {measured.metric} {said(best)}; {low}."


def _names(measured: Evidence) -> dict[Cell, str]:
    cells = [cell.cell for cell in measured.cells]
    return dict(zip(cells, map(named, cell_names(cells, [cell.label for cell in measured.cells])), strict=True))


def _sure(measured: Evidence, cell: MeasuredCell) -> str:
    if cell.interval is None:
        return ""
    low, high = map(measured.shown, cell.interval)
    return f" (95 % interval {low} to {high}, {plural(len(cell.measured), 'seed')})"


def _beside_paper(measured: Evidence, done: Sequence[MeasuredCell], names: Mapping[Cell, str]) -> list[str]:
    """The rank of the paper's best cell here, and the rank correlation."""
    said = []
    if published := [cell for cell in measured.grid if cell.paper is not None]:
        top = max(published, key=lambda cell: cell.paper.value if cell.paper else 0.0)
        if top.mean is not None:
            rank = 1 + sum(_mean(cell) > top.mean for cell in done)
            here = f"here it reaches {_value(measured, top)}, rank {rank} of {len(done)}."
            said.append(f"Best cell in {named(measured.plan.cited or '')}: {names[top.cell]}; {here}")
    if (correlation := measured.rank_correlation) is not None:
        count = sum(cell.mean is not None and cell.paper is not None for cell in measured.grid)
        label = named(measured.plan.cited or "")
        said.append(f"Rank correlation with {label} over {count} cells: {correlation:.2f} (Spearman).")
    return said


def _beside_baseline(measured: Evidence, best: MeasuredCell) -> Iterator[str]:
    """How far the best cell is from the baseline: it is the highest of many means, and may be so by chance."""
    difference = differences(measured.plan, measured.cells)[measured.cells.index(best)]
    if difference is None or difference.interval is None:
        return
    mean, ends = difference.texts(measured)
    points, (low, high) = " points" if measured.percent else "", difference.interval
    beside = named(baseline_title(measured.plan) or "")
    chance = ", which includes 0" if low <= 0 <= high else ""
    yield f"{_top(measured)} compared with {beside}: {mean}{points} (95 % interval {ends}{chance})."


def _diagonal(measured: Evidence, done: Sequence[MeasuredCell]) -> MeasuredCell | None:
    """The best cell with the same value on both axes, if all axes share their values as in Fig. 5."""
    values = [axis.values for axis in measured.plan.axes]
    if len(values) < 2 or any(each != values[0] for each in values):
        return None
    single = [cell for cell in done if len(set(map(axis_text, cell.axes.values()))) == 1]
    return max(single, key=_mean, default=None)


def _top(measured: Evidence) -> str:
    return "Best" if measured.percent else "Highest"


def _value(measured: Evidence, cell: MeasuredCell) -> str:
    return f"{measured.shown(cell.mean)}{' %' if measured.percent else ''}"


def _mean(cell: MeasuredCell) -> float:
    assert cell.mean is not None
    return cell.mean
