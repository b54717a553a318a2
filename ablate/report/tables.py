"""Tables: the cells and the claims of a study for a paper, in Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.judge import wording
from ablate.judge.baseline import Difference, baseline_title, differences
from ablate.records.plain import csv_cell
from ablate.records.sql import column_names
from ablate.report.render.text import latex, latex_name, markdown
from ablate.study.cells.cell import shown_text

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence, MeasuredCell
    from ablate.report.reading import Reading

_MOST_LINES = 40  # of a table that fits on one page; a longer table breaks across pages
_LINES_PER_ROW_OF_TEXT = 8
_LINE = 345  # points: the width of a line of LaTeX's article
_LOOKS = (("\\small", 4.7, 6), ("\\footnotesize", 4.3, 3), ("\\scriptsize", 3.8, 2))
"""Font, points of one of its characters, points on each side of a column."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    right: bool = False
    width: float = 0.0
    """Width of a wrapping text column as a fraction of the line width; 0 for other columns."""


@dataclass(frozen=True)
class Table:
    """A table of unescaped texts."""

    label: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    """(row, column) of the values in bold."""


def tables(reading: Reading) -> list[Table]:
    """The table of cells (also as a grid for two axes), and the table of claims if there are any."""
    measured = reading.measured
    found = [_cells(measured, reading.differences)]
    if len(measured.axes) == 2 and all(len(cell.axes) == 2 for cell in measured.grid):
        found.append(_grid(measured))
    return [*found, _claims(reading)] if reading.judged.verdicts else found


def as_markdown(found: Sequence[Table]) -> str:
    """All tables, each with its caption above."""
    return "\n".join(map(_markdown, found))


def as_latex(found: Sequence[Table]) -> str:
    """All tables, with booktabs."""
    packages = ("[T1]{fontenc}", "{amssymb,array,booktabs,longtable,textcomp}")
    head = "".join(f"% \\usepackage{each}\n" for each in packages)
    return head + "\n".join(map(_latex, found))


def cells_csv(measured: Evidence) -> str:
    """One row per cell: axes, case, mean, 95 % interval of the mean, seeds, trials, the paper's number.

    With a baseline, also the difference to it. The column of an axis that has the name of one of the others is
    `axis.NAME`.
    """
    names = ["case", "mean", "low", "high", "seeds", "trials", "paper", "paper_status"]
    compared = differences(measured.plan, measured.cells)
    if measured.plan.baseline:
        names += [f"difference{each}" for each in ("", "_low", "_high", "_sd", "_seeds")]
    rows = []
    for cell, each in zip(measured.cells, compared, strict=True):
        low, high = cell.interval or (None, None)
        paper = (cell.paper.value, cell.paper.status) if cell.paper else (None, None)
        numbers = [cell.mean, low, high, len(cell.measured), cell.planned, *paper]
        if measured.plan.baseline:
            numbers += each.plain().values() if each else [None] * 5
        rows.append([*(cell.axes.get(axis) for axis in measured.axes), cell.case, *numbers])
    axes, _ = column_names(names, measured.axes)
    return _csv([*axes.values(), *names], rows)


def claims_csv(reading: Reading) -> str:
    """One row per claim: the claim, the verdict, its numbers, and whether it holds on the paper's numbers."""
    columns = ["effect", "low", "high", "p", "adjusted_p", "seeds", "compared"]
    names = ["id", "text", "source", "verdict", *columns, "paper"]
    rows = []
    for verdict in reading.judged.verdicts:
        numbers: list[Any] = [None] * 7
        if decision := verdict.decision:
            low, high = decision.interval or (None, None)
            numbers = [decision.effect, low, high, decision.p, decision.adjusted_p, decision.seeds, decision.compared]
        claim = verdict.claim
        rows.append([claim.id, claim.text, claim.source, verdict.label, *numbers, wording.on_paper(verdict)])
    return _csv(names, rows)


def _cells(measured: Evidence, compared: Sequence[Difference | None]) -> Table:
    cited, baseline = measured.plan.cited, baseline_title(measured.plan)
    ours = [*(["difference"] if baseline else []), "seeds", *([cited] if cited else [])]
    axes, metric = column_names(ours, measured.axes or ["cell"], [measured.metric])
    right = [*metric.values(), *ours]
    columns = [*map(Column, axes.values()), *(Column(name, right=True) for name in right)]
    rows = []
    for cell, each in zip(measured.cells, compared, strict=True):
        paper = [measured.shown(cell.paper.value if cell.paper else None)] if cited else []
        seeds = [*([_difference(measured, each)] if baseline else []), str(len(cell.measured))]
        rows.append((*_axis_columns(measured, cell), _value(measured, cell), *seeds, *paper))
    column = len(measured.axes or ["cell"])
    best = frozenset((number, column) for number, cell in enumerate(measured.cells) if _best(measured, cell))
    return Table(f"tab:{measured.plan.study}", _caption(measured, cited, baseline), tuple(columns), tuple(rows), best)


