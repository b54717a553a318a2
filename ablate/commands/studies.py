"""`ablate check`, `schema`, `new` and `studies`: study files, before anything runs."""

from pathlib import Path
from typing import Annotated

import typer

from ablate.commands.options import Json, ResultsFolder, results_in


def check(
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="Files or names, of suites too; all by default.")
    ] = None,
    profile: Annotated[
        list[str], typer.Option(metavar="NAME", help="At this scale only; at every one by default. May be repeated.")
    ] = [],
    json: Json = False,
) -> None:
    """Read study files and tell every mistake, without looking at data or training anything."""
    from ablate.study.checked import check_files, print_checked

    checked = check_files(studies or [], profile)
    print_checked(checked, json)
    if any(study.problems for study in checked):
        raise typer.Exit(2)


def schema(
    of_profile: Annotated[bool, typer.Option("--profile-file", help="Of profile files, instead of studies.")] = False,
    of_clusters: Annotated[bool, typer.Option("--cluster-file", help="Of ablate.toml, instead of studies.")] = False,
    trainer: Annotated[str | None, typer.Option(metavar="MODULE:FUNCTION", help="Of a trainer of your own.")] = None,
) -> None:
    """Print the JSON Schema of study files, with which editors complete and check them."""
    import json

    from ablate.run.slurm.clusters import cluster_schema
    from ablate.study.json_schema import json_schema
    from ablate.study.trainer import SIMCLR
    from ablate.study.trainers import find_trainer

    made = cluster_schema() if of_clusters else json_schema(find_trainer(trainer or SIMCLR), of_profile)
    print(json.dumps(made, indent=2))


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it: small letters, digits and _.")],
    setting: Annotated[
        str, typer.Option(metavar="KEY", help="The setting to vary, as in loss.temperature.")
    ] = "loss.temperature",
    values: Annotated[str | None, typer.Option(metavar="VALUES", help="Its values: 0.1,0.5,1.0.")] = None,
    cluster: Annotated[bool, typer.Option("--cluster", help="A cluster of that name, in ablate.toml.")] = False,
) -> None:
    """Write a study file to start from: studies/NAME.toml."""
    from ablate.run.slurm.template import new_cluster
    from ablate.study.template import new_study

    if cluster:
        print(f"wrote {new_cluster(name)}\nnext: edit it, ablate doctor --on {name}, ablate run STUDY --on {name}")
        return
    path = new_study(name, setting, values)
    print(f"wrote {path}\nnext: ablate check {name}, ablate plan {name}, ablate run {name}")


def studies(json: Json = False, results: ResultsFolder = Path("results")) -> None:
    """List the studies and suites that there are, and how far each is."""
    from ablate.commands.output import print_json, print_table
    from ablate.records.table import Column
    from ablate.run.overview import overview, suites_overview

    rows = overview(results_in(results))
    if json:
        print_json(rows)
        return
    columns = [Column("study"), Column("profile"), Column("done", right=True), Column("title", least=10)]
    told = [
        [row.study, row.profile or "-", f"{row.done} of {row.trials}" if row.profile else "-", row.title]
        for row in rows
    ]
    print_table(columns, told)
    if suites := suites_overview(rows, results_in(results)):
        print()
        whole = [Column("suite"), Column("profile"), Column("complete", right=True), Column("done", right=True)]
        shown = [
            [
                row.suite,
                row.profile or "-",
                f"{row.complete} of {row.studies}",
                f"{row.done} of {row.trials}",
                row.title,
            ]
            for row in suites
        ]
        print_table([*whole, Column("title", least=10)], shown)
