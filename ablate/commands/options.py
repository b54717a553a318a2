"""Arguments and options that several commands take."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ablate.records.files import Results

ResultsFolder = Annotated[Path, typer.Option("--results", metavar="DIR", help="Folder of all records.")]
ReportsFolder = Annotated[Path, typer.Option("--reports", metavar="DIR", help="Folder of all pages.")]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or its name under studies/.")]
TrialName = Annotated[
    str, typer.Argument(metavar="TRIAL", help="First digits of its key, or STUDY:AXIS=VALUE,...,seed=N.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def results_in(folder: Path) -> "Results":
    """The records below a folder."""
    from ablate.records.files import Results

    return Results(folder)
