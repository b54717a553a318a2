"""`ablate new`, `init`, `check`, `schema` and `studies`: study files, before anything runs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.options import Json, ResultsFolder, results_in
from ablate.errors import UserError

if TYPE_CHECKING:
    from ablate.errors import Problem
    from ablate.study.check import Checked


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name: lower-case letters, digits and _.")],
    setting: Annotated[
        str, typer.Option(metavar="KEY", help="The setting to vary, such as loss.temperature.")
    ] = "loss.temperature",
    values: Annotated[str | None, typer.Option(metavar="VALUES", help="Its values: 0.1,0.5,1.0.")] = None,
    command: Annotated[
        str | None, typer.Option(metavar="WORDS", help="A command to run instead: 'python train.py --lr 0.1 --seed 0'.")
    ] = None,
    function: Annotated[
        str | None, typer.Option(metavar="MODULE:FUNCTION", help="A Python function to run instead: package.train:run.")
    ] = None,
    vary: Annotated[
        list[str], typer.Option(metavar="NAME=VALUES", help="Option or setting to vary: lr=0.1,0.01.")
    ] = [],
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="The metric to compare, such as accuracy.")] = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Create a cluster of this name in ablate.toml instead.")
    ] = False,
) -> None:
    """Create a study file (studies/NAME.toml) to edit."""
    from ablate.run.cluster_file import new_cluster
    from ablate.study.authoring import new_study

    if cluster:
        print(f"wrote {new_cluster(name)}\nnext: edit it, ablate doctor --on {name}, ablate run STUDY --on {name}")
        return
    if command is None and function is None:
        if vary or metric:
            help = "use --setting and --values for SimCLR"
            raise UserError("--vary and --metric belong to --command or --function", help=help)
        path = new_study(name, setting, values)
    else:
        path = _of_own_code(name, command, function, vary, metric)
    print(f"wrote {path}\nnext: ablate check {name}, ablate plan {name}, ablate run {name}")


def _of_own_code(name: str, command: str | None, function: str | None, vary: list[str], metric: str | None) -> Path:
    """The study of a command or of a function. Raises UserError if both are given."""
    from ablate.study.from_command import new_command_study
    from ablate.study.from_function import new_function_study

    ask = (lambda question: str(typer.prompt(question))) if sys.stdin.isatty() else None
    if command is None:
        return new_function_study(name, str(function), vary, metric, ask, Path("studies"))
    if function is not None:
        raise UserError("--command and --function cannot be combined", help="leave out one of the two")
    return new_command_study(name, command, vary, metric, ask, Path("studies"))


def init(
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="Names of studies. Default: all, and the suites.")
    ] = None,
) -> None:
    """Copy the studies and profiles that ship with ablate to studies/, to edit them."""
    from ablate.records.plain import plural
    from ablate.study.authoring import copy_shipped

    copied, left = copy_shipped(studies or [])
    if copied:
        print(f"wrote {plural(len(copied), 'file')} to studies/")
    for path in left:
        print(f"{path} exists and was left as it is")
    first = (studies or ["augment_pairs"])[0]
    print(f"next: edit them, ablate check {first}, ablate plan {first}, ablate run {first}")


def check(
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="Studies or suites, by path or name. Default: all.")
    ] = None,
    profile: Annotated[
        list[str], typer.Option(metavar="NAME", help="Only this profile; may be repeated. Default: all profiles.")
    ] = [],
    json: Json = False,
) -> None:
    """Report all errors in study files, without reading data or training."""
    from ablate.commands.output import print_json
    from ablate.study.check import check_files

    checked = check_files(studies or [], profile)
    if json:
        print_json([_plain(each) for each in checked])
    else:
        _print_checked(checked)
    if any(study.problems for study in checked):
        raise typer.Exit(2)


def _print_checked(checked: "Sequence[Checked]") -> None:
    """Print errors, warnings, and a line for each file."""
    from ablate.records.plain import plural

    for study in checked:
        for problem in (*study.problems, *study.warnings):
            print(f"{problem}\n")
        trials = ", ".join(f"{plural(count, 'trial')} at {profile}" for profile, count in study.trials.items())
        size = trials if study.studies is None else f"a suite of {study.studies} studies"
        errors = sum(problem.kind == "error" for problem in study.problems)
        print(f"{study.name}: {plural(errors, 'error') if study.problems else f'ok ({size})'}")


def _plain(study: "Checked") -> dict[str, object]:
    def plain(problem: "Problem") -> dict[str, object]:
        location = problem.location
        return {
            "message": problem.message,
            "file": str(location.path) if location else None,
            "line": location.line if location else None,
            "column": location.column if location and location.line else None,
            "help": problem.help,
        }

    return {
        "study": study.name,
        "trials": study.trials,
        "studies": study.studies,
        "problems": [plain(problem) for problem in study.problems],
        "warnings": [plain(problem) for problem in study.warnings],
    }


def schema(
    of_profile: Annotated[bool, typer.Option("--profile-file", help="Schema of profile files.")] = False,
    of_clusters: Annotated[bool, typer.Option("--cluster-file", help="Schema of ablate.toml.")] = False,
    trainer: Annotated[
        str | None, typer.Option(metavar="MODULE:FUNCTION", help="Schema of studies with this custom trainer.")
    ] = None,
    json_of: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="A command: the schema of what it prints with --json.")
    ] = None,
) -> None:
    """Print the JSON Schema of study files, for completion and checks in an editor, or of a command's output."""
    from ablate.commands.output import print_json
    from ablate.run.cluster_file import cluster_schema
    from ablate.study.json_schema import json_schema
    from ablate.trainer.find import DEFAULT_TRAINER, find_trainer

    if json_of is not None:
        from ablate.commands.json_schema import output_schema

        print_json(output_schema(json_of))
        return
    print_json(cluster_schema() if of_clusters else json_schema(find_trainer(trainer or DEFAULT_TRAINER), of_profile))


def studies(json: Json = False, results: ResultsFolder = Path("results")) -> None:
    """List all studies and suites with their progress."""
    from ablate.commands.output import Column, print_json, print_table
    from ablate.study.load import is_shipped
    from ablate.workflow.overview import studies_overview, suites_overview

    records = results_in(results)
    rows = studies_overview(records)
    if json:
        print_json(rows)
        return
    done, title = Column("done", right=True), Column("title", least=10)
    of_paper = [row for row in rows if row.file is not None and is_shipped(Path(row.file))]
    for part in ([row for row in rows if row not in of_paper], of_paper):
        lines = [
            [row.study, row.profile or "-", f"{row.done} of {row.trials}" if row.profile else "-", row.title]
            for row in part
        ]
        if part is of_paper and lines:
            print(f"{chr(10) if len(of_paper) < len(rows) else ''}The studies of the SimCLR paper:")
        if lines:
            print_table([Column("study"), Column("profile"), done, title], lines)
    if suites := suites_overview(rows, records):
        print()
        lines = [
            [each.suite, each.profile or "-", f"{each.complete} of {each.studies}", f"{each.done} of {each.trials}",
             each.title]
            for each in suites
        ]  # fmt: skip
        print_table([Column("suite"), Column("profile"), Column("complete", right=True), done, title], lines)
