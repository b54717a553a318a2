"""Tables: the cells and the claims of a study for a paper, in Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.judge import told
from ablate.report.escaped import latex, markdown

if TYPE_CHECKING:
    from ablate.report.measured import Cell, Measured
    from ablate.report.reading import Reading

_MOST_LINES = 40
"""Of a table that fits one page of a paper; a longer one breaks over several."""
_LINES_OF_SENTENCES = 8


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    right: bool = False
    width: float = 0.0
    """Of a column of sentences, which break into lines: its part of the width of the text."""


@dataclass(frozen=True)
class Table:
    """A table as text, not escaped."""

    label: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    """Row and column of the values that are set in bold."""


def tables(reading: Reading) -> list[Table]:
    """The table of cells, of two axes also as a grid, and that of claims where the study makes some."""
    measured = reading.measured
    found = [_cells(measured)]
    if len(measured.axes) == 2 and all(len(cell.axes) == 2 for cell in measured.grid):
        found.append(_grid(measured))
    return [*found, _claims(reading)] if reading.judged.verdicts else found


def as_markdown(found: Sequence[Table]) -> str:
    """All tables, each below its caption."""
    return "\n".join(map(_markdown, found))


def as_latex(found: Sequence[Table]) -> str:
    """All tables, with booktabs."""
    packages = ("[T1]{fontenc}", "{amssymb,array,booktabs,longtable,textcomp}")
    head = "".join(f"% \\usepackage{each}\n" for each in packages)
    return head + "\n".join(map(_latex, found))


def cells_csv(measured: Measured) -> str:
    """One row a cell: each axis, case, mean, 95 % interval of the mean, seeds, trials, the paper's number."""
    names = ["case", "mean", "low", "high", "seeds", "trials", "paper", "paper_status"]
    rows = []
    for cell in measured.cells:
        low, high = cell.interval or (None, None)
        numbers = [cell.mean, low, high, len(cell.values), cell.trials, cell.paper, cell.paper_status]
        rows.append([*(cell.axes.get(axis) for axis in measured.axes), cell.case, *numbers])
    return _csv([*measured.axes, *names], rows)


def claims_csv(reading: Reading) -> str:
    """One row a claim: what is claimed, the verdict, its numbers, and what holds on the paper's own."""
    names = [
        "id",
        "text",
        "source",
        "verdict",
        "effect",
        "low",
        "high",
        "p",
        "adjusted_p",
        "seeds",
        "compared",
        "paper",
    ]
    rows = []
    for verdict in reading.judged.verdicts:
        numbers: list[Any] = [None] * 7
        if decision := verdict.decision:
            low, high = decision.interval or (None, None)
            numbers = [decision.effect, low, high, decision.p, decision.adjusted_p, decision.seeds, decision.compared]
        claim = verdict.claim
        rows.append([claim.id, claim.text, claim.source, verdict.told, *numbers, told.on_paper(verdict)])
    return _csv(names, rows)


def _cells(measured: Measured) -> Table:
    reference = measured.plan.get("reference")
    columns = [
        *map(Column, measured.axes or ["cell"]),
        Column(measured.metric, right=True),
        Column("seeds", right=True),
    ]
    columns += [Column(reference["label"], right=True)] if reference else []
    rows = []
    for cell in measured.cells:
        paper = [measured.shown(cell.paper)] if reference else []
        rows.append((*_place(measured, cell), _value(measured, cell), str(len(cell.values)), *paper))
    column = len(measured.axes or ["cell"])
    best = frozenset((number, column) for number, cell in enumerate(measured.cells) if _best(measured, cell))
    return Table(f"tab:{measured.plan['study']}", _caption(measured, reference), tuple(columns), tuple(rows), best)


def _grid(measured: Measured) -> Table:
    """The first axis downwards, the second across; without the cases."""
    down, across = measured.plan["axes"]
    cells = {(str(cell.axes[down["name"]]), str(cell.axes[across["name"]])): cell for cell in measured.grid}
    tops = [value for value in map(str, across["values"]) if any(column == value for _, column in cells)]
    sides = [value for value in map(str, down["values"]) if any(row == value for row, _ in cells)]
    rows, best = [], set()
    for number, side in enumerate(sides):
        of_row = [cells.get((side, top)) for top in tops]
        rows.append((side, *(_value(measured, cell) if cell else "" for cell in of_row)))
        best |= {(number, place) for place, cell in enumerate(of_row, 1) if cell and _best(measured, cell)}
    columns = (Column(f"{down['name']} / {across['name']}"), *(Column(top, right=True) for top in tops))
    caption = f"The same by {down['name']} (rows) and {across['name']} (columns). {_caption(measured, None)}"
    return Table(f"tab:{measured.plan['study']}-grid", caption, columns, tuple(rows), frozenset(best))


