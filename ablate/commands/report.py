"""`ablate report`, `query` and `export`: what was measured, as a page, as rows, as a file."""

from pathlib import Path
from typing import Annotated

import typer

from ablate.commands.options import Json, ReportsFolder, ResultsFolder, StudyName, StudyOrSuite, reports_in, results_in

OneProfile = Annotated[str | None, typer.Option(metavar="NAME", help="By default embedded, or the one run last.")]


def report(
    study: StudyOrSuite,
    profile: OneProfile = None,
    results: ResultsFolder = Path("results"),
    reports: ReportsFolder = None,
) -> None:
    """Write the page of a study, or of each study of a suite, from the records."""
    from ablate.commands.suites import report_suite, suite_of
    from ablate.report.page import write_report

    def write(name: str) -> Path:
        return write_report(results_in(results), name, profile, reports_in(reports, results))

    if suite := suite_of(study, recorded=True):
        report_suite(suite, write, results_in(results), profile)
    else:
        print(write(study))


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
    export_study(results_in(results), study, format, profile, output)
