"""A plan for people and for programs: what `ablate plan` prints."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ablate.records.table import Column, make_table
from ablate.run.execute import default_workers
from ablate.run.plan import STATES, Plan, headline, unit
from ablate.study.trial import Trial

_LISTED = 10


def print_plan(plan: Plan, console: Console, whole: bool = False) -> None:
    """Print what a run would do: states, what is shared, cost, the trials themselves (all of them if `whole`)."""
    console.print(headline(plan), soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, told in _facts(plan):
        table.add_row(name, Text(told))
    console.print(table)
    for warning in plan.warnings:
        console.print(str(warning), soft_wrap=True)
    trials = plan.distinct.values() if whole else plan.to_run
    if trials:
        _print_trials(plan, list(trials), console, whole)


def _print_trials(plan: Plan, trials: list[Trial], console: Console, whole: bool) -> None:
    columns = [Column("key"), Column("state"), Column("trial", least=20)]
    shown = trials if whole else trials[:_LISTED]
    rows = [[trial.key[:12], plan.states[trial.key], trial.label] for trial in shown]
    console.print()
    console.print(make_table(columns, rows, console.width))
    if not whole and len(trials) > _LISTED:
        console.print(f"... and {len(trials) - _LISTED} more: --all lists every trial")


def _facts(plan: Plan) -> list[tuple[str, str]]:
    to_run, expansion, cost = plan.to_run, plan.expansion, plan.cost
    facts: list[tuple[str, str]] = []
    if plan.stale:
        whys = list(dict.fromkeys(stale.why for stale in plan.stale.values()))
        more = f"; and {len(whys) - 3} other reasons" if len(whys) > 3 else ""
        facts.append(("stale", "; ".join(whys[:3]) + more))
    if plan.causes:
        facts.append(("failed", _failed(plan)))
    if plan.shared:
        facts.append(("shared", ", ".join(f"{count} with {name}" for name, count in plan.shared.items())))
    pretrainings = len({trial.pretrain_key for trial in to_run})
    if pretrainings < len(to_run):
        facts.append(("pretrainings", f"{pretrainings} for {len(to_run)} trials"))
    resources = expansion.resources.model_dump(exclude_unset=True)
    if resources:
        facts.append(("resources", ", ".join(f"{name} {value}" for name, value in resources.items())))
    if to_run:
        facts += _cost(plan)
        if cost.disk_bytes is not None:
            facts.append(("disk", size(cost.disk_bytes)))
    return facts


def _failed(plan: Plan) -> str:
    """Causes with how often each was one, and where to read more."""
    causes = Counter(plan.causes.values()).most_common()
    key = next(key for key, cause in plan.causes.items() if cause == causes[0][0])
    return f"{', '.join(f'{count} x {cause}' for cause, count in causes)}; see ablate why {key[:12]}"


def _cost(plan: Plan) -> list[tuple[str, str]]:
    """The cost in words, and what it means in time on this machine."""
    told = [*_measured(plan), *_assumed(plan)]
    unknown = "unknown: no trial like these has run here. To measure it, run one with --only"
    if plan.expansion.resources.gpus_per_node:
        unknown += "; --assume 2600 tells GPU-hours at so many images a second"
    return told or [("cost", unknown)]


def _measured(plan: Plan) -> list[tuple[str, str]]:
    cost = plan.cost
    if cost.hours is None or cost.low is None or cost.high is None:
        return []
    hours = [f"{value * plan.units:.2g}" for value in (cost.hours, cost.low, cost.high)]
    drawn = f"from {cost.samples} done trial{'' if cost.samples == 1 else 's'} on {', '.join(cost.devices)}"
    missing = f"; without {cost.unknown} trials that no done one is like" if cost.unknown else ""
    told = [("cost", f"{hours[0]} {unit(plan)} ({hours[1]} to {hours[2]}), {drawn}{missing}")]
    if not plan.expansion.resources.gpus_per_node:
        workers = workers_here(plan, plan.to_run)
        told.append(("time", f"about {duration(cost.hours / workers)} here, {workers} at once"))
    if cost.largest is not None and cost.largest_hours is not None:
        told.append(("largest", f"{cost.largest.label}: {duration(cost.largest_hours)}"))
    return told


def workers_here(plan: Plan, trials: Iterable[Trial]) -> int:
    """How many of these trials of a plan run at once here: those with one pretraining do not."""
    threads = plan.expansion.resources.cpus_per_task or 1
    return max(1, min(default_workers("auto", threads), len({trial.pretrain_key for trial in trials})))


def _assumed(plan: Plan) -> list[tuple[str, str]]:
    """What an assumption says of the trials that no done one is like."""
    cost = plan.cost
    if plan.assumption is None or not cost.unknown:
        return []
    left = cost.unknown - cost.assumed
    missing = f"; without {left} trials of networks or data sets that nothing is known of" if left else ""
    words = plan.assumption.told([trial.config for trial in plan.to_run])
    told = [("assumed", f"{gpu_hours(cost.assumed_hours)} for {cost.assumed} trials{missing}"), ("", words)]
    if cost.assumed_largest is not None:
        trial, hours = cost.assumed_largest
        told.insert(1, ("largest", f"{trial.label}: {gpu_hours(hours)}"))
    return told


def gpu_hours(hours: float) -> str:
    """`1,230 GPU-hours`, `0.31 GPU-hours`: to three digits, which is more than is known."""
    return f"{round(hours, -1) if hours >= 1000 else float(f'{hours:.3g}'):,g} GPU-hours"


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain values."""
    cost = plan.cost
    return {
        "study": plan.loaded.study.name,
        "profile": plan.profile,
        "design": plan.expansion.design,
        "counts": {state: plan.counts[state] for state in STATES},
        "to_run": [trial.key for trial in plan.to_run],
        "trials": [
            {
                "key": trial.key,
                "label": trial.label,
                "axes": trial.axes,
                "case": trial.case,
                "seed": trial.seed,
                "state": plan.states[trial.key],
                "why": plan.stale[trial.key].why if trial.key in plan.stale else None,
                "cause": plan.causes.get(trial.key),
                "pretrain_key": trial.pretrain_key,
            }
            for trial in plan.expansion.trials
        ],
        "shared": plan.shared,
        "pretrainings": len({trial.pretrain_key for trial in plan.to_run}),
        "resources": plan.expansion.resources.model_dump(),
        "cost": {
            "unit": unit(plan),
            "hours": cost.hours and cost.hours * plan.units,
            "low": cost.low and cost.low * plan.units,
            "high": cost.high and cost.high * plan.units,
            "samples": cost.samples,
            "devices": cost.devices,
            "unknown": cost.unknown,
            "disk_bytes": cost.disk_bytes,
        },
        "assumed": assumed_json(plan),
        "largest": cost.largest and {"key": cost.largest.key, "label": cost.largest.label, "hours": cost.largest_hours},
        "warnings": [warning.message for warning in plan.warnings],
    }


def assumed_json(plan: Plan) -> dict[str, Any] | None:
    """What is assumed of the trials that no done one is like, and what follows; None where nothing is."""
    if plan.assumption is None:
        return None
    return {
        "images_per_second": plan.assumption.images_per_second,
        "trials": plan.cost.assumed,
        "gpu_hours": plan.cost.assumed_hours,
        "words": plan.assumption.told([trial.config for trial in plan.to_run]),
    }


def print_json(plan: Plan) -> None:
    """Print the plan as JSON."""
    print(json.dumps(as_json(plan), indent=2))


def duration(hours: float) -> str:
    """`14 s`, `6 min`, `2.5 h`, `3 days`."""
    seconds = hours * 3600
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def size(count: int) -> str:
    """`3.2 MB`."""
    value, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"