def _best(measured: Measured, cell: Cell) -> bool:
    """Whether no cell has a higher mean, where higher is known to be better."""
    means = [each.mean for each in measured.cells if each.mean is not None]
    return "%" in measured.metric and cell.mean is not None and cell.mean == max(means)


def _caption(measured: Measured, reference: dict[str, Any] | None) -> str:
    said = [f"{measured.plan['title']}: {measured.metric} by cell at the profile {measured.profile}"]
    if measured.synthetic:
        said[0] += ", on synthetic textures"
    if measured.repeated:
        said.append("Means over seeds, with half the width of the mean's 95 % interval (Student's t)")
    else:
        said.append("One seed a cell")
    if "%" in measured.metric:
        said.append("The highest value is in bold")
    if reference:
        said.append(f"{reference['label']}: as published, at the paper's own scale")
    return ". ".join(said) + "."


def _place(measured: Measured, cell: Cell) -> list[str]:
    """Of a case its label in the first column; of a cell its value on each axis."""
    if cell.case is not None or not measured.axes:
        return [cell.label, *[""] * (len(measured.axes) - 1)]
    return [str(cell.axes.get(axis, "\u2013")) for axis in measured.axes]


def _value(measured: Measured, cell: Cell) -> str:
    if cell.mean is None or cell.interval is None:
        return measured.shown(cell.mean)
    return f"{measured.shown(cell.mean)} \u00b1 {measured.shown((cell.interval[1] - cell.interval[0]) / 2)}"


def _claims(reading: Reading) -> Table:
    columns = (
        Column("claim", width=0.26),
        Column("verdict", width=0.12),
        Column("effect", width=0.12),
        Column("adjusted p", right=True),
        Column("seeds", right=True),
        Column("in the paper", width=0.21),
    )
    rows = []
    for verdict in reading.judged.verdicts:
        numbers = ["\u2013"] * 3
        if decision := verdict.decision:
            numbers = [told.effect(decision), told.p_value(decision.adjusted_p), str(decision.seeds)]
        claim = f"{verdict.claim.id}: {verdict.claim.text} ({verdict.claim.source})"
        rows.append((claim, verdict.told, *numbers, told.on_paper(verdict)))
    judged = reading.judged
    caption = f"{judged.plan['title']}: claims. {judged.scale + '. ' if judged.scale else ''}{told.method(judged)}"
    return Table(f"tab:{judged.plan['study']}-claims", caption, columns, tuple(rows))


def _markdown(table: Table) -> str:
    def line(texts: Sequence[str]) -> str:
        return f"| {' | '.join(texts)} |"

    lines = [f"Table: {markdown(table.caption)}\n", line([markdown(column.name) for column in table.columns])]
    lines.append(line(["---:" if column.right else "---" for column in table.columns]))
    lines += [line(texts) for texts in _escaped(table, markdown, "**{}**")]
    return "\n".join(lines) + "\n"


def _latex(table: Table) -> str:
    kinds = "".join(map(_kind, table.columns))
    head = [f"{' & '.join(latex(column.name) for column in table.columns)} \\\\", "\\midrule"]
    body = [f"{' & '.join(texts)} \\\\" for texts in _escaped(table, latex, "\\textbf{{{}}}")]
    caption = f"\\caption{{{latex(table.caption)}}}\\label{{{table.label}}}"
    sentences = any(column.width for column in table.columns)
    look = ["\\small", *(["\\setlength{\\tabcolsep}{3pt}"] if sentences else [])]
    if len(table.rows) * (_LINES_OF_SENTENCES if sentences else 1) > _MOST_LINES:
        top = [f"{caption} \\\\", "\\toprule", *head, "\\endfirsthead", "\\toprule", *head, "\\endhead"]
        lines = ["{", *look, f"\\begin{{longtable}}{{{kinds}}}", *top, *body]
        return "\n".join([*lines, "\\bottomrule", "\\end{longtable}", "}", ""])
    lines = ["\\begin{table}", "\\centering", *look, caption, f"\\begin{{tabular}}{{{kinds}}}", "\\toprule", *head]
    return "\n".join([*lines, *body, "\\bottomrule", "\\end{tabular}", "\\end{table}", ""])


def _kind(column: Column) -> str:
    if column.width:
        return f">{{\\raggedright\\arraybackslash}}p{{{column.width}\\linewidth}}"
    return "r" if column.right else "l"


def _escaped(table: Table, escape: Callable[[str], str], bold: str) -> list[list[str]]:
    rows = [[escape(text) for text in row] for row in table.rows]
    for row, column in table.best:
        rows[row][column] = bold.format(rows[row][column])
    return rows


def _csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return file.getvalue()
