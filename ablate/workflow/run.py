"""Running a study, here or on a cluster: plan it, train what is missing, retry what failed, cancel."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ablate.errors import TrialsFailed, UserError, visible
from ablate.records.plain import plural

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.records.files import Results
    from ablate.run.causes import Outcome
    from ablate.run.options import PlanOptions, RunOptions
    from ablate.run.plan import Plan
    from ablate.study.expansion.trial import Trial
    from ablate.study.schema.study import LoadedStudy

_LONGEST = 300
"""Characters of a message that are shown; ablate why shows more."""

RUNNING_ELSEWHERE = "running in another process"
_WORDS = {"running": RUNNING_ELSEWHERE, "queued": "in the queue of a cluster", "new": "not started"}


@dataclass(frozen=True)
class FinishedRun:
    """A run that has ended, with or without failures, or that a cluster continues."""

    plan: Plan
    outcomes: dict[str, Outcome]
    """Trial key -> how it ended in this run."""
    results: Results
    detached: bool = False
    """Whether a cluster continues the run."""

    @property
    def hours(self) -> float:
        """Worker-hours or GPU-hours that the trials of this run took."""
        from ablate.records.reading import result_if_any

        done = (self.results.trial(key).result for key, outcome in self.outcomes.items() if outcome["state"] == "done")
        return sum(each.seconds or 0.0 for each in map(result_if_any, done) if each) / 3600 * self.plan.units

    @property
    def failed(self) -> dict[str, Outcome]:
        """The outcomes of the trials that failed, by key."""
        return {key: outcome for key, outcome in self.outcomes.items() if outcome["state"] == "failed"}

    def missing(self) -> Counter[str]:
        """Why there is no result -> how many of the trials asked for; by their records now, without those that failed.

        Empty for a detached run, which was only asked to queue the trials.
        """
        from ablate.records.attempt import trial_status

        found: Counter[str] = Counter()
        for key in () if self.detached else self.plan.asked:
            status = trial_status(self.results.trial(key), time.time())
            if status.state != "done" and key not in self.failed:
                words = "queued" if self.plan.states[key] == "queued" else status.state
                found["cancelled" if status.cause == "cancelled" else _WORDS.get(words, words)] += 1
        return found

    def raise_failures(self) -> None:
        """Raise TrialsFailed, with causes and logs, if trials failed or, for whatever reason, have no value."""
        from ablate.records.metric import finished_without, without

        lines, study = self._failures() if self.failed else [], self.plan.loaded.study
        if missing := self.missing():
            why = ", ".join(f"{count} {reason}" for reason, count in missing.items())
            lines.append(f"{plural(missing.total(), 'trial')} without a result: {why}")
            lines.append(f"  help: ablate status {study.name} shows them; run the same command again to complete them")
        if found := finished_without(study.metric, self.results, () if self.detached else self.plan.asked):
            lines.append(without(study.metric, found.values()))
            lines.append(f"  help: ablate why {next(iter(found))[:12]} says what to do")
        if lines:
            raise TrialsFailed("error: " + "\n".join(lines))

    def _failures(self) -> list[str]:
        labels = {trial.key: trial.label for trial in self.plan.expansion.trials}
        lines = [f"{len(self.failed)} of {len(self.outcomes)} trials failed"]
        reasons = {key: (outcome["cause"], outcome["message"]) for key, outcome in self.failed.items()}
        for reason, count in Counter(reasons.values()).most_common(5):
            first = next(key for key in reasons if reasons[key] == reason)
            message = visible(reason[1].partition("\n")[0], _LONGEST)
            lines.append(f"  {count} x {reason[0]}: {message}\n      first: {labels.get(first, first[:12])}")
            if attempt := self.outcomes[first].get("attempt"):
                log = self.results.trial(first).attempts / attempt / "stderr"
                lines.append(f"      log: {visible(str(log))}; more: ablate why {first[:12]}")
        return lines


def plan_study(
    study: str | LoadedStudy, options: PlanOptions, results: Results, keep: Callable[[Trial], bool] | None = None
) -> Plan:
    """Plan a study, as `make_plan` does; of one with `[tune]`, the first stage until it has ended, then the second."""
    from ablate.study.load import load_study
    from ablate.workflow.tuning import plan_stage

    return plan_stage(load_study(study) if isinstance(study, str) else study, options, results, keep)


def run_study(study: str | LoadedStudy, options: PlanOptions, how: RunOptions, results: Results) -> FinishedRun:
    """Train every trial of a study that is not done. Raises UserError if that may exceed the budget."""
    from ablate.workflow.budget import check_budget

    plan = plan_after_tuning(study, options, how, results)
    if isinstance(plan, FinishedRun):
        return plan
    check_budget(plan, how.budget)
    return run_plan(plan, results, how)


def plan_after_tuning(
    study: str | LoadedStudy, options: PlanOptions, how: RunOptions, results: Results
) -> Plan | FinishedRun:
    """The plan of a study. With `[tune]`, train the first stage first; returns that run if the stage has not ended.

    Raises UserError if both stages together may exceed the budget.
    """
    from ablate.workflow.budget import check_total_budget
    from ablate.workflow.tuning import plan_comparison

    if not (first := plan_study(study, options, results)).loaded.tuning:
        return first
    check_total_budget([first, plan_comparison(first, options, results)], how.budget)
    finished = run_plan(first, results, how)
    if finished.detached:
        print("When tuning has ended, run the same command again: it submits the comparison.")
        return finished
    if (plan := plan_study(study, options, results)).loaded.tuning:
        return finished
    if finished.failed:
        print(f"tuning: {plural(len(finished.failed), 'trial')} diverged; a value that diverges counts as the worst")
    return plan


def retry_study(
    study: str | LoadedStudy, options: PlanOptions, how: RunOptions, results: Results
) -> FinishedRun | None:
    """Train again what failed or was interrupted, by default with the seeds of earlier runs; None if nothing did."""
    from ablate.run.history import seeds_run, to_retry_elsewhere
    from ablate.workflow.overview import check_is_study

    if isinstance(study, str):
        check_is_study(study)
    plan = plan_study(study, options, results)
    name = plan.loaded.study.name
    if options.seeds is None and not plan.loaded.tuning and (seeds := seeds_run(results, name, plan.profile)):
        plan = plan_study(study, replace(options, seeds=seeds), results)
    plan = plan.keep_states(("failed", "interrupted", "damaged"))
    if plan.to_run:
        return run_plan(plan, results, how)
    elsewhere = to_retry_elsewhere(results, name, plan.profile)
    print("\n".join([f"no failed or interrupted trials at the profile {plan.profile}", *elsewhere]))
    return None


def cancel_trials(results: Results, names: Sequence[str], where: str | None = None) -> dict[str, list[str]]:
    """Ask running trials to stop and waiting ones not to start; ends cluster jobs that have no other trial.

    names: studies and trials. where: a condition in SQL. Returns the keys that are `running`, `waiting` and `done`, and
    the `jobs` that were ended.
    """
    from ablate.records.address import selected
    from ablate.records.coordination import request_cancel
    from ablate.run.slurm.queue import cancel_jobs

    keys: dict[str, list[str]] = {"running": [], "waiting": [], "done": []}
    for key, state in selected(results, names, where).items():
        keys[state if state in ("running", "done") else "waiting"].append(key)
    for key in (*keys["running"], *keys["waiting"]):
        if results.trial(key).trial.exists():  # a cell that was never run has no record to write into
            request_cancel(results.trial(key))
    return {**keys, "jobs": cancel_jobs(results)}


def run_plan(plan: Plan, results: Results, how: RunOptions, console: Console | None = None) -> FinishedRun:
    """Train what a plan lists. Ctrl-C raises KeyboardInterrupt once everything can be resumed."""
    from ablate.records.files import check_folders
    from ablate.records.plain import console as standard_output
    from ablate.run.execute import train_in_pool, train_inline
    from ablate.run.machine import HAS_WORKERS, check_device
    from ablate.run.mirrors import mirrored, teller, trackers_of
    from ablate.run.plan import headline, record_plan
    from ablate.run.slurm.controller import controller_of
    from ablate.study.expansion.tune import name_of
    from ablate.trainer.find import sources_of
    from ablate.workflow.needed import ordered

    check_trains(plan.loaded)
    console, trackers = console or standard_output(), trackers_of(how)
    if how.cluster is None:
        check_device(how.device)
    check_folders(results, plan.loaded.study.name)
    record_plan(plan, results, sys.argv, controller_of(how.cluster).seen if how.cluster else str)
    console.print(headline(plan), soft_wrap=True)
    for warning in plan.warnings:
        console.print(str(warning), soft_wrap=True)
    study, metric = plan.loaded.study.name, plan.loaded.study.metric
    copies = mirrored(trackers, plan.to_run, results, study, teller(console), asked=name_of(plan.loaded))
    if how.cluster is not None:
        return _run_on_cluster(plan, results, how, console, copies)
    outcomes: dict[str, Outcome] = {}
    threads, trainer = plan.expansion.resources.cpus_per_task or 1, plan.expansion.trainer
    with copies:
        if plan.to_run and (how.inline or not HAS_WORKERS):
            if len(plan.to_run) > 1 and not trainer.shares_process:
                message = "these trials share this process, so a trial may see what an earlier one changed in it"
                console.print(f"--inline: {message}", soft_wrap=True)
            outcomes = train_inline(ordered(plan, results), results, console, how, threads, metric)
        elif plan.to_run:
            own_code, fresh = sources_of(trainer.name), not trainer.shares_process
            trials = ordered(plan, results)
            outcomes = train_in_pool(trials, results, console, how, threads, own_code, trainer.files, fresh, metric)
    return FinishedRun(plan, outcomes, results)


def check_trains(loaded: LoadedStudy) -> None:
    """Raise UserError for a study whose runs were imported: it has no trainer."""
    from ablate.trainer.find import IMPORTED

    if loaded.study.trainer == IMPORTED:
        name, location = loaded.study.name, loaded.source.locate(("trainer",))
        message = f"'{name}' has imported runs and no trainer, so nothing can be trained"
        help = f"import more runs with `ablate import`, see them with `ablate report {name}`, or name a trainer"
        raise UserError(message, location=location, help=help)


def _run_on_cluster(
    plan: Plan, results: Results, how: RunOptions, console: Console, copies: AbstractContextManager[None]
) -> FinishedRun:
    """Submit a plan, and wait for its end if asked to. copies: what mirrors rows meanwhile."""
    from ablate.run.mirrors import trackers_of
    from ablate.run.slurm.submit import submit_plan
    from ablate.run.slurm.waiting import wait
    from ablate.study.expansion.tune import name_of
    from ablate.workflow.follow import follow_submission

    submission = submit_plan(plan, results, how)
    if submission is None:
        return FinishedRun(plan, {}, results, detached=bool(plan.counts["queued"] or plan.to_run))
    console.print(submission.summary, soft_wrap=True)
    if how.wait:
        reports = how.reports or results.root.absolute().parent / "reports"
        with copies:
            outcomes = wait(plan, results, submission, console, lambda id: follow_submission(results, id, reports))
        return FinishedRun(plan, outcomes, results)
    for name in trackers_of(how):
        command = f"ablate mirror {name_of(plan.loaded)} --to {name} --watch"
        console.print(f"mirror {name}: `{command}` copies rows while the cluster trains")
    return FinishedRun(plan, {key: {"state": "queued"} for key in submission.keys}, results, detached=True)
