"""What a page's numbers are without: trials that failed, cells that miss seeds, combinations that were excluded."""

import json
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ablate.report.measured import Cell, Measured
from ablate.report.rows import Trial


@dataclass(frozen=True)
class Short:
    """A cell that has fewer seeds than were asked for."""

    number: int
    cell: Cell
    states: str
    """Of its trials: `1 done, 2 failed`."""


@dataclass(frozen=True)
class LeftOut:
    """What is not in the numbers."""

    failed: tuple[Trial, ...]
    """Trials whose newest attempt failed, was interrupted, or whose record cannot be read."""
    missing: tuple[Short, ...]
    """Cells without any value."""
    short: tuple[Short, ...]
    """Cells with some."""
    excluded: tuple[str, ...]
    """Conditions of the study on combinations that it leaves out."""

    def __bool__(self) -> bool:
        return bool(self.failed or self.missing or self.short or self.excluded)


def left_out(measured: Measured) -> LeftOut:
    """What is not in the numbers of a page."""
    states: dict[int, Counter[str]] = {}
    for trial in measured.trials:
        states.setdefault(trial.cell, Counter())[_state(trial)] += 1
    lacking = [
        Short(number, cell, ", ".join(f"{count} {state}" for state, count in states[number].items()))
        for number, cell in enumerate(measured.cells)
        if len(cell.values) < cell.trials
    ]
    return LeftOut(
        tuple(trial for trial in measured.trials if trial.state not in ("done", "new", "running")),
        tuple(each for each in lacking if not each.cell.values),
        tuple(each for each in lacking if each.cell.values),
        tuple(map(_condition, excluded(measured.plan))),
    )


def excluded(plan: Mapping[str, Any]) -> list[Any]:
    """The `exclude` of a study; an old plan file has it in the study's text only."""
    if "exclude" in plan:
        return list(plan["exclude"])
    try:
        found = tomllib.loads(plan.get("file", {}).get("text", "")).get("exclude", [])
    except tomllib.TOMLDecodeError:  # the text of several files, of which one extends the others
        return []
    return found if isinstance(found, list) else [found]


def _state(trial: Trial) -> str:
    if trial.state == "done" and trial.value is None:
        return "done without the metric"
    return "not begun" if trial.state == "new" else trial.state


def _condition(rule: Any) -> str:
    """A condition as a study writes it; a table of values as one."""
    if isinstance(rule, str):
        return rule
    parts = [
        f"{axis} in {json.dumps(values, ensure_ascii=False)}"
        if isinstance(values, list)
        else f"{axis} == {json.dumps(values, ensure_ascii=False)}"
        for axis, values in rule.items()
    ]
    return " and ".join(parts)
