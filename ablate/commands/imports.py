"""`ablate import`: runs that were trained elsewhere."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.options import Json, ResultsFolder, results_in
from ablate.errors import UserError, as_path

if TYPE_CHECKING:
    from ablate.workflow.import_runs import Imported

Sources = Annotated[
    list[Path],
    typer.Argument(metavar="SOURCE...", parser=as_path, help="Files, folders, or wandb:ENTITY/PROJECT."),
]
Axes = Annotated[
    list[str], typer.Option(metavar="COLUMN", help="A column that is varied, or AXIS=COLUMN; may be repeated.")
]
Metrics = Annotated[
    list[str],
    typer.Option(metavar="COLUMN", help="The column that is compared; repeated: other results, also as 'val/*'."),
]


def import_(
    sources: Sources,
    study: Annotated[str, typer.Option(metavar="STUDY", help="The study: its file is written if it is missing.")],
    axis: Axes = [],
    metric: Metrics = [],
    seed: Annotated[
        str, typer.Option(metavar="COLUMN", help="The column with the seed; none: each cell was run once.")
    ] = "seed",
    run: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column that names the run, to join rows and files.")
    ] = None,
    step: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column that counts epochs or steps of a run.")
    ] = None,
    ignore: Annotated[
        list[str], typer.Option(metavar="COLUMN", help="A column that does not matter, also as 'system/*'.")
    ] = [],
    nan_failed: Annotated[
        bool, typer.Option("--nan-failed", help="Record runs without a finite metric as failed.")
    ] = False,
    seeds_are_runs: Annotated[
        bool, typer.Option("--seeds-are-runs", help="Each seed was trained by itself, whatever its column is called.")
    ] = False,
    update: Annotated[bool, typer.Option("--update", help="Record new results of runs that were imported.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Import again whenever a source changes, until Ctrl-C.")
    ] = False,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Import runs that were trained elsewhere, as records of a study."""
    from ablate.records.runs import Columns
    from ablate.workflow.import_runs import import_runs, watch_sources

    names = None if seed == "none" else seed
    columns = Columns(_axes(axis), metric, names, run, step, ignore, seeds_are_runs, nan_failed)
    if watch:
        watch_sources(sources, study, columns, results_in(results), _print)
        return
    _print(import_runs(sources, study, columns, results_in(results), update, sys.argv), json)


def _axes(options: list[str]) -> dict[str, str]:
    """Axis -> column."""
    from ablate.study.imported import axis_name

    found: dict[str, str] = {}
    for option in options:
        name, equals, column = option.partition("=")
        name, column = (name, column) if equals else (axis_name(option), option)
        if not name or not column:
            raise UserError(f"--axis {option} names no column", help="for example --axis lr, or --axis lr=optimizer.lr")
        if name in found:
            raise UserError(f"--axis: the axis '{name}' is given twice", help="give each axis once")
        found[name] = column
    return found


def _print(imported: "Imported", json: bool = False) -> None:
    """Say what was imported, and what to do next."""
    from ablate.commands.output import print_json
    from ablate.records.plain import plural

    if json:
        print_json({**vars(imported), "study": str(imported.study)})
        return
    if imported.written:
        print(f"wrote {imported.study}")
    parts = [f"{plural(imported.new, 'run')} imported"]
    parts += [f"{imported.changed:,} updated"] if imported.changed else []
    parts += [f"{imported.unchanged:,} known before"] if imported.unchanged else []
    parts += [f"{imported.failed:,} without a result, recorded as failed"] if imported.failed else []
    print(", ".join(parts))
    if imported.shorter:
        print(f"warning: {imported.shorter}; if it was cut short, leave it out")
    if imported.ignored:
        print(f"columns left out: {', '.join(imported.ignored)}")
    name = imported.study.stem
    if imported.new or imported.changed:
        print(f"next: ablate report {name}, or add claims to {imported.study} and ablate judge {name}")
