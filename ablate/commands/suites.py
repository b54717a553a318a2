"""What `ablate plan`, `run`, `report` and `status` do with a suite: the same for each of its studies, and a sum."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ablate.errors import AblateError, Problem
    from ablate.run.command import FinishedRun
    from ablate.run.plan import Plan
    from ablate.run.suite import PlannedSuite
    from ablate.study.suite import LoadedSuite

MakePlan = Callable[[str], "Plan"]
"""Plans one study, by its file, with the options of the command."""


def suite_of(name: str, recorded: bool = False) -> "LoadedSuite | None":
    """The suite of that name or file, None where it is a study. Raises UserError for mistakes in the suite.

    recorded: a study without a file, which has records only, is meant too.
    """
    from ablate.errors import UserError
    from ablate.study.suite import check_no_suite_is_meant, find_suite, load_suite

    path = find_suite(name)
    if path is None:
        if not recorded:
            check_no_suite_is_meant(name)
        return None
    loaded = load_suite(path)
    if loaded.problems:
        raise UserError(*loaded.problems)
    return loaded


def check_is_no_suite(name: str) -> None:
    """Raise UserError for a suite, by its name or file, where a command takes one study."""
    from ablate.errors import UserError
    from ablate.study.suite import find_suite, load_suite

    if path := find_suite(name):
        studies = ", ".join(load_suite(path).studies)
        raise UserError(f"'{name}' is a suite: this command takes one study", help=f"its studies are: {studies}")


def show_suite(suite: "LoadedSuite", make: MakePlan, as_json: bool, budget: str | None) -> None:
    """Print a line for each study and their sum. Raises UserError at the end where some cannot be planned."""
    from ablate.commands.output import print_json, print_table
    from ablate.errors import UserError
    from ablate.records.table import Column
    from ablate.run.suite import check_suite_budget, cost_in_words, cost_of_one, notes, plan_suite, suite_json, summed

    planned = plan_suite(suite, make)
    if as_json:
        print_json(suite_json(planned))
    else:
        rows = [
            [name, plan.profile, len(plan.distinct), plan.counts["done"], len(plan.to_run), cost_of_one(plan)]
            for name, plan in planned.plans.items()
        ]
        found = summed(planned)
        cost = cost_in_words(found.hours, found.assumed_hours, found.unknown)
        rows.append(["total", "", found.trials, found.done, found.to_run, cost])
        columns = [Column(name, right=True) for name in ("trials", "done", "to run")]
        print_table([Column("study", least=12), Column("profile", rank=1), *columns, Column("cost", least=16)], rows)
        for note in notes(planned, found):
            print(note)
    if planned.left_out:
        raise UserError(*_problems(planned))
    if budget is not None:
        check_suite_budget(planned, budget)


def run_suite(
    suite: "LoadedSuite",
    make: MakePlan,
    train: "Callable[[Plan], FinishedRun]",
    finish: "Callable[[FinishedRun], None]",
    budget: str | None,
    stop_at_first_failure: bool,
) -> None:
    """Run each study after the other; what fails, or cannot run, is told, and does not stop the rest.

    train: runs a plan. finish: writes its page and raises TrialsFailed. Raises TrialsFailed where trials failed,
    UserError where studies were left out.
    """
    from ablate.errors import AblateError, TrialsFailed, UserError
    from ablate.run.suite import check_suite_budget, plan_suite

    planned = plan_suite(suite, make)
    for name, error in planned.left_out.items():
        print(f"{name} is left out:\n{error}\n", file=sys.stderr)
    if not planned.plans:
        raise UserError(f"no study of the suite '{suite.suite.name}' can run", help="see above")
    if budget is not None:
        check_suite_budget(planned, budget)
    wrong: dict[str, AblateError] = dict(planned.left_out)
    for number, name in enumerate(planned.plans, 1):
        print(f"\n{name} ({number} of {len(planned.plans)})", flush=True)
        try:
            finish(train(make(suite.studies[name])))  # planned again: a study before it may have run its trials
        except AblateError as error:
            print(error, file=sys.stderr, flush=True)
            wrong[name] = error
            if stop_at_first_failure and isinstance(error, TrialsFailed):
                break
    _raise_wrong(suite.suite.name, wrong)


def _raise_wrong(suite: str, wrong: "dict[str, AblateError]") -> None:
    from ablate.errors import TrialsFailed, UserError

    failed = [name for name, error in wrong.items() if isinstance(error, TrialsFailed)]
    others = [name for name in wrong if name not in failed]
    told = [f"trials failed in {', '.join(failed)}"] if failed else []
    told += [f"{', '.join(others)} did not run"] if others else []
    message = f"suite {suite}: {'; '.join(told)}; why stands above"
    if failed:
        raise TrialsFailed(f"error: {message}")
    if others:
        raise UserError(message)


def _problems(planned: "PlannedSuite") -> "list[Problem]":
    from dataclasses import replace

    return [
        replace(problem, message=f"{name}: {problem.message}")
        for name, error in planned.left_out.items()
        for problem in error.problems
    ]
