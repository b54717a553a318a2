"""A plan in words and as plain values: what `ablate plan` prints."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ablate.records.plain import duration, plural, size
from ablate.run.machine import default_workers
from ablate.run.order import IN_WORDS
from ablate.run.plan import STATES, Plan, unit
from ablate.run.speeds import assumptions_text
from ablate.study.cells.cell import axis_text
from ablate.study.expansion.trial import Trial

_MOST_CHOICES = 8


def facts(plan: Plan) -> list[tuple[str, str]]:
    """What a run would do, as (what, text): what is stale, failed or shared, the resources, the cost."""
    to_run, cost = plan.to_run, plan.cost
    found: list[tuple[str, str]] = []
    if plan.expansion.sample:
        found.append(("design", plan.expansion.sample))
    found += [("chosen", "; ".join(_choices(plan)))] if plan.loaded.choices else []
    if plan.stale:
        reasons = list(dict.fromkeys(stale.why for stale in plan.stale.values()))
        more = f"; and {len(reasons) - 3} other reasons" if len(reasons) > 3 else ""
        found.append(("stale", "; ".join(reasons[:3]) + more))
    if plan.causes:
        found.append(("failed", _failed(plan)))
    if plan.shared:
        found.append(("shared", ", ".join(f"{count} with {name}" for name, count in plan.shared.items())))
    pretrainings = len({trial.pretrain_key for trial in to_run})
    if pretrainings < len(to_run):
        found.append(("pretrainings", f"{pretrainings} for {len(to_run)} trials"))
    if len({trial.seed for trial in to_run}) > 1 and len({trial.cell for trial in to_run}) > 1:
        found.append(("order", IN_WORDS))
    found += _resources(plan)
    if to_run:
        found += _cost(plan)
        if cost.disk_bytes is not None:
            found.append(("disk", size(cost.disk_bytes)))
    return found


def _resources(plan: Plan) -> Iterator[tuple[str, str]]:
    """What the trials need, and what those of some cells need instead."""
    resources = plan.expansion.resources
    if given := resources.model_dump(exclude_unset=True, exclude={"when"}):
        yield "resources", ", ".join(f"{name} {value}" for name, value in given.items())
    for each in resources.when:
        given = each.model_dump(exclude_none=True, exclude={"condition"})
        yield f"if {each.condition}", ", ".join(f"{name} {value}" for name, value in given.items())


def _choices(plan: Plan) -> list[str]:
    """`loss=margin: learning_rate 0.3`, for the first cells."""
    each = [
        f"{choice.cell.label}: {', '.join(f'{name} {axis_text(value)}' for name, value in choice.values.items())}"
        for choice in plan.loaded.choices
    ]
    return each if len(each) <= _MOST_CHOICES else [*each[:_MOST_CHOICES], f"{len(each) - _MOST_CHOICES} more cells"]


def _failed(plan: Plan) -> str:
    """The causes with their counts, and where to read more."""
    causes = Counter(plan.causes.values()).most_common()
    key = next(key for key, cause in plan.causes.items() if cause == causes[0][0])
    return f"{', '.join(f'{count} x {cause}' for cause, count in causes)}; see ablate why {key[:12]}"


def _cost(plan: Plan) -> list[tuple[str, str]]:
    """The cost in words, and the time that it means on this machine."""
    unknown = "unknown: no similar trial has run yet. To measure it, run one cell (--only)"
    if plan.expansion.resources.gpus_per_node:
        unknown += "; --assume 2600 estimates GPU-hours at 2,600 images per second"
    return [*_measured(plan), *_assumed(plan)] or [("cost", unknown)]


def _measured(plan: Plan) -> list[tuple[str, str]]:
    cost = plan.cost
    if cost.hours is None or cost.low is None or cost.high is None:
        return []
    middle, low, high = (f"{value * plan.units:.2g}" for value in (cost.hours, cost.low, cost.high))
    source = f"from {plural(cost.samples, 'done trial')} on {', '.join(cost.devices)}"
    missing = f", excluding {plural(cost.unknown, 'trial')} of unknown cost" if cost.unknown else ""
    found = [("cost", f"{middle} {unit(plan)} ({low} to {high}), {source}{missing}")]
    if not plan.expansion.resources.gpus_per_node:
        workers = workers_here(plan, plan.to_run)
        found.append(("time", f"about {duration(cost.hours / workers)} on this machine, {workers} at once"))
    if cost.largest is not None and cost.largest_hours is not None:
        found.append(("largest", f"{cost.largest.label}: {duration(cost.largest_hours)}"))
    return found


def _assumed(plan: Plan) -> list[tuple[str, str]]:
    """What an assumed speed gives for the trials without a measured cost."""
    cost = plan.cost
    if plan.assumption is None or not cost.unknown:
        return []
    left = cost.unknown - cost.assumed
    missing = f", excluding {plural(left, 'trial')} of unknown networks or data sets" if left else ""
    found = [("assumed", f"{gpu_hours(cost.assumed_hours)} for {plural(cost.assumed, 'trial')}{missing}")]
    if cost.assumed_largest is not None:
        trial, hours = cost.assumed_largest
        found.append(("largest", f"{trial.label}: {gpu_hours(hours)}"))
    return [
        *found,
        ("", assumptions_text([(plan.assumption, plan.expansion.trainer, [trial.config for trial in plan.to_run])])),
    ]


def workers_here(plan: Plan, trials: Iterable[Trial]) -> int:
    """How many of these trials run at once here: trials that share a pretraining do not."""
    threads = plan.expansion.resources.cpus_per_task or 1
    return max(1, min(default_workers("auto", threads), len({trial.pretrain_key for trial in trials})))


def gpu_hours(hours: float) -> str:
    """`1,230 GPU-hours`, `0.31 GPU-hours`: three digits are more than an estimate supports."""
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
                "axes": trial.cell.axes,
                "case": trial.cell.case,
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
        "resources": plan.expansion.resources.model_dump(by_alias=True),
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
    """The assumed speed and the cost that follows from it; None without an assumption."""
    if plan.assumption is None:
        return None
    return {
        "images_per_second": plan.assumption.images_per_second,
        "trials": plan.cost.assumed,
        "gpu_hours": plan.cost.assumed_hours,
        "words": assumptions_text([(plan.assumption, plan.expansion.trainer, [trial.config for trial in plan.to_run])]),
    }
