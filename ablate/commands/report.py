"""`ablate report`, `compare`, `query` and `export`: what was measured, as pages, as rows, as a file."""

from pathlib import Path
from typing import Annotated

import typer

from ablate.commands.options import (
    Json,
    ReportsFolder,
    ResultsFolder,
    StudyName,
    reports_in,
    results_in,
    scale_in,
)

OneProfile = Annotated[str | None, typer.Option(metavar="NAME", help="By default embedded, or the one run last.")]

Studies = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STUDY]...", help="Studies or suites, by file or name; by default all with records."),
]
Formats = Annotated[
    list[str], typer.Option(metavar="FORMATS", help="html, md, latex, csv, svg, png, pdf: some, joined by commas.")
]
Watched = Annotated[bool, typer.Option("--watch", help="Write them again as the studies run, until they end.")]


def report(
    studies: Studies = None,
    profile: OneProfile = None,
    format: Formats = ["html"],
    watch: Watched = False,
    results: ResultsFolder = Path("results"),
    reports: ReportsFolder = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Whether pages show images, views and neighbours.")
    ] = True,
) -> None:
    """Write pages of studies from the records, and the index of all; or their tables and charts for a paper."""
    from ablate.commands.pages import Asked, targets, write_pages
    from ablate.commands.watch import Watch
    from ablate.report.formats import read_formats

    formats = read_formats(format)
    asked = Asked(results_in(results), reports_in(reports, results), studies or [], profile, formats, pictures)
    if watch:
        Watch(asked, targets(asked)).run()
    else:
        print("\n".join(map(str, write_pages(asked, targets(asked)))))


def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The folder of records from before a change.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="That from after it.")],
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="These only; by default all that are in both.")
    ] = None,
    reports: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the page goes; by default reports beside AFTER.")
    ] = None,
) -> None:
    """Write a page that compares two folders of records: cells, settings, verdicts before and after a change."""
    from ablate.report.compare import write_comparison

    page = write_comparison(results_in(before), results_in(after), studies or [], reports_in(reports, after))
    print(page)


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="For example: SELECT * FROM augment_pairs.")],
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Ask the store in SQL: tables trials, attempts, metrics, cells, and a view for each study."""
    from ablate.records.query import print_query

    print_query(results_in(results), sql, json)


def export(
    study: StudyName,
    format: Annotated[str, typer.Option(metavar="FORMAT", help="csv, json or parquet.")] = "csv",
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="Only trials of this profile.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Instead of standard output.")] = None,
    results: ResultsFolder = Path("results"),
) -> None:
    """Write one row for each trial of a study."""
    from ablate.commands.suites import check_is_no_suite
    from ablate.records.export import export_study

    check_is_no_suite(study)
    scale = scale_in(results_in(results), study, profile)
    export_study(results_in(results), study, format, scale, output)
