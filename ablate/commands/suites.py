"""What `ablate plan`, `run`, `report` and `status` do with a suite: the same for each of its studies, and a sum."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ablate.errors import Problem
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
            print(note, file=sys.stdout if sys.stdout.isatty() else sys.stderr)  # a pipe gets rows only
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
    UserError where studies were left out, AblateError where pages were not written.
    """
    from ablate.errors import TrialsFailed, UserError
    from ablate.run.suite import check_suite_budget, plan_suite

    planned = plan_suite(suite, make)
    for name, error in planned.left_out.items():
        print(f"{name} is left out:\n{error}\n", file=sys.stderr)
    if not planned.plans:
        raise UserError(f"no study of the suite '{suite.suite.name}' can run", help="see above")
    if budget is not None:
        check_suite_budget(planned, budget)
    wrong = Wrong([], list(planned.left_out), [])
    for number, name in enumerate(planned.plans, 1):
        print(f"\n{name} ({number} of {len(planned.plans)})", flush=True)
        among = wrong.not_run
        try:
            finished = train(make(suite.studies[name]))  # planned again: a study before it may have run its trials
            among = wrong.no_page
            finish(finished)
        except TrialsFailed as error:
            _tell(error)
            wrong.failed.append(name)
            if stop_at_first_failure:
                break
        except Exception as error:  # a mistake of ours in one page is no reason to leave the next study untrained
            _tell(error)
            among.append(name)
    wrong.tell(suite.suite.name)


def _tell(error: Exception) -> None:
    import traceback

    from ablate.errors import AblateError

    if isinstance(error, OSError):
        print(f"error: {error.strerror or error}: {error.filename or ''}".removesuffix(": "), file=sys.stderr)
    elif isinstance(error, AblateError):
        print(error, file=sys.stderr)
    else:
        traceback.print_exception(error)
    sys.stderr.flush()


@dataclass(frozen=True)
class Wrong:
    """What went wrong with the studies of a suite, by their names."""

    failed: list[str]
    """Trials of theirs failed."""
    not_run: list[str]
    no_page: list[str]
    """All trials are done, and the page could not be written."""

    def tell(self, suite: str) -> None:
        """Raise what the whole run ends with, if anything went wrong."""
        from ablate.errors import AblateError, TrialsFailed, UserError

        told = [f"trials failed in {', '.join(self.failed)}"] if self.failed else []
        told += [f"{', '.join(self.not_run)} did not run"] if self.not_run else []
        told += [f"no page could be written of {', '.join(self.no_page)}"] if self.no_page else []
        message = f"suite {suite}: {'; '.join(told)}; why stands above"
        if self.failed:
            raise TrialsFailed(f"error: {message}")
        if self.not_run:
            raise UserError(message)
        if self.no_page:
            raise AblateError(f"error: {message}")


def _problems(planned: "PlannedSuite") -> "list[Problem]":
    from dataclasses import replace

    return [
        replace(problem, message=f"{name}: {problem.message}")
        for name, error in planned.left_out.items()
        for problem in error.problems
    ]
