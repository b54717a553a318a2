"""Omissions: failed trials, cells with missing seeds, and excluded combinations, which the numbers of a page lack."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ablate.judge.evidence import CellTrial, Evidence, MeasuredCell


@dataclass(frozen=True)
class IncompleteCell:
    """A cell with fewer finished seeds than planned."""

    number: int
    cell: MeasuredCell
    states: str
    """The states of its trials: `1 done, 2 failed`."""


@dataclass(frozen=True)
class Omissions:
    """What the numbers of a page do not include."""

    failed: tuple[CellTrial, ...]
    """Trials whose latest attempt failed or was interrupted, or whose record cannot be read."""
    missing: tuple[IncompleteCell, ...]
    """Cells without a value."""
    short: tuple[IncompleteCell, ...]
    """Cells with some of their values."""
    excluded: tuple[str, ...]
    """The conditions by which the study excludes combinations."""

    def __bool__(self) -> bool:
        return bool(self.failed or self.missing or self.short or self.excluded)


def omissions(measured: Evidence) -> Omissions:
    """What the numbers of a page do not include."""
    states: dict[int, Counter[str]] = {}
    for trial in measured.trials:
        states.setdefault(trial.cell, Counter())[_state(trial)] += 1
    incomplete = [
        IncompleteCell(number, cell, ", ".join(f"{count} {state}" for state, count in states[number].items()))
        for number, cell in enumerate(measured.cells)
        if len(cell.measured) < cell.planned
    ]
    return Omissions(
        tuple(trial for trial in measured.trials if trial.state not in ("done", "new", "running")),
        tuple(each for each in incomplete if not each.cell.measured),
        tuple(each for each in incomplete if each.cell.measured),
        tuple(map(_condition, measured.plan.exclude)),
    )


def _state(trial: CellTrial) -> str:
    if trial.state == "done" and trial.value is None:
        return "finished without the metric"
    return "not started" if trial.state == "new" else trial.state


def _condition(rule: Any) -> str:
    """A condition as a study file writes it; a table of values becomes a condition."""
    if isinstance(rule, str):
        return rule
    return " and ".join(
        f"{axis} {'in' if isinstance(values, list) else '=='} {json.dumps(values, ensure_ascii=False)}"
        for axis, values in rule.items()
    )
