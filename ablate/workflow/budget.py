"""Budgets: what one plan or several cost together, in words, and whether that is within a number of hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.errors import UserError
from ablate.records.plain import duration, plural
from ablate.run.plan import GPU_HOURS, Plan, unit

if TYPE_CHECKING:
    from ablate.run.cost import Spread


@dataclass(frozen=True)
class Total:
    """Several plans together: a trial of more than one of them counts once."""

    trials: int
    done: int
    to_run: int
    repeated: int
    """How many fewer trials this is than the sum of all plans."""
    hours: dict[str, Spread]
    """Unit -> hours, from measured trials."""
    assumed_hours: float
    """GPU-hours of the trials whose cost follows from an assumed speed."""
    unknown: int
    """Trials to run whose cost is neither measured nor assumed."""
    here: float
    """Hours on this machine, one plan after another, of the trials with a measured cost."""


def total_of(plans: Collection[Plan]) -> Total:
    """Add up plans; a trial or a pretraining that several of them share counts once."""
    from ablate.run.cost import total
    from ablate.run.plan_text import workers_here

    states: dict[str, str] = {}
    priced: set[str] = set()
    hours: dict[str, Spread] = {}
    paid: set[str] = set()
    assumed_hours = here = 0.0
    for plan in plans:
        states |= {key: plan.states[key] for key in plan.distinct}
        prices = plan.cost.prices
        priced |= {price.trial.key for price in prices}
        if measured := [price for price in prices if not price.assumed]:
            workers = workers_here(plan, [price.trial for price in measured if price.trial.key not in paid])
            spread = total(measured, paid)
            here += spread[1] / workers
            before = hours.get(unit(plan), (0.0, 0.0, 0.0))
            low, middle, high = (old + new * plan.units for old, new in zip(before, spread, strict=True))
            hours[unit(plan)] = (low, middle, high)
        assumed_hours += total([price for price in prices if price.assumed], paid)[1]
    to_run = {trial.key for plan in plans for trial in plan.to_run}
    repeated = sum(len(plan.distinct) for plan in plans) - len(states)
    done = Counter(states.values())["done"]
    unknown = len(to_run - priced)
    return Total(len(states), done, len(to_run), repeated, hours, assumed_hours, unknown, here)


def check_budget(plan: Plan, budget: str | None) -> None:
    """Raise UserError if a plan may cost more than a number of hours, or its cost is unknown."""
    check_total_budget([plan], budget)


def check_total_budget(plans: Collection[Plan], budget: str | None) -> None:
    """Raise UserError if several plans together may cost more than a number of hours."""
    if budget is None:
        return
    found = total_of(plans)
    measured = {name: (high, likely) for name, (_, likely, high) in found.hours.items()}
    check_hours(budget, found.to_run, found.unknown, measured, found.assumed_hours)


def check_hours(
    budget: str, trials: int, unknown: int, measured: Mapping[str, tuple[float, float]], assumed: float = 0.0
) -> None:
    """Raise UserError if trials may cost more than a budget, in any unit: hours of workers and GPUs do not add up.

    measured: unit -> hours at most, and at the median speed. assumed: GPU-hours.
    """
    from ablate.study.schema.resources import hours

    try:
        allowed = hours(budget)
    except ValueError as error:
        raise UserError(f"--budget {budget}: {error}", help="for example --budget 200h") from error
    if not trials:
        return
    if unknown:
        message = f"--budget {budget}: the cost of {unknown} of {trials} trials is unknown"
        raise UserError(message, help="run one of them first (--only), so that its cost is measured")
    on_gpus = measured.get(GPU_HOURS, (0.0, 0.0))
    cost = {**measured, GPU_HOURS: (on_gpus[0] + assumed, on_gpus[1] + assumed)}
    for name, (high, likely) in cost.items():
        if high > allowed:
            message = f"--budget {budget}: the run may take {high:.3g} {name} (median estimate {likely:.3g})"
            help = "raise the budget, or run fewer cells (--only) or seeds (--seeds); nothing was started"
            raise UserError(message, help=help)


def cost_in_words(hours: Mapping[str, Spread], assumed_hours: float, unknown: int) -> str:
    """`0.12 worker-hours`, `1,550 GPU-hours`, `0.1 worker-hours and 3 trials unknown`; empty if nothing is to run."""
    from ablate.run.plan_text import gpu_hours

    parts = [f"{spread[1]:.2g} {name}" for name, spread in hours.items()]
    parts += [gpu_hours(assumed_hours)] if assumed_hours else []
    parts += [f"{plural(unknown, 'trial')} unknown"] if unknown else []
    return " and ".join(parts)


def cost_of_one(plan: Plan) -> str:
    """A plan's cost in a few words."""
    found = total_of([plan])
    return cost_in_words(found.hours, found.assumed_hours, found.unknown)


def notes(plans: Collection[Plan], found: Total) -> list[str]:
    """Remarks on a total: trials counted once, the time on this machine, the assumptions."""
    from ablate.run.speeds import assumptions_text

    remarks = []
    if found.repeated:
        remarks.append(f"trials shared by several studies count once in the total ({found.repeated} fewer)")
    on_gpus = any(plan.expansion.resources.gpus_per_node for plan in plans)
    if found.hours and not on_gpus:
        left = len({price.trial.key for plan in plans for price in plan.cost.prices if price.assumed})
        left += found.unknown
        missing = f", excluding {plural(left, 'trial')} of unknown cost" if left else ""
        remarks.append(f"about {duration(found.here)} on this machine, one study after another{missing}")
    assumed = [
        (plan.assumption, plan.expansion.trainer, [trial.config for trial in plan.to_run])
        for plan in plans
        if plan.assumption and plan.cost.assumed
    ]
    remarks += [assumptions_text(assumed)] if assumed else []
    return remarks
