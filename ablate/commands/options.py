"""Arguments and options that several commands take."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ablate.records.files import Results

ResultsFolder = Annotated[Path, typer.Option("--results", metavar="DIR", help="Folder of all records.")]
ReportsFolder = Annotated[
    Path | None,
    typer.Option("--reports", metavar="DIR", help="Folder of all pages; by default reports beside results."),
]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or its name under studies/.")]
StudyOrSuite = Annotated[
    str,
    typer.Argument(metavar="STUDY", help="A study file or a suite's, or its name under studies/ or studies/suites/."),
]
TrialName = Annotated[
    str, typer.Argument(metavar="TRIAL", help="First digits of its key, or STUDY:AXIS=VALUE,...,seed=N.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def results_in(folder: Path) -> "Results":
    """The records below a folder."""
    from ablate.records.files import Results

    return Results(folder)


def scale_in(results: "Results", study: str, profile: str | None) -> str | None:
    """The profile that is meant of a study that was run: `paper` is its own. None where none is named.

    Raises UserError for a study that has neither a file nor records, with the nearest name of a file.
    """
    from ablate.errors import nearest
    from ablate.records.plans import load_plans, recorded_studies
    from ablate.run.history import scale_run
    from ablate.study.load import find_study

    name = Path(study).stem
    if not load_plans(results, name) and not nearest(name, recorded_studies(results)):
        find_study(study)
    return None if profile is None else scale_run(results, study, profile)


def check_reports(folder: Path) -> None:
    """Raise UserError for a folder of pages that cannot be written, or made: before hours of training, not after."""
    from ablate.errors import UserError

    there = next((each for each in (folder, *folder.absolute().parents) if os.path.lexists(each)), folder)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return
    why = f"{there} may not be written" if there.is_dir() else f"{there} is no folder"
    raise UserError(f"pages cannot be written in {folder}: {why}", help="choose another folder: --reports DIR")


def reports_in(folder: Path | None, results: Path) -> Path:
    """The folder of pages: the named one, or `reports` beside the records that they are about."""
    return results.parent / "reports" if folder is None else folder
