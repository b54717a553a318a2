"""`ablate run`: plan, train what is missing, say what happened."""

import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from ablate.errors import TrialsFailed, UserError
from ablate.records.files import Results
from ablate.run.execute import check_device, execute
from ablate.run.plan import Plan, make_plan, record_plan
from ablate.run.pool import Outcome

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""


def run_study(
    study: str,
    profile: str,
    only: Iterable[str],
    settings: Iterable[str],
    seeds: int | None,
    workers: int | None,
    device: str,
    inline: bool,
    results: Results,
) -> "FinishedRun":
    """Run a study as the command line asks; on Ctrl-C the process ends with exit code 130."""
    check_device(device)
    console = Console(highlight=False, markup=False)
    chosen = parse_only(only)
    overrides = parse_settings(settings)
    plan = make_plan(study, profile, results, overrides, range(seeds) if seeds else None, chosen)
    record_plan(plan, results, sys.argv)
    console.print(_headline(plan), soft_wrap=True)
    outcomes: dict[str, Outcome] = {}
    if plan.to_run:
        try:
            outcomes = execute(plan.to_run, results, console, workers, device, inline)
        except KeyboardInterrupt:
            console.print("Interrupted. What is done stays done; the same command goes on from here.", soft_wrap=True)
            sys.exit(INTERRUPTED)
    return FinishedRun(plan, outcomes, results)


@dataclass(frozen=True)
class FinishedRun:
    """A run that came to its end, with or without failures."""

    plan: Plan
    outcomes: dict[str, Outcome]
    """How each trial of this run ended, by key."""
    results: Results

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
            log = self.results.trial(first).attempt_folders()[-1]
            lines.append(f"  {count} x {reason[0]}: {reason[1]}\n      first: {labels[first]}\n      log: {log}/stderr")
        raise TrialsFailed("\n".join(lines))


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
        if not equals or not path:
            raise UserError(f"--set {option}: expected KEY=VALUE", help="for example --set loss.temperature=0.5")
        try:
            settings[path.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[path.strip()] = value
    return settings


def _headline(plan: Plan) -> str:
    counts = plan.counts
    cells = len({(tuple(trial.axes.values()), trial.case) for trial in plan.expansion.trials})
    seeds = len({trial.seed for trial in plan.expansion.trials})
    total = f"{len(plan.expansion.trials)} trials ({_plural(cells, 'cell')}, {_plural(seeds, 'seed')})"
    states = ", ".join(
        f"{counts[state]} {state}" for state in ("done", "running", "failed", "interrupted", "new") if counts[state]
    )
    todo = f"training {len(plan.to_run)}" if plan.to_run else "nothing to train"
    images = plan.expansion.trials[0].config.data.images
    return f"{plan.loaded.study.title} [{plan.profile}, {images}]: {total}; {states}; {todo}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
