"""Thinning: of a very large study, a page shows some cells and trials. What it says of the study uses all of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ablate.records.plain import plural
from ablate.records.sql import sql_name, sql_text

if TYPE_CHECKING:
    from ablate.judge.evidence import CellTrial, Evidence
    from ablate.judge.study import Judged
    from ablate.report.omissions import Omissions

MOST_CELLS, MOST_TRIALS = 400, 4000
"""A larger study is thinned."""
SHOWN_CELLS, SHOWN_TRIALS = 280, 1000
"""What is left of it: about 2 MB of a page."""


@dataclass(frozen=True)
class Thinned:
    """What a page shows of a study."""

    judged: Judged
    """With the shown cells and trials; the verdicts are those on all of them."""
    logged: Evidence
    """The shown cells with all their trials, for curves that average over seeds."""
    places: Mapping[int, int] | None = None
    """Number of a shown cell among all cells -> its number here; None if all are shown."""
    note: str = ""
    """What is left out, in sentences."""
    query: str = ""
    """The command that prints all trials."""
    failed: tuple[CellTrial, ...] = field(default=(), repr=False)
    """The shown trials that did not finish."""

    def of(self, found: Omissions) -> Omissions:
        """The omissions of the shown cells."""
        if (places := self.places) is None:
            return found
        missing, short = (
            tuple(replace(each, number=places[each.number]) for each in cells if each.number in places)
            for cells in (found.missing, found.short)
        )
        return replace(found, failed=self.failed, missing=missing, short=short)


def thinned(judged: Judged) -> Thinned:
    """All cells and trials of a study, or the cells with the lowest and highest values, incomplete ones first."""
    evidence = judged.evidence
    if len(evidence.cells) <= MOST_CELLS and len(evidence.trials) <= MOST_TRIALS:
        return Thinned(judged, evidence)
    kept = _kept(evidence)
    places = {number: place for place, number in enumerate(kept)}
    trials = [replace(trial, cell=places[trial.cell]) for trial in evidence.trials if trial.cell in places]
    cells = tuple(evidence.cells[number] for number in kept)
    shown = _first(trials, max(1, SHOWN_TRIALS // len(cells)))
    verdicts = tuple(
        replace(each, cells=frozenset(places[cell] for cell in each.cells if cell in places))
        for each in judged.verdicts
    )
    of_cells = replace(evidence, cells=cells, trials=tuple(trials))
    plan = judged.plan
    query = f"SELECT * FROM {sql_name(plan.study)} WHERE profile = {sql_text(plan.profile)}"
    which = "those with the lowest and the highest values, incomplete ones first"
    note = (
        f"This study is large: charts and tables show {len(cells):,} of {plural(len(evidence.cells), 'cell')}"
        f"{f' ({which})' if len(cells) < len(evidence.cells) else ''} and {len(shown):,} of "
        f"{plural(len(evidence.trials), 'trial')}. The means, the findings, the verdicts and the total cost use all."
    )
    return Thinned(
        replace(judged, evidence=replace(of_cells, trials=shown), verdicts=verdicts),
        of_cells,
        places,
        note,
        f"ablate query {shlex.quote(query)}",
        tuple(trial for trial in shown if _unfinished(trial)),
    )


def _kept(evidence: Evidence) -> list[int]:
    """The numbers of the shown cells, in the order of the cells."""
    ranked = sorted(
        range(len(evidence.cells)),
        key=lambda number: (evidence.cells[number].mean is not None, evidence.cells[number].mean or 0.0),
    )
    problems = [number for number in ranked if len(evidence.cells[number].measured) < evidence.cells[number].planned]
    kept = dict.fromkeys(problems[: SHOWN_CELLS // 2])
    rest = [number for number in ranked if number not in kept]
    half = (SHOWN_CELLS - len(kept)) // 2
    return sorted({*kept, *rest[:half], *rest[-half:]})


def _first(trials: list[CellTrial], most: int) -> tuple[CellTrial, ...]:
    """At most `most` trials of each cell, unfinished ones first."""
    chosen: dict[int, list[int]] = {}
    for number in sorted(range(len(trials)), key=lambda number: not _unfinished(trials[number])):
        of_cell = chosen.setdefault(trials[number].cell, [])
        if len(of_cell) < most:
            of_cell.append(number)
    return tuple(trials[number] for number in sorted(number for numbers in chosen.values() for number in numbers))


def _unfinished(trial: CellTrial) -> bool:
    return trial.state not in ("done", "new", "running")
