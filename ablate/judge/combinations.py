"""Combinations of parts that were measured, as attribution needs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from ablate.judge.statistics.attribution import MOST_PARTS
from ablate.study.cells.cell import value_key, varying_axes

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence, MeasuredCell
    from ablate.study.cells.cell import Scalar


@dataclass(frozen=True)
class Combinations:
    """The values of the combinations of a study's parts, means over the values of all other axes."""

    parts: tuple[str, ...]
    values: Mapping[int, Mapping[int, float]]
    """Combination -> seed -> value; without combinations that no seed has in all contexts."""
    seeds: tuple[int, ...]
    """All that some cell has a result of."""
    cells: int
    """The number of cells that the plan has of these combinations."""
    lacking: tuple[str, ...]
    """The labels of those without a result."""

    @property
    def full(self) -> int:
        """The combination of all parts."""
        return (1 << len(self.parts)) - 1


def measured_combinations(evidence: Evidence) -> Combinations | None:
    """The values by combination; None without parts, or for too many."""
    plan = evidence.plan
    chosen = plan.rule.get("axes") or list(plan.axis_values)
    groups = [group for group in varying_axes([each.cell for each in evidence.grid]) if set(group) & set(chosen)]
    labels = {axis.name: axis.label or axis.name.replace("_", " ") for axis in plan.axes}
    present = {group[0]: on for group in groups if (on := _present(evidence, group[0])) is not None}
    together = {group[0]: group for group in groups if group[0] in present}
    if not 1 <= len(present) <= MOST_PARTS:
        return None
    by_context: dict[str, dict[int, MeasuredCell]] = {}
    for cell in evidence.grid:
        if present.keys() <= cell.axes.keys():
            rest = cell.cell.without([axis for group in together.values() for axis in group])
            bits = (value_key(cell.axes[name]) == value_key(on) for name, on in present.items())
            by_context.setdefault(rest.key, {})[sum(bit << place for place, bit in enumerate(bits))] = cell
    if not by_context:
        return None
    values: dict[int, dict[int, float]] = {}
    for combination in shared(by_context.values()):
        found = [of_context[combination].values(plan.metric) for of_context in by_context.values()]
        if seeds := shared(found):
            values[combination] = {seed: fmean(each[seed] for each in found) for seed in seeds}
    cells = [cell for of_context in by_context.values() for cell in of_context.values()]
    lacking = [cell.label for cell in cells if not cell.values(plan.metric)]
    every = {seed for cell in cells for seed in cell.values(plan.metric)}
    parts = tuple(labels[name] for name in present)
    return Combinations(parts, values, tuple(sorted(every)), len(cells), tuple(lacking))


def shared(each: Iterable[Iterable[int]]) -> list[int]:
    """The numbers that all of these have, in order; none without any of these."""
    sets = [set(one) for one in each]
    return sorted(set.intersection(*sets)) if sets else []


def _present(evidence: Evidence, axis: str) -> Scalar | None:
    """The value of an axis with which its part is there: 1 or true of 0 and 1. None if it has not two values."""
    plan, values = evidence.plan, evidence.plan.axis_values.get(axis, ())
    if len(values) != 2:
        return None
    if plan.naming and axis in plan.naming.start:
        start = plan.naming.start[axis]
        other = next((each for each in values if value_key(each) != value_key(start)), start)
        return other if plan.naming.kind == "add_one_in" else start
    return next((each for each in values if {*values} == {0, 1} and each == 1), values[0])
