"""The commands: a few lines each over the modules below; `--help` needs no torch."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.data import data_app

if TYPE_CHECKING:
    from ablate.records.files import Results

app = typer.Typer(
    help="Which part of a method matters? Run ablation studies, and judge claims by what was measured.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data")

ResultsFolder = Annotated[Path, typer.Option("--results", metavar="DIR", help="Folder of all records.")]
ReportsFolder = Annotated[Path, typer.Option("--reports", metavar="DIR", help="Folder of all pages.")]
UnusedReportsFolder = Annotated[
    Path, typer.Option("--reports", metavar="DIR", help="Taken so that every command takes it; no page is written.")
]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or its name under studies/.")]


@app.command()
def run(
    study: StudyName,
    profile: Annotated[str, typer.Option(metavar="NAME", help="The scale to run at: embedded, small.")] = "embedded",
    only: Annotated[
        list[str], typer.Option(metavar="AXIS=VALUES", help="Run these cells only: first=crop,color.")
    ] = [],
    set: Annotated[list[str], typer.Option(metavar="KEY=VALUE", help="Change a setting: data.root=DIR.")] = [],
    seeds: Annotated[int | None, typer.Option(min=1, metavar="N", help="Train every cell with N seeds.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Trials at once; one a core by default.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")] = "auto",
    inline: Annotated[bool, typer.Option("--inline", help="Train in this process, for a debugger.")] = False,
    results: ResultsFolder = Path("results"),
    reports: ReportsFolder = Path("reports"),
) -> None:
    """Train every cell of a study that is not done yet, and write its page."""
    from ablate.run.command import run_study

    finished = run_study(study, profile, only, set, seeds, workers, device, inline, _results(results))
    from ablate.report.page import write_report

    print(f"page: {write_report(finished.results, finished.plan.loaded.study.name, profile, reports)}")
    finished.raise_failures()


@app.command()
def report(
    study: StudyName,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="embedded, or the only one that was run.")] = None,
    results: ResultsFolder = Path("results"),
    reports: ReportsFolder = Path("reports"),
) -> None:
    """Write the page of a study from its records."""
    from ablate.report.page import write_report

    print(write_report(_results(results), study, profile, reports))


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="For example: SELECT * FROM augment_pairs.")],
    results: ResultsFolder = Path("results"),
    reports: UnusedReportsFolder = Path("reports"),
) -> None:
    """Ask the store in SQL: tables trials, attempts, metrics, cells, and a view for each study."""
    from ablate.records.query import print_query

    print_query(_results(results), sql)


@app.command()
def export(
    study: StudyName,
    format: Annotated[str, typer.Option(metavar="FORMAT", help="csv, json or parquet.")] = "csv",
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="Only trials of this profile.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Instead of standard output.")] = None,
    results: ResultsFolder = Path("results"),
    reports: UnusedReportsFolder = Path("reports"),
) -> None:
    """Write one row for each trial of a study."""
    from ablate.records.export import export_study

    export_study(_results(results), study, format, profile, output)


def _results(folder: Path) -> "Results":
    from ablate.records.files import Results

    return Results(folder)


def main() -> None:
    """The `ablate` command: errors of ours without a traceback, with their exit code."""
    from ablate.errors import AblateError

    try:
        app()
    except AblateError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or ''}".removesuffix(": "), file=sys.stderr)
        sys.exit(AblateError.exit_code)
