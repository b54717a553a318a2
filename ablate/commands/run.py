"""`ablate run`, `plan` and `retry`: what trains, and what would."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.cluster import On, Wait
from ablate.commands.options import (
    Json,
    ReportsFolder,
    ResultsFolder,
    StudyName,
    StudyOrSuite,
    check_reports,
    reports_in,
    results_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.records.files import Results
    from ablate.run.command import FinishedRun, How
    from ablate.run.plan import Plan
    from ablate.study.trial import Trial

Profile = Annotated[
    str,
    typer.Option(metavar="NAME", help="The scale: embedded, small, or a file of profiles/; paper: the paper's own."),
]
Only = Annotated[list[str], typer.Option(metavar="AXIS=VALUES", help="These cells only: first=crop,color; case=NAME.")]
Setting = Annotated[list[str], typer.Option(metavar="KEY=VALUE", help="Change a setting: data.root=DIR.")]
Seeds = Annotated[int | None, typer.Option(min=1, max=1000, metavar="N", help="Every cell with N seeds.")]
Budget = Annotated[str | None, typer.Option(metavar="HOURS", help="Start nothing if it may cost more: 200h, 30min.")]
Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Trials at once; one a core by default.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")]
Assume = Annotated[
    str | None,
    typer.Option(metavar="SPEED", help="Where nothing was measured: images a second and GPU (2600), or a100, v100."),
]
Inline = Annotated[bool, typer.Option("--inline", help="Train in this process, for a debugger.")]
UntilDecided = Annotated[
    bool, typer.Option("--until-decided", help="Add seeds until every claim is decided, at the most --seeds (30).")
]
Stop = Annotated[bool, typer.Option("--stop-at-first-failure", help="Leave the rest when one trial fails.")]


def run(
    study: StudyOrSuite,
    profile: Profile = "embedded",
    only: Only = [],
    set: Setting = [],
    seeds: Seeds = None,
    budget: Budget = None,
    workers: Workers = None,
    device: Device = "auto",
    inline: Inline = False,
    stop_at_first_failure: Stop = False,
    until_decided: UntilDecided = False,
    on: On = None,
    wait: Wait = False,
    results: ResultsFolder = Path("results"),
    reports: ReportsFolder = None,
) -> None:
    """Train every cell of a study, or of all studies of a suite, that is not done yet, and write the pages."""
    from ablate.commands.cluster import cluster_of
    from ablate.commands.suites import run_suite, suite_of
    from ablate.commands.until import Steps, run_until_decided
    from ablate.errors import UserError
    from ablate.run.command import How

    cluster = cluster_of(on, inline, workers, stop_at_first_failure)
    how = How(workers, device, inline, stop_at_first_failure, cluster, wait, reports_in(reports, results))
    check_reports(reports_in(reports, results))

    def make(file: str) -> "Plan":
        return _plan(file, profile, only, set, seeds, results_in(results))

    def train(planned: "Plan") -> "FinishedRun":
        return _run(planned, results_in(results), how)

    def finish(finished: "FinishedRun") -> None:
        _finish(finished, reports_in(reports, results))

    def round_of(count: int, keep: "Callable[[Trial], bool] | None") -> "Plan":
        return _plan(study, profile, only, set, count, results_in(results), keep=keep)

    suite = suite_of(study)
    if until_decided and on and not wait:
        raise UserError("--until-decided looks at the results after each round", help=f"add --wait to --on {on}")
    if suite and until_decided:
        raise UserError("--until-decided is for one study", help=f"run those of {study} one by one")
    if suite:
        run_suite(suite, make, train, finish, budget, stop_at_first_failure)
    elif until_decided:
        finish(run_until_decided(Steps(results_in(results), round_of, train), budget, seeds))
    else:
        finish(train(_within(make(study), budget)))


def plan(
    study: StudyOrSuite,
    profile: Profile = "embedded",
    only: Only = [],
    set: Setting = [],
    seeds: Seeds = None,
    budget: Budget = None,
    assume: Assume = None,
    whole: Annotated[bool, typer.Option("--all", help="List every trial, also those that are done.")] = False,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Show what `ablate run` with the same options would train, and what it would cost."""
    from rich.console import Console

    from ablate.commands.suites import show_suite, suite_of
    from ablate.run.show import print_json, print_plan

    def make(file: str) -> "Plan":
        return _plan(file, profile, only, set, seeds, results_in(results), assume)

    if suite := suite_of(study):
        show_suite(suite, make, json, budget)
        return
    planned = make(study)
    if json:
        print_json(planned)
    else:
        print_plan(planned, Console(highlight=False, markup=False), whole)
    _within(planned, budget)


