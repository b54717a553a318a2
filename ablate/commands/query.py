"""`ablate query` and `export`: records as rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.options import Json, ResultsFolder, StudyName, results_in
from ablate.errors import UserError, as_path, visible

if TYPE_CHECKING:
    from ablate.records.files import Results


Records = Annotated[
    bool,
    typer.Option(
        "--records",
        help="Add the whole record of each trial, for ablate report --from. Default FILE: published/STUDY.parquet in "
        "the results folder.",
    ),
]


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="For example: SELECT * FROM augment_pairs.")],
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Query the store of results in SQL: tables trials, attempts, metrics and cells, and one view per study.

    A study's view has a row per trial and a column for each axis and each value that its trainer returned, by their
    names; `value` is the study's metric. One with the name of another column is `axis.NAME` or `metric.NAME`.
    """
    from ablate.commands.output import print_json, print_rows
    from ablate.records.query import run_query

    found = run_query(results_in(results), sql)
    if json:
        print_json(found.objects())
    else:
        print_rows(found)


def export(
    study: StudyName,
    format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="csv, json or parquet. Default: csv; with --records, parquet.")
    ] = None,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="Only trials of this profile.")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=as_path, help="Write to FILE instead of standard output.")
    ] = None,
    comparisons: Annotated[
        bool, typer.Option("--comparisons", help="Write one row per comparison of the claims instead.")
    ] = False,
    records: Records = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Write one row per trial of a study, or per comparison of its claims."""
    from ablate.records.query import check_format, export_study, write_export
    from ablate.workflow.overview import check_is_study, recorded_profile

    check_is_study(study)
    folder = results_in(results)
    of_profile = recorded_profile(folder, study, profile)
    if records:
        _publish(folder, study, of_profile, output, format, comparisons)
        return
    format = format or "csv"
    if not comparisons:
        export_study(folder, study, format, of_profile, output)
        return
    check_format(Path(study).stem, format, output)
    write_export(_comparisons(folder, study, of_profile, format), output)


def _comparisons(results: "Results", study: str, profile: str | None, format: str) -> bytes:
    """One row per comparison of the claims, as a format has it. Raises UserError if there is none."""
    from ablate.judge.comparison_rows import rows_of, written
    from ablate.judge.described import Describer
    from ablate.judge.study import judge_study

    judged = judge_study(results, study, profile)
    if not (rows := rows_of(judged, Describer(judged.evidence, results))):
        why = "none of its claims is measured" if judged.verdicts else "it has no claims"
        raise UserError(f"{study} has no comparisons: {why}", help=f"ablate judge {study} shows its claims")
    return written(rows, format)


def _publish(
    results: "Results", study: str, profile: str | None, output: Path | None, format: str | None, comparisons: bool
) -> None:
    from ablate.records.plain import plural
    from ablate.records.plans import newest_plan
    from ablate.records.published import PUBLISHED, publish
    from ablate.report.render.html import page_name

    if comparisons or format not in (None, "parquet"):
        wrong = "--comparisons" if comparisons else f"--format {format}"
        raise UserError(
            f"--records cannot be used with {wrong}", help="records are written as Parquet, a row per trial"
        )
    plan = newest_plan(results, study, profile)
    path = output or results.root / PUBLISHED / f"{page_name(plan.study, plan.profile)}.parquet"
    rows = publish(results, plan.study, plan.profile, path)
    size = path.stat().st_size / 1000
    print(f"{visible(str(path))}: {plural(rows, 'trial')} at {visible(plan.profile)}, {size:,.0f} kB")
