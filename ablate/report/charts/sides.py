"""The two sides of a chart: what was measured, and what the paper has."""

from collections.abc import Mapping
from typing import Any

from ablate.judge.cells import Measured as Bare
from ablate.judge.cells import shortly_named
from ablate.judge.published import published_cells
from ablate.report.charts.shown import Shown
from ablate.report.measured import Measured


def labels_of(measured: Measured) -> list[str]:
    """What charts call the measured cells: by what tells them apart."""
    bare = [Bare(cell.axes, cell.case, cell.label, 0, {}) for cell in measured.cells]
    return [cell.label for cell in shortly_named(bare)]


def measured_cells(measured: Measured, parameters: Mapping[int, int]) -> list[Shown]:
    """What was measured, cell by cell; parameters: number of a cell -> parameters of its encoder."""
    labels = labels_of(measured)
    found = []
    for number, cell in enumerate(measured.cells):
        low, high = cell.interval or (None, None)
        found.append(
            Shown(number, cell.axes, cell.case, labels[number], cell.mean, low, high, cell.values, cell.trials, False,
                  parameters.get(number))
        )  # fmt: skip
    return found


def published_of(measured: Measured, plan: Mapping[str, Any], parameters: Mapping[int, int]) -> list[Shown]:
    """What the paper has of the study's metric: over its own axes where the plan says them, else of the same cells."""
    bare, sizes, axes = _at_paper(measured, plan, parameters)
    numbers = {_id(cell.axes, cell.case): number for number, cell in enumerate(measured.cells)}
    labels = labels_of(measured)
    metric = plan.get("metric") or "top1"
    found = []
    for number, told in published_cells({**plan, "axes": axes}, bare).items():
        if (one := told.get(metric)) is None:
            continue
        cell, same = bare[number], numbers.get(_id(bare[number].axes, bare[number].case))
        label = cell.label if same is None else labels[same]
        low, high = (one.value - one.err, one.value + one.err) if one.err else (None, None)
        found.append(
            Shown(same, cell.axes, cell.case, label, one.value, low, high, (), 0, one.approximate, sizes[number])
        )
    return found


def _at_paper(
    measured: Measured, plan: Mapping[str, Any], parameters: Mapping[int, int]
) -> tuple[list[Bare], list[int | None], list[dict[str, Any]]]:
    """Cells of the paper, the parameters of their encoders, and the axes: the measured ones in an old plan file."""
    own = plan.get("paper")
    if own is None:
        bare = [Bare(cell.axes, cell.case, cell.label, 0, {}) for cell in measured.cells]
        return bare, [parameters.get(number) for number in range(len(bare))], plan["axes"]
    labels = {case["name"]: case["label"] for case in plan["cases"]}
    bare = [Bare(cell["axes"], cell["case"], labels.get(cell["case"], ""), 0, {}) for cell in own["cells"]]
    return shortly_named(bare), [cell.get("parameters") for cell in own["cells"]], own["axes"]


def _id(axes: Mapping[str, Any], case: str | None) -> tuple[Any, ...]:
    return case, frozenset((name, repr(value)) for name, value in axes.items())
