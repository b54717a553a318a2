"""The paper's numbers of a study's cells."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablate.errors import UserError
from ablate.judge.cells import Measured
from ablate.paper.reader import Row, published
from ablate.study.expression import condition, names_in

_EVALUATION = "evaluation"
"""The axis that [evaluate] makes: a table that has no such column is about the cell, however it is evaluated."""


@dataclass(frozen=True)
class Published:
    """One number of the paper."""

    value: float
    """In the units of the metric: percent for top-1."""
    status: str
    """How sure it is: see ablate/paper/reader.py."""
    err: float | None
    """How far off it may be, for one that was read off a figure."""
    label: str
    """How pages cite it, as in `Fig. 5`."""

    @property
    def approximate(self) -> bool:
        """Whether it is printed nowhere, but was measured off a figure."""
        return self.status == "figure-read"

    def shown(self, decimals: int = 1) -> str:
        """As pages write it: `61.2`, or `about 61.2`."""
        return f"{'about ' if self.approximate else ''}{self.value:.{decimals}f}"


def references(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The references of a plan file; an old one has one, or none, under `reference`."""
    if "references" in plan:
        return list(plan["references"])
    return [plan["reference"]] if plan.get("reference") else []


def published_cells(plan: Mapping[str, Any], cells: Sequence[Measured]) -> dict[int, dict[str, Published]]:
    """Number of a cell -> metric -> what the paper has of it, for the cells that it has something of.

    Of several references that have a number of a cell the first one wins. Raises UserError where a table has no such
    column, or itself has several numbers for one cell.
    """
    found: dict[int, dict[str, Published]] = {}
    axes = [axis["name"] for axis in plan["axes"]]
    for reference in references(plan):
        metric = reference.get("metric") or plan.get("metric") or "top1"
        rows = _rows(reference, axes)
        speaks, columns = _about(reference, axes), _columns(reference, axes)
        for number, cell in enumerate(cells):
            if not speaks(cell):
                continue
            lacks = any(axis not in cell.axes for axis in columns)
            if one := _only(reference, _rows_of(cell, reference, rows), cell, lacks):
                found.setdefault(number, {}).setdefault(metric, one)
    return found


def as_published(cells: Sequence[Measured], paper: Mapping[int, Mapping[str, Published]]) -> list[Measured]:
    """The cells with the paper's numbers as if they were of one seed: to ask what holds on these."""
    return [
        Measured(
            cell.axes,
            cell.case,
            cell.label,
            0,
            {0: {metric: each.value for metric, each in paper[number].items()}} if number in paper else {},
        )
        for number, cell in enumerate(cells)
    ]


def _columns(reference: Mapping[str, Any], axes: Sequence[str]) -> dict[str, str]:
    """Axis -> column, for the axes that the table says something of."""
    given = {_EVALUATION: False, **reference.get("columns", {})}
    columns = {axis: given.get(axis, axis) for axis in axes}
    return {axis: column for axis, column in columns.items() if column is not False}


def _rows(reference: Mapping[str, Any], axes: Sequence[str]) -> list[Row]:
    rows = published(reference["table"])
    named = [*_columns(reference, axes).values(), reference.get("value", "top1"), *reference.get("where", {})]
    named += [column for case in reference.get("cases", {}).values() for column in case]
    if missing := [name for name in dict.fromkeys(named) if name not in rows[0]]:
        told = f"the paper's table '{reference['table']}' has no column {', '.join(missing)}"
        raise UserError(told, help=f"its columns are: {', '.join(rows[0])}")
    return rows


def _about(reference: Mapping[str, Any], axes: Sequence[str]) -> Any:
    """Which cells a reference is about: those of its condition, and of cases those that it names."""
    text = reference.get("cells")
    if text is None:
        return lambda cell: cell.case is None or cell.case in reference.get("cases", {})
    holds, names = condition(text, [*axes, "case"]), names_in(text)

    def about(cell: Measured) -> bool:
        known = names <= {*cell.axes, "case"}  # of an axis that a case lacks, a condition says nothing
        if (cell.case is None or known) and not holds({**cell.axes, "case": cell.case}):
            return False
        return cell.case is None or cell.case in reference.get("cases", {})

    return about


def _rows_of(cell: Measured, reference: Mapping[str, Any], rows: Sequence[Row]) -> list[Row]:
    """The rows that have the cell's values; an axis that it lacks is not looked at."""
    wanted = dict(reference.get("where", {}))
    if cell.case is not None:
        wanted |= reference["cases"][cell.case]
    for axis, column in _columns(reference, list(cell.axes)).items():
        if cell.case is not None and column in wanted:
            continue
        names = reference.get("values", {}).get(axis, {})
        value = names.get(_text(cell.axes[axis]), cell.axes[axis])
        if column in wanted and not _among(value, wanted[column]):
            return []
        wanted[column] = value
    return [row for row in rows if all(_among(row[column], value) for column, value in wanted.items())]


def _only(reference: Mapping[str, Any], rows: Sequence[Row], cell: Measured, lacks: bool) -> Published | None:
    """The number of some rows. A cell that lacks an axis of the table may be like several, and then has none."""
    column, scale = reference.get("value", "top1"), reference.get("scale", 1.0)
    numbers = {
        value * scale: (row["status"], _number(row.get("err") or ""))
        for row in rows
        if (value := _number(row[column])) is not None
    }
    if len(numbers) > 1 and lacks:
        return None
    if len(numbers) > 1:
        told = f"the paper's table '{reference['table']}' has {len(numbers)} numbers for the cell '{cell.label}'"
        raise UserError(told, help="say which rows are meant: [reference] where = { COLUMN = VALUE }")
    for value, (status, err) in numbers.items():
        return Published(value, status, err * scale if err else None, reference["label"])
    return None


def _among(value: Any, wanted: Any) -> bool:
    """Whether a value is one, or one of some: as numbers where both are, else as text."""
    return any(_same(value, each) for each in (wanted if isinstance(wanted, list) else [wanted]))


def _same(one: Any, two: Any) -> bool:
    numbers = _number(one), _number(two)
    if None not in numbers:
        return numbers[0] == numbers[1]
    return _text(one) == _text(two)


def _number(value: Any) -> float | None:
    """A number, or text that is one; true and false are 1 and 0."""
    if isinstance(value, str) and value in ("true", "false"):
        return float(value == "true")
    try:
        return float(value)
    except ValueError:
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
