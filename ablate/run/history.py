"""A new plan compared with earlier ones: stale results and why, trials that other studies share, cautions."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.errors import UserError
from ablate.records.attempt import environment_of, is_done, read_state, trial_status
from ablate.records.compare import differences, flat, unpaired
from ablate.records.files import Results
from ablate.records.metric import as_number, without
from ablate.records.plain import plural
from ablate.records.plan_file import PlanFile
from ablate.records.plans import (
    current_design,
    current_keys,
    load_plans,
    name_in_commands,
    planned_profiles,
    recorded_studies,
)
from ablate.records.reading import read_object, result_if_any
from ablate.study.cells.cell import Cell
from ablate.study.expansion.trial import Expansion, Trial, identity
from ablate.study.schema.study import PAPER

_MOST_REASONS = 4
_MOST_READ = 300
_MOST_NAMED = 3
_MANY = 1000


@dataclass(frozen=True)
class Stale:
    """A cell whose result was made with other settings than it has now."""

    old_key: str
    why: str
    """The changes, for example `epochs: 2 -> 3`."""


@dataclass(frozen=True)
class Recorded:
    """What the records say about the trials of a plan."""

    states: dict[str, str]
    """By trial key."""
    causes: dict[str, str]
    """Key -> cause, of each failed trial."""
    remarks: tuple[str, ...]
    """Which records are damaged, and which trials finished without the metric."""


def recorded_states(trials: Mapping[str, Trial], results: Results, metric: str) -> Recorded:
    """The states of trials, by key. metric: of the study."""
    now, done = time.time(), set[str]()
    if len(trials) >= _MANY and results.database.exists():  # found done earlier, and unchanged since
        from ablate.records.store import done_before  # its import takes as long as reading some hundred trials

        done = done_before(results, trials, metric)
    states, causes, damage, unmeasured = dict.fromkeys(trials, "done"), {}, {}, []
    for key in (key for key in trials if key not in done):
        found = read_state(results.trial(key), now)
        states[key] = found.status.state
        if found.status.state == "failed":
            causes[key] = found.status.cause or "unknown"
        if found.status.state == "damaged":
            damage[key] = found.status.message or ""
        if found.result and as_number(found.result.metrics.get(metric)) is None:
            unmeasured.append(found.result.metrics)
    return Recorded(states, causes, (*_named(damage, trials), *([without(metric, unmeasured)] if unmeasured else [])))


def stale(
    expansion: Expansion, missing: Iterable[Trial], plans: Sequence[PlanFile], results: Results
) -> dict[str, Stale]:
    """The missing trials, by key, whose cell was done with other settings in an earlier plan."""
    lacking = {(trial.cell, trial.seed): trial for trial in missing}
    earlier: dict[tuple[Cell, int], str] = {}
    for plan in plans if lacking else ():
        for planned in plan.trials:
            if (planned.cell, planned.seed) in lacking and is_done(results.trial(planned.key)):
                earlier[planned.cell, planned.seed] = planned.key
    found = {}
    for trial in lacking.values():
        old = earlier.get((trial.cell, trial.seed))
        if old is not None and old != trial.key:
            found[trial.key] = Stale(old, _why(results, old, trial, expansion))
    return found


def _why(results: Results, old_key: str, trial: Trial, expansion: Expansion) -> str:
    if not (old := read_object(results.trial(old_key).trial)):
        return "its old record cannot be read"
    reasons = []
    for name, now in (("trainer", expansion.trainer.name), ("recipe_version", expansion.trainer.recipe_version)):
        if old.get(name) != now:
            reasons.append(f"{name}: {old.get(name)} -> {now}")
    before, after = flat(old.get("config", {})), flat(identity(trial.config))
    for name in [name for name in after if name in before]:
        if before[name] != after[name]:
            reasons.append(f"{name}: {_shown(before[name])} -> {_shown(after[name])}")
    if added := [name for name in after if name not in before]:
        reasons.append(f"{added[0]} is new" if len(added) == 1 else f"{len(added)} settings are new")
    shown = ", ".join(reasons[:_MOST_REASONS])
    more = f", and {len(reasons) - _MOST_REASONS} more" if len(reasons) > _MOST_REASONS else ""
    return shown + more or "its key is computed in another way"


def _shown(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, str) else value
    return text if len(text) <= 40 else f"{text[:40]}..."


def keys_of_other_studies(study: str, results: Results) -> dict[str, list[str]]:
    """The keys of the trials in the newest plans of each other study."""
    others = {name: load_plans(results, name) for name in recorded_studies(results) if name != study}
    return {name: list(current_keys(plans)) for name, plans in others.items() if plans}


def profile_run(results: Results, study: str, profile: str) -> str:
    """The profile that a name stands for, from the study's file, or from its last plan if the file is gone."""
    from ablate.study.load import load_study

    try:
        return load_study(study).study.profile_named(profile)
    except UserError:
        plans = load_plans(results, Path(study).stem)
        return plans[-1].paper_profile if plans and profile == PAPER else profile


