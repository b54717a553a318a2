"""Arguments and options that several commands take."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ablate.errors import as_path

if TYPE_CHECKING:
    from ablate.records.files import Results
    from ablate.run.cluster import Cluster
    from ablate.run.options import PlanOptions, RunOptions


class _Converting:
    """A command or group that converts the options that were given.

    Newer versions of typer convert every value by pydantic, whose import takes as long as many a command.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """The options and arguments."""
        found: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for each in found:
            if each.nargs == 1 and not (each.required or getattr(each, "multiple", False)):
                vars(each)["process_value"] = partial(_process, each)
        return found


def _process(option: Any, ctx: Any, value: Any) -> Any:
    """The value of an option, as it is where it needs no conversion: without a default, or with a path as default."""
    if value is None or isinstance(value, Path):
        return value if option.callback is None else option.callback(ctx, option, value)
    return type(option).process_value(option, ctx, value)


class Group(_Converting, TyperGroup):
    """The group of all commands."""


class Command(_Converting, TyperCommand):
    """A command whose help shows arguments as `SRC`, not as `SRC <Path>`, which versions of typer since 0.29 do."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for each in self.params:
            if each.param_type_name == "argument":
                vars(each)["display_type_rich"] = lambda ctx: None


ResultsFolder = Annotated[
    Path, typer.Option("--results", metavar="DIR", parser=as_path, help="Folder with the records.")
]
ReportsFolder = Annotated[
    Path | None,
    typer.Option(
        "--reports",
        metavar="DIR",
        parser=as_path,
        help="Folder for pages. Default: reports, next to the results folder.",
    ),
]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Path of a study file, or its name in studies/.")]
StudyOrSuite = Annotated[str, typer.Argument(metavar="STUDY", help="Path or name of a study or a suite.")]
TrialName = Annotated[
    str, typer.Argument(metavar="TRIAL", help="First digits of the trial's key, or STUDY:AXIS=VALUE,...,seed=N.")
]
RecordedProfile = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="Profile. Default: embedded if it was run, otherwise the latest."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Profile = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Profile: embedded, small or another file in profiles/; paper: the study's own paper_profile.",
    ),
]
Only = Annotated[
    list[str], typer.Option(metavar="AXIS=VALUES", help="Only these cells: first=crop,color or case=NAME.")
]
Setting = Annotated[list[str], typer.Option(metavar="KEY=VALUE", help="Change a setting: data.root=DIR.")]
Seeds = Annotated[int | None, typer.Option(min=1, max=1000, metavar="N", help="Seeds per cell.")]
Assume = Annotated[
    str | None,
    typer.Option(
        metavar="SPEED",
        help="Estimate unmeasured trials from a speed: images per second per GPU (2600), or a100, v100.",
    ),
]
Budget = Annotated[
    str | None, typer.Option(metavar="HOURS", help="Refuse to start if the run may take more hours: 200h, 30min.")
]
Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Trials at once. Default: one per core or GPU.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="Device: auto, cpu or cuda.")]
Inline = Annotated[bool, typer.Option("--inline", help="Train in this process, so that a debugger works.")]
Stop = Annotated[bool, typer.Option("--stop-at-first-failure", help="Stop when a trial fails.")]
On = Annotated[
    str | None, typer.Option(metavar="NAME", help="Train on this cluster of ablate.toml; slurm if it has only one.")
]
Wait = Annotated[bool, typer.Option("--wait", help="With --on: wait until all trials have ended.")]

Log = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        metavar="NAME",
        help="Copy rows to tensorboard, wandb, mlflow or trackio; none turns off those named in ablate.toml.",
    ),
]


def results_in(folder: Path) -> "Results":
    """The records in a folder."""
    from ablate.records.files import Results

    return Results(folder)


def reports_in(folder: Path | None, results: Path) -> Path:
    """The folder of pages: the given one, or `reports` next to the records."""
    return results.parent / "reports" if folder is None else folder


def plan_options(
    profile: str, only: list[str], settings: list[str], seeds: int | None, assume: str | None = None
) -> "PlanOptions":
    """The options of a plan, parsed. Raises UserError for invalid ones."""
    from ablate.run.options import PlanOptions, parse_only, parse_settings

    numbers = None if seeds is None else range(seeds)
    return PlanOptions(profile, parse_settings(settings), numbers, parse_only(only), assume)


def run_options(
    workers: int | None,
    device: str,
    inline: bool,
    stop_at_first_failure: bool,
    budget: str | None,
    on: str | None,
    wait: bool,
    reports: Path,
    log: list[str] | None = None,
) -> "RunOptions":
    """The options of a run, parsed. Raises UserError for invalid ones, and if `reports` cannot be written."""
    from ablate.run.options import RunOptions
    from ablate.workflow.pages import check_can_write

    cluster = None if on is None else _cluster(on, inline, workers, stop_at_first_failure)
    check_can_write(reports)
    return RunOptions(workers, device, inline, stop_at_first_failure, budget, cluster, wait, reports, log or None)


def _cluster(name: str, inline: bool, workers: int | None, stop: bool) -> "Cluster":
    """The cluster of this name. Raises UserError for options that only apply to this machine."""
    from ablate.errors import UserError
    from ablate.run.cluster_file import find_cluster

    for option, given in (("--inline", inline), ("--workers", workers), ("--stop-at-first-failure", stop)):
        if given:
            raise UserError(f"{option} cannot be used with --on {name}", help="it applies to training on this machine")
    return find_cluster(name, Path.cwd())
