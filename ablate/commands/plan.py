"""`ablate plan`: what a run would train, and what it would cost."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands import options
from ablate.commands.options import plan_options, reports_in, results_in

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.run.plan import Plan
    from ablate.workflow.suite import PlannedSuite

_LISTED = 10
Scripts = Annotated[
    str | None, typer.Option("--on", metavar="NAME", help="Print the job scripts for this cluster of ablate.toml.")
]


def plan(
    study: options.StudyOrSuite,
    profile: options.Profile = "embedded",
    only: options.Only = [],
    set: options.Setting = [],
    seeds: options.Seeds = None,
    budget: options.Budget = None,
    assume: options.Assume = None,
    whole: Annotated[bool, typer.Option("--all", help="List finished trials too.")] = False,
    on: Scripts = None,
    json: options.Json = False,
    results: options.ResultsFolder = Path("results"),
) -> None:
    """Show what `ablate run` would train with these options, and the cost."""
    from ablate.commands.output import print_json
    from ablate.records.plain import console
    from ablate.run.plan_text import as_json
    from ablate.workflow.budget import check_total_budget
    from ablate.workflow.overview import suite_named
    from ablate.workflow.run import plan_study
    from ablate.workflow.suite import plan_suite
    from ablate.workflow.tuning import plan_comparison

    asked = plan_options(profile, only, set, seeds, assume)
    make = partial(plan_study, options=asked, results=results_in(results))
    if suite := suite_named(study):
        _show_suite(plan_suite(suite, make), json, budget, on)
        return
    planned = make(study)
    second = plan_comparison(planned, asked, results_in(results)) if planned.loaded.tuning else None
    scripts = _scripts(planned, on, results) if on else {}
    if json:
        more = ({"then": as_json(second)} if second else {}) | ({"scripts": scripts} if on else {})
        print_json(as_json(planned) | more)
    else:
        print_plan(planned, console(), whole)
        print_second(second, console())
        for path, script in scripts.items():
            print(f"\n==> {path} <==\n{script}", end="")
    check_total_budget([planned, second] if second else [planned], budget)


def print_plan(plan: "Plan", terminal: "Console", whole: bool = False) -> None:
    """Print states, what is shared, the cost, and the trials: the first ones to run, or all of them if `whole`."""
    from ablate.commands.output import Column, facts_table, make_table
    from ablate.run.plan import headline
    from ablate.run.plan_text import facts

    terminal.print(headline(plan), soft_wrap=True)
    terminal.print(facts_table(facts(plan)))
    for warning in plan.warnings:
        terminal.print(str(warning), soft_wrap=True)
    trials = list(plan.distinct.values() if whole else plan.to_run)
    if not trials:
        return
    shown = trials if whole else trials[:_LISTED]
    called = plan.expansion.naming is not None
    rows = [
        [
            trial.key[:12],
            plan.states[trial.key],
            *([plan.expansion.title_of(trial.cell)] if called else []),
            trial.label,
        ]
        for trial in shown
    ]
    columns = [Column("key"), Column("state"), *([Column("cell")] if called else []), Column("trial", least=20)]
    terminal.print()
    terminal.print(make_table(columns, rows, terminal.width))
    if len(shown) < len(trials):
        terminal.print(f"... and {len(trials) - len(shown)} more: --all lists every trial")


def print_second(plan: "Plan | None", terminal: "Console") -> None:
    """Print what follows a first stage of `[tune]`, if it is one: the comparison, with the first values until then."""
    if plan is None:
        return
    from ablate.commands.output import facts_table
    from ablate.run.plan import headline
    from ablate.run.plan_text import facts

    terminal.print("\nthen the comparison, with what each cell chooses (states and cost assume the first values):")
    terminal.print(headline(plan), soft_wrap=True)
    terminal.print(facts_table(facts(plan)))


def _scripts(plan: "Plan", cluster: str, results: Path) -> dict[str, str]:
    """The scripts of the jobs that `ablate run --on` would submit, by path."""
    from ablate.run.cluster_file import find_cluster
    from ablate.run.options import RunOptions
    from ablate.run.slurm.submit import preview

    options = RunOptions(cluster=find_cluster(cluster, Path.cwd()), reports=reports_in(None, results))
    return {str(path): script for path, script in preview(plan, results_in(results), options).items()}


def _show_suite(planned: "PlannedSuite", as_json: bool, budget: str | None, on: str | None) -> None:
    """Print a line for each study and a total. Raises UserError at the end if some cannot be planned."""
    from ablate.commands.output import print_json
    from ablate.errors import UserError

    if on:
        raise UserError("--on prints the scripts of one study", help="plan the suite's studies one by one")
    if as_json:
        print_json(planned.as_dict())
    else:
        _print_suite(planned)
    if planned.left_out:
        raise UserError(*planned.problems)
    planned.check_budget(budget)


def _print_suite(planned: "PlannedSuite") -> None:
    from ablate.commands.output import Column, print_table
    from ablate.workflow.budget import cost_in_words, cost_of_one

    rows = [
        [name, plan.profile, len(plan.distinct), plan.counts["done"], len(plan.to_run), cost_of_one(plan)]
        for name, plan in planned.plans.items()
    ]
    total = planned.total
    cost = cost_in_words(total.hours, total.assumed_hours, total.unknown)
    rows.append(["total", "", total.trials, total.done, total.to_run, cost])
    columns = [Column(name, right=True) for name in ("trials", "done", "to run")]
    print_table([Column("study", least=12), Column("profile", rank=1), *columns, Column("cost", least=16)], rows)
    for note in planned.notes:
        print(note, file=sys.stdout if sys.stdout.isatty() else sys.stderr)  # a pipe gets rows only
