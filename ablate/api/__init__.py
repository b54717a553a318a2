"""The Python API, for notebooks and scripts: load a study or a suite, plan it, run it, read its results."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.api.results import StudyResults
from ablate.api.study import PlannedStudy, StudyFile
from ablate.api.suite import PlannedSuite, SuiteFile
from ablate.errors import UserError, as_path
from ablate.records.files import Results

if TYPE_CHECKING:
    from ablate.records.garbage import Garbage
    from ablate.workflow.recorded_trial import RecordedTrial

__all__ = [
    "PlannedStudy", "PlannedSuite", "StudyFile", "StudyResults", "SuiteFile",
    "compare", "gc", "load", "load_suite", "results", "trial",
]  # fmt: skip


def load(study: str | Path) -> StudyFile:
    """Load a study by its file, or by its name under studies/. Raises UserError with every error in it."""
    from ablate.study.load import load_study

    loaded = load_study(str(study))
    if loaded.problems:
        raise UserError(*loaded.problems)
    return StudyFile(loaded, loaded.source.path.absolute())


def load_suite(suite: str | Path) -> SuiteFile:
    """Load a suite by its file, or by its name under studies/suites/. Raises UserError with every error in it."""
    from ablate.workflow.overview import suite_named

    loaded = suite_named(str(suite))
    if loaded is None:
        raise UserError(f"'{suite}' is a study, not a suite", help="load it with ablate.load")
    return SuiteFile(loaded)


def results(study: str, profile: str | None = None, folder: str | Path = "results") -> StudyResults:
    """The results of a study by its name, at one profile (`paper`: the paper's own scale) or at all of them."""
    from ablate.workflow.overview import recorded_profile

    records = Results(as_path(folder))
    return StudyResults(Path(study).stem, profile and recorded_profile(records, study, profile), records)


def trial(
    study: str, /, *, seed: int = 0, folder: str | Path = "results", **axes: str | bool | int | float
) -> "RecordedTrial":
    """Record a run that this code makes itself, in a script or a notebook, as a trial of a study.

        with ablate.trial("rates", lr=0.1, seed=0) as trial:
            trial.log(epoch=1, loss=0.5)
            trial.result(accuracy=0.9)

    A study without a file gets one, with these axes; values that are new are added to it. Raises UserError if the study
    has no such cell, or if the trial is done.
    """
    from ablate.workflow.recorded_trial import RecordedTrial

    return RecordedTrial(study, Results(as_path(folder)), axes, seed)


def compare(
    before: str | Path, after: str | Path, studies: Sequence[str] = (), reports: str | Path = "reports"
) -> Path:
    """Write a page that compares two folders of records, and return its path."""
    from ablate.report.compare import write_comparison

    return write_comparison(Results(as_path(before)), Results(as_path(after)), studies, as_path(reports))


def gc(
    folder: str | Path = "results",
    *,
    dry_run: bool = False,
    checkpoints: bool = False,
    now: bool = False,
    abandoned: bool = False,
) -> "list[Garbage]":
    """Remove records that nothing needs, as `ablate gc` does, and return them; with `dry_run`, only list them.

    checkpoints: also those of finished pretrainings. now: also recent items. abandoned: also finished trials that only
    earlier versions of a study planned.
    """
    from ablate.records.garbage import find_garbage, remove

    found = find_garbage(Results(as_path(folder)), time.time(), checkpoints, now, abandoned)
    return list(found if dry_run else remove(found))