def _grid(measured: Evidence) -> Table:
    """The cells without cases: rows by the first axis, columns by the second."""
    down, across = measured.plan.axes
    cells = {(shown_text(cell.axes[down.name]), shown_text(cell.axes[across.name])): cell for cell in measured.grid}
    tops = [value for value in map(shown_text, across.values) if any(column == value for _, column in cells)]
    sides = [value for value in map(shown_text, down.values) if any(row == value for row, _ in cells)]
    rows, best = [], set()
    for number, side in enumerate(sides):
        of_row = [cells.get((side, top)) for top in tops]
        rows.append((side, *(_value(measured, cell) if cell else "" for cell in of_row)))
        best |= {(number, column) for column, cell in enumerate(of_row, 1) if cell and _best(measured, cell)}
    columns = (Column(f"{down.name} / {across.name}"), *(Column(top, right=True) for top in tops))
    caption = f"The same values by {down.name} (rows) and {across.name} (columns). {_caption(measured, None)}"
    return Table(f"tab:{measured.plan.study}-grid", caption, columns, tuple(rows), frozenset(best))


def _best(measured: Evidence, cell: MeasuredCell) -> bool:
    """Whether the cell has the highest mean of a metric for which higher is better."""
    means = [each.mean for each in measured.cells if each.mean is not None]
    return measured.percent and cell.mean is not None and cell.mean == max(means)


def _caption(measured: Evidence, cited: str | None, baseline: str | None = None) -> str:
    said = [f"{measured.plan.title}: {measured.metric} by cell at the profile {measured.plan.profile}"]
    if measured.synthetic:
        said[0] += ", on synthetic textures"
    if measured.repeated:
        said.append("Mean over seeds \u00b1 half-width of its 95 % interval (Student's t)")
    else:
        said.append("One seed per cell")
    if baseline:
        about = "paired by seed: mean \u00b1 half-width of its 95 % interval (standard deviation; seeds)"
        said.append(f"Difference to {baseline}, {about}")
    if measured.percent:
        said.append("The highest value is in bold")
    if cited:
        said.append(f"{cited}: as published, at the paper's own scale")
    return ". ".join(said) + "."


def _axis_columns(measured: Evidence, cell: MeasuredCell) -> list[str]:
    """The label of a case in the first column; the axis values of a cell."""
    if cell.case is not None or not measured.axes:
        return [cell.title, *[""] * (len(measured.axes) - 1)]
    return [shown_text(cell.axes.get(axis, "\u2013")) for axis in measured.axes]


def _value(measured: Evidence, cell: MeasuredCell) -> str:
    if cell.mean is None or cell.interval is None:
        return measured.shown(cell.mean)
    return f"{measured.shown(cell.mean)} \u00b1 {measured.shown((cell.interval[1] - cell.interval[0]) / 2)}"


def _difference(measured: Evidence, found: Difference | None) -> str:
    if found is None or found.mean is None:
        return "\u2013"
    half = "" if found.interval is None else f" \u00b1 {measured.shown((found.interval[1] - found.interval[0]) / 2)}"
    spread = "" if found.sd is None else f" ({measured.shown(found.sd, 2)}; {len(found.seeds)})"
    return f"{found.texts(measured)[0]}{half}{spread}"


def _claims(reading: Reading) -> Table:
    columns = (
        Column("claim", width=0.22),
        Column("verdict", width=0.14),
        Column("effect", width=0.13),
        Column("adjusted p", right=True),
        Column("seeds", right=True),
        Column("in the paper", width=0.2),
    )
    rows = []
    for verdict in reading.judged.verdicts:
        numbers = ["\u2013"] * 3
        if decision := verdict.decision:
            numbers = [wording.effect(decision), wording.p_value(decision.adjusted_p), str(decision.seeds)]
        claim = (
            f"{verdict.claim.id}: {verdict.claim.text}{f' ({verdict.claim.source})' if verdict.claim.source else ''}"
        )
        rows.append((claim, verdict.label, *numbers, wording.on_paper(verdict)))
    judged = reading.judged
    caption = f"{judged.plan.title}: claims. {judged.scale + '. ' if judged.scale else ''}{wording.method(judged)}"
    return Table(f"tab:{judged.plan.study}-claims", caption, columns, tuple(rows))


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
    caption = f"\\caption{{{latex(table.caption)}}}\\label{{{latex_name(table.label)}}}"
    sentences = any(column.width for column in table.columns)
    if len(table.rows) * (_LINES_PER_ROW_OF_TEXT if sentences else 1) > _MOST_LINES:
        top = [f"{caption} \\\\", "\\toprule", *head, "\\endfirsthead", "\\toprule", *head, "\\endhead"]
        lines = ["{", *_look(table), f"\\begin{{longtable}}{{{kinds}}}", *top, *body]
        return "\n".join([*lines, "\\bottomrule", "\\end{longtable}", "}", ""])
    top = ["\\begin{table}", "\\centering", *_look(table), caption, f"\\begin{{tabular}}{{{kinds}}}", "\\toprule"]
    return "\n".join([*top, *head, *body, "\\bottomrule", "\\end{tabular}", "\\end{table}", ""])


def _look(table: Table) -> list[str]:
    """The largest font in which the columns fit a line; the smallest if they fit in none."""
    texts = zip(table.columns, *table.rows, strict=True)
    longest = [max(map(len, (column.name, *own))) for column, *own in texts if not column.width]
    free = _LINE * (1 - sum(column.width for column in table.columns))
    fitting = (look for look in _LOOKS if sum(longest) * look[1] + 2 * look[2] * len(table.columns) <= free)
    size, _, room = next(fitting, _LOOKS[-1])
    return [size, f"\\setlength{{\\tabcolsep}}{{{room}pt}}"]


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
    writer.writerows([csv_cell(value) for value in row] for row in (names, *rows))
    return file.getvalue()
