"""Suites: several studies planned together, and run one after another."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ablate.errors import AblateError, Problem, TrialsFailed, UserError
from ablate.workflow.pages import finish
from ablate.workflow.run import plan_study, run_study
from ablate.workflow.until_decided import run_until_decided

if TYPE_CHECKING:
    from ablate.records.files import Results
    from ablate.run.options import PlanOptions, RunOptions
    from ablate.run.plan import Plan
    from ablate.study.suite import LoadedSuite
    from ablate.workflow.budget import Total


MakePlan = Callable[[str], "Plan"]
"""Plans one study, by its file."""


@dataclass(frozen=True)
class PlannedSuite:
    """What a suite would run now."""

    loaded: LoadedSuite
    plans: dict[str, Plan]
    """By study, in the order in which they run."""
    left_out: dict[str, UserError]
    """Studies that cannot run, for example because their data are missing, and why."""

    @property
    def total(self) -> Total:
        """All studies together."""
        from ablate.workflow.budget import total_of

        return total_of(self.plans.values())

    @property
    def notes(self) -> list[str]:
        """Remarks on the total."""
        from ablate.workflow.budget import notes

        return notes(self.plans.values(), self.total)

    @property
    def problems(self) -> list[Problem]:
        """The problems of all studies that cannot run, each with the study's name."""
        return [
            replace(problem, message=f"{name}: {problem.message}")
            for name, error in self.left_out.items()
            for problem in error.problems
        ]

    def check_budget(self, budget: str | None) -> None:
        """Raise UserError if all studies together may cost more than a number of hours."""
        from ablate.workflow.budget import check_total_budget

        check_total_budget(self.plans.values(), budget)

    def as_dict(self) -> dict[str, Any]:
        """The plans and their total as plain values: what `ablate plan SUITE --json` prints."""
        total = self.total
        return {
            "suite": self.loaded.suite.name,
            "studies": [{"study": name, **_plain(plan)} for name, plan in self.plans.items()],
            "left_out": {name: str(error) for name, error in self.left_out.items()},
            "total": {
                "trials": total.trials,
                "done": total.done,
                "to_run": total.to_run,
                "hours": {name: spread[1] for name, spread in total.hours.items()},
                "assumed_gpu_hours": total.assumed_hours,
                "unknown": total.unknown,
            },
            "notes": self.notes,
        }


def _plain(plan: Plan) -> dict[str, Any]:
    from ablate.run.plan import unit
    from ablate.run.plan_text import assumed_json

    return {
        "profile": plan.profile,
        "trials": len(plan.distinct),
        "done": plan.counts["done"],
        "to_run": len(plan.to_run),
        "unit": unit(plan),
        "hours": plan.cost.hours and plan.cost.hours * plan.units,
        "assumed": assumed_json(plan),
        "unknown": plan.cost.unknown - plan.cost.assumed,
    }


def plan_suite(loaded: LoadedSuite, make: MakePlan) -> PlannedSuite:
    """Plan each study of a suite. Raises UserError for problems in the suite itself."""
    if loaded.problems:
        raise UserError(*loaded.problems)
    plans: dict[str, Plan] = {}
    left_out: dict[str, UserError] = {}
    for name, file in loaded.studies.items():
        try:
            plans[name] = make(file)
        except UserError as error:
            left_out[name] = error
    return PlannedSuite(loaded, plans, left_out)


def run_suite(loaded: LoadedSuite, options: PlanOptions, how: RunOptions, results: Results) -> None:
    """Run one study after another and write its page; a study that fails or cannot run does not stop the others.

    Raises TrialsFailed if trials failed, UserError if studies were left out, AblateError if a page was not written.
    """
    planned = plan_suite(loaded, partial(plan_study, options=options, results=results))
    for name, error in planned.left_out.items():
        print(f"skipping {name}:\n{error}\n", file=sys.stderr)
    if not planned.plans:
        raise UserError(f"no study of the suite '{loaded.suite.name}' can run", help="see above")
    planned.check_budget(how.budget)
    each = replace(how, budget=None)
    failures = _Failures(not_run=list(planned.left_out))
    for number, name in enumerate(planned.plans, 1):
        print(f"\n{name} ({number} of {len(planned.plans)})", flush=True)
        affected = failures.not_run
        try:
            finished = run_study(loaded.studies[name], options, each, results)
            affected = failures.no_page
            finish(finished, how.reports)
        except TrialsFailed as error:
            _print_error(error)
            failures.trials.append(name)
            if how.stop_at_first_failure:
                break
        except Exception as error:  # a bug in one page must not leave the next study untrained
            _print_error(error)
            affected.append(name)
    failures.raise_all(loaded.suite.name)


def run_named(name: str, options: PlanOptions, how: RunOptions, results: Results, until_decided: bool = False) -> None:
    """Run a study or a suite, by name or file, until all is trained or every claim is decided, and write the pages."""
    from ablate.workflow.overview import suite_named

    suite = suite_named(name)
    if until_decided and how.cluster is not None and not how.wait:
        message = "--until-decided needs the results of each round"
        raise UserError(message, help=f"add --wait to --on {how.cluster.name}")
    if suite and until_decided:
        raise UserError("--until-decided takes one study, not a suite", help=f"run the studies of {name} one by one")
    if suite:
        run_suite(suite, options, how, results)
        return
    finished = (run_until_decided if until_decided else run_study)(name, options, how, results)
    finish(finished, how.reports)


def _print_error(error: Exception) -> None:
    if isinstance(error, OSError):
        print(f"error: {error.strerror or error}: {error.filename or ''}".removesuffix(": "), file=sys.stderr)
    elif isinstance(error, AblateError):
        print(error, file=sys.stderr)
    else:
        traceback.print_exception(error)
    sys.stderr.flush()


@dataclass(frozen=True)
class _Failures:
    """What went wrong with the studies of a suite, by their names."""

    trials: list[str] = field(default_factory=list)
    """Studies with failed trials."""
    not_run: list[str] = field(default_factory=list)
    no_page: list[str] = field(default_factory=list)
    """All their trials are done, but the page could not be written."""

    def raise_all(self, suite: str) -> None:
        """Raise the error that the run of the suite ends with, if anything went wrong."""
        parts = [f"trials failed in {', '.join(self.trials)}"] if self.trials else []
        parts += [f"{', '.join(self.not_run)} did not run"] if self.not_run else []
        parts += [f"the pages of {', '.join(self.no_page)} could not be written"] if self.no_page else []
        message = f"suite {suite}: {'; '.join(parts)} (see above)"
        if self.trials:
            raise TrialsFailed(f"error: {message}")
        if self.not_run:
            raise UserError(message)
        if self.no_page:
            raise AblateError(f"error: {message}")
