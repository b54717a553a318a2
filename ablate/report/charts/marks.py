"""Marks: the measured or published cells of a chart with their positions; each is one row of the chart's data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ablate.report.charts.encoding import CELL, Encoding, Position, color_text, position, value_text
from ablate.report.render.names import Names, cell_names
from ablate.study.cells.cell import Cell, described, varying_axes
from ablate.study.schema.chart import CASE, PARAMETERS

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence
    from ablate.records.plan_file import PlanAxis

_ELSEWHERE = -2
"""The number for published cells without a measured counterpart; -1 means that no cell is picked."""


@dataclass(frozen=True)
class Mark:
    """One cell of a chart."""

    cell: Cell
    number: int | None
    """The number of the measured cell; None for a published cell without a measured counterpart."""
    label: str
    value: float | None
    low: float | None
    high: float | None
    """The 95 % interval of the mean, or the error of a number read off a figure."""
    seeds: tuple[float, ...] = ()
    planned: int = 0
    """How many seeds are planned."""
    approximate: bool = False
    parameters: int | None = None
    possible: tuple[float, float] = (-math.inf, math.inf)
    """The range of the metric, to which its interval is clipped when drawn."""
    position: Position = field(default_factory=Position)

    @property
    def count(self) -> str:
        """The count of finished seeds: `2 of 3`."""
        return f"{len(self.seeds)} of {self.planned}"

    @property
    def drawn(self) -> tuple[float | None, float | None]:
        """The interval within the range of the metric."""
        least, most = self.possible
        return self.low if self.low is None else max(self.low, least), self.high and min(self.high, most)

    def text(self, digits: str) -> str:
        """The value in words: `87.7 (86.0 to 89.4), 2 of 3 seeds`. digits: a D3 format."""
        form = digits.replace("~", "")  # D3's flag to trim zeros, which Python's g does anyway
        number = "no number yet" if self.value is None else f"{'about ' if self.approximate else ''}{self.value:{form}}"
        between = "" if self.low is None else f" ({self.low:{form}} to {self.high:{form}})"
        return f"{number}{between}{f', {self.count} seeds' if self.planned else ''}"

    def row(self, digits: str) -> dict[str, Any]:
        """The mark as a row of the chart's data, without its position."""
        row = {
            "cell": _ELSEWHERE if self.number is None else self.number,
            "label": self.label,
            "value": self.value,
            "low": self.drawn[0],
            "high": self.drawn[1],
            "seeds": list(self.seeds) if len(self.seeds) > 1 else [],
            "about": self.approximate,
            "text": self.text(digits),
            "few": self.count if len(self.seeds) < self.planned else "",
        }
        return {name: value for name, value in row.items() if value is not None}


@dataclass(frozen=True)
class Marks:
    """The marks of one chart, and the values on its channels in order."""

    encoding: Encoding
    cells: tuple[Mark, ...]
    """The cells of the grid; the best of those that share a position."""
    cases: tuple[Mark, ...]
    """The cases that are drawn as lines across."""
    xs: tuple[Any, ...]
    ys: tuple[Any, ...]
    colors: tuple[tuple[Any, ...], ...]
    facets: tuple[Any, ...]
    titles: Mapping[str, str]
    """Axis -> its title."""

    @property
    def legend(self) -> list[str]:
        """The texts of the legend."""
        return [color_text(self.encoding.color, each) for each in self.colors] if self.encoding.color else []

    def title(self, axis: str | None) -> str | None:
        """The title of an axis, or of another x."""
        if axis == PARAMETERS:
            return "parameters of the encoder (millions)"
        return None if axis in (None, CASE, CELL) else self.titles.get(axis, axis)

    def rows(self, digits: str) -> list[dict[str, Any]]:
        """One row per cell: position, value, interval and seeds. digits: a D3 format."""
        encoding = self.encoding
        names = _names(encoding, self.cells)
        return [
            mark.row(digits)
            | {
                "x": mark.position.x if encoding.numeric else value_text(mark.position.x),
                "y": value_text(mark.position.y),
                "color": color_text(encoding.color, mark.position.color) if encoding.color else "",
                "facet": value_text(mark.position.facet),
                "name": name,
            }
            for mark, name in zip(self.cells, names, strict=True)
            if not encoding.numeric or mark.position.x is not None
        ]

    def rows_across(self, digits: str) -> list[dict[str, Any]]:
        """One row per horizontal line in each facet: for a case, or a cell without a value on a numeric x."""
        encoding = self.encoding
        across = [(mark.cell.axes.get(encoding.facet or ""), mark) for mark in self.cases]
        if encoding.numeric:
            across += [(mark.position.facet, mark) for mark in self.cells if mark.position.x is None]
        found = []
        for facet, mark in across:
            facets = [facet] if facet is not None or encoding.facet is None else self.facets
            found += [mark.row(digits) | {"facet": value_text(each)} for each in facets if mark.value is not None]
        return found


