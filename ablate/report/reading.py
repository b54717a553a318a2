"""Reading: a study at a profile, read from the records once for all that is written of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from ablate.records.files import Results
from ablate.records.plans import newest_plan
from ablate.records.store import store_of
from ablate.report.curves import Curve, read_curves, read_parameters
from ablate.report.measured import Measured, measure

if TYPE_CHECKING:
    from ablate.judge.study import Judged


@dataclass(frozen=True)
class Reading:
    """What was measured, and the verdicts on it."""

    measured: Measured
    judged: Judged
    curves: tuple[Curve, ...]
    """What trials reported while they trained, by cell."""
    parameters: Mapping[int, int]
    """Number of a cell -> how many parameters its encoder has, where the chart is about that and it is counted."""

    @property
    def place(self) -> tuple[str, str]:
        """Study and profile."""
        return self.measured.plan["study"], self.measured.profile


def read_study(
    results: Results, study: str, profile: str | None, store: duckdb.DuckDBPyConnection | None = None
) -> Reading:
    """Read a study, a file or the name of one, at a profile: by default `embedded`, or the one that was run last.

    store: where it is open already. Raises UserError where there is no record of it.
    """
    from ablate.judge.study import judge_study

    profile = newest_plan(results, study, profile)["profile"]
    with store_of(results, store) as opened:
        measured = measure(results, study, profile, opened)
        judged = judge_study(results, study, measured.profile, store=opened)
        by_size = (judged.plan.get("chart") or {}).get("x") == "parameters"
        parameters = read_parameters(opened, measured) if by_size else {}
        return Reading(measured, judged, read_curves(opened, measured), parameters)