def seeds_run(results: Results, study: str, profile: str) -> list[int]:
    """The seeds planned for a study's newest design at a profile; none if it has not run there."""
    plans = load_plans(results, study)
    if profile not in planned_profiles(plans):
        return []
    return sorted({trial.seed for plan in current_design(plans, profile) for trial in plan.trials})


def to_retry_elsewhere(results: Results, study: str, profile: str) -> list[str]:
    """A line for each other profile of a study at which trials failed or were interrupted."""
    plans = load_plans(results, study)
    now, called = time.time(), name_in_commands(study, plans)
    lines = []
    for other in [each for each in planned_profiles(plans) if each != profile]:
        plan, keys = current_design(plans, other)[-1], current_keys(plans, other)
        count = sum(trial_status(results.trial(key), now).state in ("failed", "interrupted", "damaged") for key in keys)
        settings = (f" --set {name}={value}" for name, value in plan.overrides.items())
        options = "".join([f" --profile {plan.base_profile}", *settings])
        lines += [f"{count} at {other}: ablate retry {called}{options}"] if count else []
    return lines


def _named(damage: Mapping[str, str], trials: Mapping[str, Trial]) -> list[str]:
    """A sentence for each of the first damaged trials, and one for the rest."""
    found = [
        f"the record of {trials[key].label} ({key[:12]}) is damaged: {message}; a run trains it again"
        for key, message in damage.items()
    ]
    more = len(found) - _MOST_NAMED
    return found[:_MOST_NAMED] + ([f"the records of {plural(more, 'other trial')} are damaged too"] if more > 0 else [])


def cautions(
    expansion: Expansion, states: Mapping[str, str], plans: Sequence[PlanFile], results: Results, paired: bool = True
) -> list[str]:
    """Differences that make the results of a study hard to compare: hardware, versions, code, seeds.

    plans: earlier plans of the study at the same profile; their results of the same design count, too. paired: whether
    all cells should have the same seeds.
    """
    environments: list[dict[str, Any]] = []
    seeds: dict[str, set[int]] = {}
    for trial in expansion.trials:
        seeds.setdefault(trial.cell.label, set()).add(trial.seed)
        if states[trial.key] == "done" and len(environments) < _MOST_READ:
            environments += [found] if (found := environment(results, trial.key)) is not None else []
    for plan in plans:
        for planned in plan.trials if plan.design == expansion.design else ():
            known = states.get(planned.key)
            if known == "done" or (known is None and is_done(results.trial(planned.key))):
                seeds.setdefault(planned.cell.label, set()).add(planned.seed)
    return [*differences(environments), *(unpaired(seeds) if paired else ())]


def environment(results: Results, key: str) -> dict[str, Any] | None:
    """The environment and number format of a finished trial; None if they cannot be read."""
    folder = results.trial(key)
    if not (result := result_if_any(folder.result)):
        return None
    found, precision = environment_of(folder.attempts / str(result.attempt)), result.metrics.get("precision")
    # A number of this name is a metric of the trainer.
    return {**found, "precision": precision if isinstance(precision, str) else None} if found else None