def measured_marks(evidence: Evidence, parameters: Mapping[str, int]) -> list[Mark]:
    """A mark for each measured cell. parameters: key of a cell -> parameters of its encoder."""
    marks = []
    possible = (0.0, 100.0) if evidence.percent else (-math.inf, math.inf)
    names = Names(evidence).cells
    for number, cell in enumerate(evidence.cells):
        low, high = cell.interval or (None, None)
        size = parameters.get(cell.cell.key)
        marks.append(
            Mark(
                cell.cell,
                number,
                names[number],
                cell.mean,
                low,
                high,
                cell.measured,
                cell.planned,
                parameters=size,
                possible=possible,
            )
        )
    return marks


def published_marks(evidence: Evidence, parameters: Mapping[str, int]) -> list[Mark]:
    """A mark for each published number of the study's metric."""
    paper = evidence.plan.paper
    sizes = paper.parameters if paper else parameters
    names = Names(evidence).cells
    measured: dict[Cell, tuple[int | None, str]] = {
        each.cell: (number, names[number]) for number, each in enumerate(evidence.cells)
    }
    named = cell_names([each.cell for each in evidence.paper_cells], [each.label for each in evidence.paper_cells])
    marks = []
    for each, other in zip(evidence.paper_cells, named, strict=True):
        if (one := each.paper) is None:
            continue
        number, label = measured.get(each.cell, (None, other))
        low, high = (one.value - one.err, one.value + one.err) if one.err else (None, None)
        size = sizes.get(each.cell.key)
        marks.append(Mark(each.cell, number, label, one.value, low, high, approximate=one.approximate, parameters=size))
    return marks


def arrange(encoding: Encoding, marks: Sequence[Mark], axes: Sequence[PlanAxis]) -> Marks:
    """The marks at their positions, with the values of each channel in the order of the study."""
    placed = positioned(encoding, marks)
    orders = {axis.name: axis.values for axis in axes}
    colors = dict.fromkeys(mark.position.color for mark in placed)

    def rank_of_color(color: tuple[Any, ...]) -> list[int]:
        return [_rank(value, orders.get(axis)) for axis, value in zip(encoding.color, color, strict=True)]

    return Marks(
        encoding,
        tuple(placed),
        tuple(mark for mark in marks if mark.cell.case is not None and encoding.x not in (CASE, CELL)),
        _ordered((mark.position.x for mark in placed), orders.get(encoding.x or "")),
        _ordered((mark.position.y for mark in placed), orders.get(encoding.y or "")),
        tuple(sorted(colors, key=rank_of_color)),
        _ordered((mark.position.facet for mark in placed), orders.get(encoding.facet or "")),
        {axis.name: axis.label or axis.name for axis in axes},
    )


def positioned(encoding: Encoding, marks: Sequence[Mark]) -> list[Mark]:
    """The marks of the grid with their positions; of marks that share one, only the one with the highest mean.

    Its label names what they have in common, and the values that make it the best.
    """
    groups: dict[Position, list[Mark]] = {}
    for mark in marks:
        if mark.cell.case is None or encoding.x in (CASE, CELL):
            at = position(encoding, mark.cell, mark.parameters)
            groups.setdefault(replace(at, x=mark.label) if encoding.x == CELL else at, []).append(mark)
    if any(len(group) > 1 for group in groups.values()):
        bare = [mark.cell.without(encoding.best_of) for mark in marks]
        titles = [cell.title(mark.label) for cell, mark in zip(bare, marks, strict=True)]
        shared = dict(zip((mark.cell for mark in marks), cell_names(bare, titles), strict=True))
        groups = {at: [replace(m, label=shared[m.cell]) for m in group] for at, group in groups.items()}
    return [replace(_best(encoding, group), position=at) for at, group in groups.items()]


def _best(encoding: Encoding, together: Sequence[Mark]) -> Mark:
    """The mark with the highest mean. A paper prints only the best and does not name it."""
    best = max(together, key=lambda mark: float("-inf") if mark.value is None else mark.value)
    if len(together) == 1 or best.planned == 0 or best.value is None:
        return best
    axes = best.cell.axes
    chosen = ", ".join(described(name, axes[name]) for name in encoding.best_of if name in axes)
    return replace(best, label=f"{best.label} (best of {len(together)}: {chosen})")


def _names(encoding: Encoding, marks: Sequence[Mark]) -> list[str]:
    """The name of each mark among those of its color: `resnet50, width 2`."""
    groups = varying_axes([mark.cell for mark in marks if mark.cell.case is None])
    told_otherwise = (*encoding.color, encoding.facet, *encoding.best_of)
    telling = [group[0] for group in groups if group[0] not in told_otherwise]
    return [
        ", ".join(described(name, mark.cell.axes[name]) for name in telling if name in mark.cell.axes) for mark in marks
    ]


def _ordered(values: Iterable[Any], order: Sequence[Any] | None) -> tuple[Any, ...]:
    return tuple(sorted(dict.fromkeys(values), key=lambda value: _rank(value, order)))


def _rank(value: Any, order: Sequence[Any] | None) -> int:
    """The rank of a value on its axis; unknown values come last."""
    texts = list(map(value_text, order or ()))
    text = value_text(value)
    return texts.index(text) if text in texts else len(texts)