def retry(
    study: StudyName,
    profile: Profile = "embedded",
    only: Only = [],
    set: Setting = [],
    seeds: Seeds = None,
    workers: Workers = None,
    device: Device = "auto",
    inline: Inline = False,
    on: On = None,
    wait: Wait = False,
    results: ResultsFolder = Path("results"),
    reports: ReportsFolder = None,
) -> None:
    """Train again what failed or was interrupted, and nothing that is new."""
    from ablate.commands.cluster import cluster_of
    from ablate.commands.suites import check_is_no_suite
    from ablate.run.command import How
    from ablate.run.history import seeds_run, to_retry_elsewhere

    check_is_no_suite(study)
    check_reports(reports_in(reports, results))
    planned = _plan(study, profile, only, set, seeds, results_in(results))
    run_before = seeds_run(results_in(results), planned.loaded.study.name, planned.profile)
    if seeds is None and run_before:
        planned = _plan(study, profile, only, set, run_before, results_in(results))
    if not (again := planned.keep_states(("failed", "interrupted"))).to_run:
        elsewhere = to_retry_elsewhere(results_in(results), planned.loaded.study.name, planned.profile)
        print("\n".join([f"nothing failed or was interrupted at {planned.profile}", *elsewhere]))
        return
    pages = reports_in(reports, results)
    how = How(workers, device, inline, on=cluster_of(on, inline, workers), wait=wait, reports=pages)
    _finish(_run(again, results_in(results), how), pages)


def _plan(
    study: str,
    profile: str,
    only: list[str],
    settings: list[str],
    seeds: int | list[int] | None,
    results: "Results",
    assume: str | None = None,
    keep: "Callable[[Trial], bool] | None" = None,
) -> "Plan":
    from ablate.run.command import parse_only, parse_settings
    from ablate.run.plan import make_plan
    from ablate.study.load import load_study
    from ablate.study.scale import scale

    loaded = load_study(study)
    numbers = range(seeds) if isinstance(seeds, int) else seeds
    profile = scale(loaded.study, profile)
    return make_plan(loaded, profile, results, parse_settings(settings), numbers, parse_only(only), assume, keep)


def _within(planned: "Plan", budget: str | None) -> "Plan":
    """The plan, if it costs no more than the budget."""
    if budget is not None:
        from ablate.run.command import check_budget

        check_budget(planned, budget)
    return planned


def _run(planned: "Plan", results: "Results", how: "How") -> "FinishedRun":
    from ablate.run.command import INTERRUPTED, run_plan

    try:
        return run_plan(planned, results, how)
    except KeyboardInterrupt:
        print("Interrupted. What is done stays done; the same command goes on from here.")
        sys.exit(INTERRUPTED)


def _finish(finished: "FinishedRun", reports: Path) -> None:
    from ablate.errors import TrialsFailed
    from ablate.records.metric import finished_numbers, lacking
    from ablate.report.page import write_report
    from ablate.run.overview import suite_members

    plan, results = finished.plan, finished.results
    if finished.detached:
        print(
            f"it goes on without this terminal: ablate status {plan.loaded.study.name}; the page will be in {reports}"
        )
        return
    try:
        page = write_report(results, plan.loaded.study.name, plan.profile, reports, suite_members())
        print(f"page: {page}")
    except Exception as error:  # what failed is told all the same
        try:
            finished.raise_failures()
        except TrialsFailed as failed:
            raise TrialsFailed(f"{failed}\nand the page could not be written:\n{error}") from error
        raise
    elsewhere = sum(outcome["state"] == "running" for outcome in finished.outcomes.values())
    if elsewhere := elsewhere + plan.counts["running"]:
        print(
            f"the page lacks {elsewhere} of these trials, which another process is running: ablate report when they end"
        )
    if told := lacking(plan.loaded.study.metric, finished_numbers(results, plan.distinct)):
        print(f"warning: {told}")
    finished.raise_failures()
