"""A suite at a profile: the plan of each study, those that cannot be planned, and what all would cost together."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ablate.errors import UserError
from ablate.run.assume import in_words
from ablate.run.command import check_hours
from ablate.run.cost import Spread, total
from ablate.run.plan import Plan, unit
from ablate.run.show import assumed_json, duration, gpu_hours, workers_here
from ablate.study.suite import LoadedSuite


@dataclass(frozen=True)
class PlannedSuite:
    """What a suite would run now."""

    loaded: LoadedSuite
    plans: dict[str, Plan]
    """By study, in the order in which they run."""
    left_out: dict[str, UserError]
    """Studies that cannot run, for example because their data are not here, and why."""


@dataclass(frozen=True)
class Sum:
    """What the studies of a suite come to together: what several of them ask for counts once."""

    trials: int
    done: int
    to_run: int
    repeated: int
    """So many trials fewer than all studies have one by one."""
    hours: dict[str, Spread]
    """Unit -> hours, from measured trials."""
    assumed_hours: float
    """GPU-hours of those that no done trial is like, where a speed was assumed."""
    unknown: int
    """Trials to run whose cost is neither measured nor assumed."""
    here: float
    """Hours on this machine, where studies run one after another, of the trials whose cost was measured."""


def plan_suite(loaded: LoadedSuite, make: Callable[[str], Plan]) -> PlannedSuite:
    """Plan each study; `make` plans one by its file. Raises UserError for mistakes in the suite itself."""
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


def summed(suite: PlannedSuite) -> Sum:
    """All studies together; a trial, and a pretraining, that several ask for is run once."""
    states: dict[str, str] = {}
    priced: set[str] = set()
    hours: dict[str, Spread] = {}
    paid: set[str] = set()
    assumed_hours = here = 0.0
    for plan in suite.plans.values():
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
    to_run = {trial.key for plan in suite.plans.values() for trial in plan.to_run}
    one_by_one = sum(len(plan.distinct) for plan in suite.plans.values())
    done = Counter(states.values())["done"]
    unknown = len(to_run - priced)
    return Sum(len(states), done, len(to_run), one_by_one - len(states), hours, assumed_hours, unknown, here)


def check_suite_budget(suite: PlannedSuite, budget: str) -> None:
    """Raise UserError where all studies together would cost more than so many hours."""
    found = summed(suite)
    measured = {name: (high, likely) for name, (_, likely, high) in found.hours.items()}
    check_hours(budget, found.to_run, found.unknown, measured, found.assumed_hours)


def cost_in_words(hours: dict[str, Spread], assumed_hours: float, unknown: int) -> str:
    """`0.12 worker-hours`, `1,550 GPU-hours`, `0.1 worker-hours and 3 trials unknown`; nothing where nothing is."""
    said = [f"{spread[1]:.2g} {name}" for name, spread in hours.items()]
    said += [gpu_hours(assumed_hours)] if assumed_hours else []
    said += [f"{_trials(unknown)} unknown"] if unknown else []
    return " and ".join(said)


def _trials(count: int) -> str:
    return f"{count} trial{'' if count == 1 else 's'}"


def cost_of_one(plan: Plan) -> str:
    """A plan's cost in a few words."""
    cost, units = plan.cost, plan.units
    hours: dict[str, Spread] = {}
    if cost.hours is not None and cost.low is not None and cost.high is not None:
        hours[unit(plan)] = (cost.low * units, cost.hours * units, cost.high * units)
    return cost_in_words(hours, cost.assumed_hours, cost.unknown - cost.assumed)


def notes(suite: PlannedSuite, found: Sum) -> list[str]:
    """What stands below the sum: what was counted once, the time on this machine, the assumptions."""
    said = []
    if found.repeated:
        said.append(f"trials that several studies ask for are counted once in the total ({found.repeated} fewer)")
    on_gpus = any(plan.expansion.resources.gpus_per_node for plan in suite.plans.values())
    if found.hours and not on_gpus:
        left = len({price.trial.key for plan in suite.plans.values() for price in plan.cost.prices if price.assumed})
        left += found.unknown
        missing = f"; without {_trials(left)} that no done one is like" if left else ""
        said.append(f"about {duration(found.here)} here, one study after another{missing}")
    assumed = [
        (plan.assumption, [trial.config for trial in plan.to_run])
        for plan in suite.plans.values()
        if plan.assumption and plan.cost.assumed
    ]
    said += [in_words(assumed)] if assumed else []
    return said


def suite_json(suite: PlannedSuite) -> dict[str, Any]:
    """The plans and their sum as plain values."""
    found = summed(suite)
    return {
        "suite": suite.loaded.suite.name,
        "studies": [
            {
                "study": name,
                "profile": plan.profile,
                "trials": len(plan.distinct),
                "done": plan.counts["done"],
                "to_run": len(plan.to_run),
                "unit": unit(plan),
                "hours": plan.cost.hours and plan.cost.hours * plan.units,
                "assumed": assumed_json(plan),
                "unknown": plan.cost.unknown - plan.cost.assumed,
            }
            for name, plan in suite.plans.items()
        ],
        "left_out": {name: str(error) for name, error in suite.left_out.items()},
        "total": {
            "trials": found.trials,
            "done": found.done,
            "to_run": found.to_run,
            "hours": {name: spread[1] for name, spread in found.hours.items()},
            "assumed_gpu_hours": found.assumed_hours,
            "unknown": found.unknown,
        },
        "notes": notes(suite, found),
    }
