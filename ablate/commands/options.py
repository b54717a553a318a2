"""Arguments and options that several commands take."""

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


def reports_in(folder: Path | None, results: Path) -> Path:
    """The folder of pages: the named one, or `reports` beside the records that they are about."""
    return results.parent / "reports" if folder is None else folder
