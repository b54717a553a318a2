"""Reading: a study at a profile, read from the records once for all that is written of it."""

from dataclasses import dataclass

import duckdb

from ablate.judge.study import Judged, judge_study
from ablate.records.files import Results
from ablate.records.store import store_of
from ablate.report.measured import Measured, measure


@dataclass(frozen=True)
class Reading:
    """What was measured, and the verdicts."""

    measured: Measured
    judged: Judged

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
    with store_of(results, store) as opened:
        measured = measure(results, study, profile, opened)
        return Reading(measured, judge_study(results, study, measured.profile, store=opened))
