"""A page of the site for each study: what it varies, the paper's numbers, its claims and its file."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablate.judge.published import Published, published_numbers
from ablate.records.files import Results
from ablate.records.plan_file import PlanFile
from ablate.report.render.text import markdown
from ablate.run.options import PlanOptions
from ablate.run.plan import plan_file
from ablate.study.cells.cell import Cell, Scalar, shown_text
from ablate.study.load import SHIPPED
from ablate.workflow.run import plan_study

NONE = "\u2013"
_NOWHERE = Results(Path("no-results"))


def study_pages(measured: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Name of each study -> its title and its page in Markdown. measured: study -> its page of published results."""
    pages = {}
    for path in sorted(SHIPPED.glob("*.toml")):
        plan = _planned(path)
        pages[path.stem] = plan.title, _page(path, plan, measured.get(path.stem))
    return pages


def _planned(path: Path) -> PlanFile:
    """The study as its plan file records it, with the cells at the paper's scale."""
    return plan_file(plan_study(str(path), PlanOptions(seeds=[0]), _NOWHERE), [])


def _page(path: Path, plan: PlanFile, measured: str | None) -> str:
    cells = plan.paper.cells if plan.paper else tuple(dict.fromkeys(trial.cell for trial in plan.trials))
    scale = f"at the paper's scale (profile `{plan.paper_profile}`)" if plan.paper else f"at profile `{plan.profile}`"
    parts = [
        f"# {markdown(plan.title)}",
        f"**{markdown(plan.question)}**",
        f"{len(cells)} cells {scale}. The metric is `{plan.metric}`.",
        f"```console\n$ ablate plan {path.stem} --profile paper\n$ ablate run {path.stem}\n```",
        f"Measured: [the page of the published results]({measured})." if measured else "",
        "## What is varied",
        _table(("axis", "setting", "values"), [_axis(axis, plan) for axis in (plan.paper or plan).axes]),
        *_numbers(plan, cells),
        *_claims(plan),
        "## The study file",
        f"```toml\n{path.read_text(encoding='utf-8').strip()}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _axis(axis: Any, plan: PlanFile) -> tuple[str, str, str]:
    (setting,) = (each.setting for each in plan.axes if each.name == axis.name)
    label = f"{axis.name} ({axis.label})" if axis.label and axis.label != axis.name else axis.name
    return label, f"`{setting}`" if setting else "several", ", ".join(map(shown_text, axis.values))


def _numbers(plan: PlanFile, cells: Sequence[Cell]) -> Iterable[str]:
    """The paper's numbers for the cells of the study, as one table for each metric."""
    found = published_numbers(plan, cells, [axis.name for axis in plan.axes])
    for metric in dict.fromkeys(metric for numbers in found.values() for metric in numbers):
        numbers = {cell: found[cell][metric] for cell in cells if metric in found.get(cell, {})}
        labels = ", ".join(dict.fromkeys(number.label for number in numbers.values()))
        yield f"## The paper's numbers: {metric} ({labels})"
        yield _grid(plan, numbers) or _list(plan, numbers)
        if any(number.approximate for number in numbers.values()):
            yield "\u201cAbout\u201d marks values that were read off a figure."


def _grid(plan: PlanFile, numbers: Mapping[Cell, Published]) -> str | None:
    """Numbers as a grid of the two axes that vary; None if more vary, or if cases are among the cells."""
    axes = _varying(plan, numbers)
    if len(axes) != 2 or any(cell.case is not None for cell in numbers):
        return None
    (rows, columns), shown = axes, {}
    for cell, number in numbers.items():
        shown.setdefault(cell.axes.get(rows.name), {})[cell.axes.get(columns.name)] = number.shown()
    heads = [value for value in (*columns.values, None) if any(value in row for row in shown.values())]
    head = (f"{rows.label or rows.name} \u2193, {columns.label or columns.name} \u2192", *map(_value, heads))
    return _table(head, ([_value(value), *(row.get(each, NONE) for each in heads)] for value, row in shown.items()))


def _list(plan: PlanFile, numbers: Mapping[Cell, Published]) -> str:
    """Numbers with a column for each axis that varies."""
    axes = _varying(plan, numbers)
    named = any(cell.case is not None for cell in numbers)
    rows = []
    for cell, number in numbers.items():
        case = [plan.title_of(cell) if cell.case is not None else NONE] if named else []
        values = [_value(cell.axes.get(axis.name)) for axis in axes]
        rows.append([*case, *values, number.shown(), number.label])
    return _table([*(["case"] if named else []), *(axis.label or axis.name for axis in axes), "published", "in"], rows)


def _varying(plan: PlanFile, cells: Iterable[Cell]) -> list[Any]:
    """The axes that have several values among some cells."""
    axes = (plan.paper or plan).axes
    return [axis for axis in axes if len({cell.axes.get(axis.name) for cell in cells}) > 1]


def _value(value: Scalar | None) -> str:
    """The value of an axis; a dash for a cell without the axis."""
    return NONE if value is None else shown_text(value)


def _claims(plan: PlanFile) -> Iterable[str]:
    if plan.claims:
        yield "## Claims"
        rows = [
            (claim["id"], markdown(claim["text"]), f"`{claim['kind']}`", claim.get("source") or "")
            for claim in plan.claims
        ]
        yield _table(("claim", "text", "kind", "source"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(text.replace('|', chr(92) + '|') for text in line)} |" for line in lines)
