"""`ablate run` and `ablate retry`: plan, train what is missing, say what happened."""

import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ablate.errors import TrialsFailed, UserError
from ablate.records.files import Results
from ablate.run.execute import check_device, execute
from ablate.run.plan import GPU_HOURS, Plan, headline, record_plan, unit
from ablate.run.pool import Outcome
from ablate.study.schema import hours
from ablate.study.trainers import source_of

if TYPE_CHECKING:
    from ablate.run.slurm.clusters import Cluster

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""


@dataclass(frozen=True)
class How:
    """How trials are executed: nothing of it is part of their identity."""

    workers: int | None = None
    device: str = "auto"
    inline: bool = False
    stop_at_first_failure: bool = False
    on: "Cluster | None" = None
    """A cluster to train on, instead of this machine."""
    wait: bool = False
    """Whether to stay until the cluster has trained everything."""
    reports: Path | None = None
    """Where a cluster's last job writes the page."""


def run_plan(plan: Plan, results: Results, how: How, console: Console | None = None) -> "FinishedRun":
    """Train what a plan says; on Ctrl-C KeyboardInterrupt goes on, with everything resumable."""
    console = console or Console(highlight=False, markup=False)
    if how.on is None:
        check_device(how.device)
    record_plan(plan, results, sys.argv)
    console.print(headline(plan), soft_wrap=True)
    for warning in plan.warnings:
        console.print(str(warning), soft_wrap=True)
    outcomes: dict[str, Outcome] = {}
    own = source_of(plan.expansion.trainer.name)
    extra_code = [own] if own else []
    if how.on is not None:
        return _on_cluster(plan, results, how, how.on, console, extra_code)
    if plan.to_run:
        outcomes = execute(
            plan.to_run,
            results,
            console,
            how.workers,
            how.device,
            how.inline,
            extra_code=extra_code,
            stop_at_first_failure=how.stop_at_first_failure,
            threads=plan.expansion.resources.cpus_per_task or 1,
        )
    return FinishedRun(plan, outcomes, results)


def _on_cluster(
    plan: Plan, results: Results, how: How, cluster: "Cluster", console: Console, extra_code: list[Path]
) -> "FinishedRun":
    """Submit a plan, and wait for its end where that is asked for."""
    from ablate.run.slurm.dispatch import submit_plan, wait

    submission = submit_plan(plan, results, cluster, how.device, how.reports, extra_code, follows=not how.wait)
    if submission is None:
        return FinishedRun(plan, {}, results, detached=bool(plan.counts["queued"] or plan.to_run))
    console.print(submission.told, soft_wrap=True)
    if how.wait:
        return FinishedRun(plan, wait(plan, results, submission, console), results)
    return FinishedRun(plan, {key: {"state": "queued"} for key in submission.keys}, results, detached=True)


@dataclass(frozen=True)
class FinishedRun:
    """A run that came to its end, with or without failures; or that was left to a cluster."""

    plan: Plan
    outcomes: dict[str, Outcome]
    """How each trial of this run ended, by key."""
    results: Results
    detached: bool = False
    """Whether a cluster goes on with it."""

    @property
    def hours(self) -> float:
        """What the trials of this run took, in hours of their workers, or of their GPUs."""
        done = [self.results.trial(key).result for key, outcome in self.outcomes.items() if outcome["state"] == "done"]
        seconds = sum(float(json.loads(path.read_text(encoding="utf-8")).get("seconds", 0)) for path in done)
        return seconds / 3600 * self.plan.units

    def raise_failures(self) -> None:
        """Raise TrialsFailed, with causes and logs, when trials failed."""
        failed = {key: outcome for key, outcome in self.outcomes.items() if outcome["state"] == "failed"}
        if not failed:
            return
        labels = {trial.key: trial.label for trial in self.plan.expansion.trials}
        lines = [f"error: {len(failed)} of {len(self.outcomes)} trials failed"]
        reasons = {key: (outcome["cause"], outcome["message"]) for key, outcome in failed.items()}
        for reason, count in Counter(reasons.values()).most_common(5):
            first = next(key for key in failed if reasons[key] == reason)
            lines.append(f"  {count} x {reason[0]}: {reason[1].partition(chr(10))[0]}\n      first: {labels[first]}")
            if attempt := failed[first].get("attempt"):
                log = self.results.trial(first).attempts / attempt / "stderr"
                lines.append(f"      log: {log}; more: ablate why {first[:12]}")
        raise TrialsFailed("\n".join(lines))


def check_budget(plan: Plan, budget: str) -> None:
    """Raise UserError where a plan would cost more than so many hours, or nobody can say what it costs."""
    cost = plan.cost
    hours = {unit(plan): (cost.high * plan.units, cost.hours * plan.units)} if cost.high and cost.hours else {}
    check_hours(budget, len(plan.to_run), cost.unknown - cost.assumed, hours, cost.assumed_hours)


def check_hours(
    budget: str, trials: int, unknown: int, measured: Mapping[str, tuple[float, float]], assumed: float = 0.0
) -> None:
    """Raise UserError where trials would cost more than a budget: of one unit, for hours of two are no sum.

    measured: unit -> hours at the most, and at the median speed. assumed: GPU-hours.
    """
    try:
        allowed = hours(budget)
    except ValueError as error:
        raise UserError(f"--budget {budget}: {error}", help="for example --budget 200h") from error
    if not trials:
        return
    if unknown:
        told = f"--budget {budget}: the cost is not known of {unknown} of {trials} trials"
        raise UserError(told, help="run one of them first, with --only, so that there is a measured one")
    on_gpus = measured.get(GPU_HOURS, (0.0, 0.0))
    cost = {**measured, GPU_HOURS: (on_gpus[0] + assumed, on_gpus[1] + assumed)}
    for name, (high, likely) in cost.items():
        if high > allowed:
            told = f"--budget {budget}: the run may take {high:.3g} {name} ({likely:.3g} at the median speed)"
            raise UserError(told, help="give more, or run fewer cells (--only) or seeds (--seeds); nothing was started")


def parse_only(options: Iterable[str]) -> dict[str, list[str]]:
    """["first=crop,color"] -> {"first": ["crop", "color"]}; several options for one axis add up."""
    chosen: dict[str, list[str]] = {}
    for option in options:
        name, equals, values = option.partition("=")
        if not equals or not values:
            raise UserError(f"--only {option}: expected AXIS=VALUE,VALUE", help="for example --only first=crop,color")
        chosen.setdefault(name.strip(), []).extend(value.strip() for value in values.split(","))
    return chosen


def parse_settings(options: Iterable[str]) -> dict[str, Any]:
    """["loss.temperature=0.5"] -> {"loss.temperature": 0.5}; a value is TOML, or text where it is not."""
    settings: dict[str, Any] = {}
    for option in options:
        path, equals, value = option.partition("=")
        if not equals or not all(path.strip().split(".")):
            raise UserError(f"--set {option}: expected KEY=VALUE", help="for example --set loss.temperature=0.5")
        try:
            settings[path.strip()] = tomllib.loads(f"value = {value}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError, ValueError):
            settings[path.strip()] = value
    return settings
