"""Published: the paper's numbers for a study's cells, and the scale of a run relative to the paper's."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ablate.errors import UserError
from ablate.paper import Row, as_number, published
from ablate.records.plan_file import PlanFile
from ablate.records.plan_reference import PlanReference
from ablate.study.cells.cell import Cell, axis_text
from ablate.study.cells.condition import condition, names_in
from ablate.trainer.find import DEFAULT_TRAINER, is_built_in

_EVALUATION = "evaluation"
"""The axis of `[evaluate]`; a table without this column applies to every evaluation of a cell."""


@dataclass(frozen=True)
class Published:
    """One published number."""

    value: float
    """In the units of the metric: percent for top-1."""
    status: str
    """How certain it is: see ablate.paper.published."""
    err: float | None
    """The reading error, if it was read off a figure."""
    label: str
    """The citation, for example `Fig. 5`."""

    @property
    def approximate(self) -> bool:
        """Whether it was read off a figure rather than printed."""
        return self.status == "figure-read"

    def shown(self, decimals: int = 1) -> str:
        """The number as text: `61.2`, or `about 61.2`."""
        return f"{'about ' if self.approximate else ''}{self.value:.{decimals}f}"


def published_numbers(plan: PlanFile, cells: Sequence[Cell], axes: Sequence[str]) -> dict[Cell, dict[str, Published]]:
    """Cell -> metric -> published number, for the cells that have one.

    axes: the names of all axes. If several references have the number, the first one counts. Raises UserError if a
    table lacks a column that a reference names, or has several numbers for one cell.
    """
    found: dict[Cell, dict[str, Published]] = {}
    for reference in plan.references:
        metric = reference.metric or plan.metric
        rows = _rows(reference, axes)
        covers, columns = _covers(reference, axes), _columns(reference, axes)
        for cell in filter(covers, cells):
            lacks = any(axis not in cell.axes for axis in columns)
            if one := _only(reference, _rows_of(cell, reference, rows), plan.title_of(cell), lacks):
                found.setdefault(cell, {}).setdefault(metric, one)
    return found


def of_paper(plan: PlanFile) -> bool:
    """Whether the trainer is the method of the paper that the study is about."""
    return is_built_in(plan.trainer or DEFAULT_TRAINER)


def at_paper_scale(plan: PlanFile) -> bool:
    """Whether margins and values count as stated: at the paper's own scale, and always without a paper."""
    return not of_paper(plan) or plan.profile == plan.paper_profile


def scale_of(plan: PlanFile) -> str | None:
    """The scale of a plan and what its verdicts can show; None for a trainer that is not the paper's."""
    if not of_paper(plan):
        return None
    if at_paper_scale(plan):
        return f"At the paper's own scale ({plan.profile})"
    return (
        f"At the profile {plan.profile}, which is not the paper's scale ({plan.paper_profile}): verdicts concern "
        "order, sign and the position of the optimum; equivalence margins are in points at this scale; values are not "
        "comparable with the paper's"
    )


def _columns(reference: PlanReference, axes: Iterable[str]) -> dict[str, str]:
    """Axis -> column, for the axes that the table has."""
    given: dict[str, str | Literal[False]] = {_EVALUATION: False, **reference.columns}
    columns = {axis: given.get(axis, axis) for axis in axes}
    return {axis: column for axis, column in columns.items() if column is not False}


def _rows(reference: PlanReference, axes: Sequence[str]) -> list[Row]:
    rows = published(reference.table)
    named = [*_columns(reference, axes).values(), reference.value, *reference.where]
    named += [column for case in reference.cases.values() for column in case]
    if missing := [name for name in dict.fromkeys(named) if name not in rows[0]]:
        message = f"the paper's table '{reference.table}' has no column {', '.join(missing)}"
        raise UserError(message, help=f"its columns are: {', '.join(rows[0])}")
    return rows


def _covers(reference: PlanReference, axes: Sequence[str]) -> Callable[[Cell], bool]:
    """A function that says whether a reference covers a cell: by its condition, and for cases by their names."""
    if reference.cells is None:
        return lambda cell: cell.case is None or cell.case in reference.cases
    holds, names = condition(reference.cells, [*axes, "case"]), names_in(reference.cells)

    def covers(cell: Cell) -> bool:
        known = names <= {*cell.axes, "case"}  # a condition on an axis that a case lacks is ignored
        if (cell.case is None or known) and not holds({**cell.axes, "case": cell.case}):
            return False
        return cell.case is None or cell.case in reference.cases

    return covers


def _rows_of(cell: Cell, reference: PlanReference, rows: Sequence[Row]) -> list[Row]:
    """The rows that match the cell's values; axes that it lacks are ignored."""
    wanted: dict[str, Any] = {**reference.where, **(reference.cases[cell.case] if cell.case is not None else {})}
    for axis, column in _columns(reference, cell.axes).items():
        if cell.case is not None and column in wanted:
            continue
        value = reference.values.get(axis, {}).get(axis_text(cell.axes[axis]), cell.axes[axis])
        if column in wanted and not _among(value, wanted[column]):
            return []
        wanted[column] = value
    return [row for row in rows if all(_among(row[column], value) for column, value in wanted.items())]


def _only(reference: PlanReference, rows: Sequence[Row], title: str, lacks: bool) -> Published | None:
    """The only number of some rows; None if a cell that lacks an axis of the table matches several."""
    numbers = {
        value * reference.scale: (row["status"], _number(row.get("err") or ""))
        for row in rows
        if (value := _number(row[reference.value])) is not None
    }
    if len(numbers) > 1 and lacks:
        return None
    if len(numbers) > 1:
        message = f"the paper's table '{reference.table}' has {len(numbers)} numbers for the cell '{title}'"
        raise UserError(message, help="select the rows: [reference] where = { COLUMN = VALUE }")
    for value, (status, err) in numbers.items():
        return Published(value, status, err * reference.scale if err else None, reference.label)
    return None


def _among(value: Any, wanted: Any) -> bool:
    """Whether a value is one, or one of some: as numbers where both are, else as text."""
    return any(_same(value, each) for each in (wanted if isinstance(wanted, list) else [wanted]))


def _same(one: Any, two: Any) -> bool:
    numbers = _number(one), _number(two)
    if None not in numbers:
        return numbers[0] == numbers[1]
    return axis_text(one) == axis_text(two)


def _number(value: Any) -> float | None:
    """A number, or text that is one; true and false are 1 and 0."""
    return float(value == "true") if value in ("true", "false") else as_number(value)
