"""What earlier plans tell about a new one: which results are out of date and why, what other studies share."""

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.errors import UserError
from ablate.records.attempt import trial_status
from ablate.records.consistency import differences, unpaired
from ablate.records.files import Results
from ablate.records.flatten import flat
from ablate.records.plans import current_design, load_plans, recorded_studies
from ablate.study.identity import identity
from ablate.study.load import load_study
from ablate.study.scale import OF_THE_PAPER, scale
from ablate.study.trial import Expansion, Trial, cell_label

_MOST_REASONS = 4
_MOST_READ = 300
_Point = tuple[Any, ...]


@dataclass(frozen=True)
class Stale:
    """A cell that has a result, of other settings than it has now."""

    old_key: str
    why: str
    """What changed, as in `epochs: 2 -> 3`."""


def stale(
    expansion: Expansion, missing: Iterable[Trial], plans: list[dict[str, Any]], results: Results
) -> dict[str, Stale]:
    """By key, those of the missing trials whose cell was done under other settings in an earlier plan."""
    earlier: dict[_Point, str] = {}
    for plan in plans:
        for trial in plan["trials"]:
            if results.trial(trial["key"]).result.exists():
                earlier[_point(trial["axes"], trial["case"], trial["seed"])] = trial["key"]
    found = {}
    for trial in missing:
        old = earlier.get(_point(trial.axes, trial.case, trial.seed))
        if old is not None and old != trial.key:
            found[trial.key] = Stale(old, _why(results, old, trial, expansion))
    return found


def _point(axes: Mapping[str, Any], case: str | None, seed: int) -> _Point:
    return (case, seed, tuple(sorted((name, str(value)) for name, value in axes.items())))


def _why(results: Results, old_key: str, trial: Trial, expansion: Expansion) -> str:
    try:
        old = json.loads(results.trial(old_key).trial.read_text(encoding="utf-8"))
    except (OSError, ValueError):
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
    return shown + more or "its identity is computed in another way"


def _shown(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, str) else value
    return text if len(text) <= 40 else f"{text[:40]}..."


def keys_of_other_studies(study: str, results: Results) -> dict[str, list[str]]:
    """The trials that each other study asks for in its newest plans."""
    found = {}
    for name in recorded_studies(results):
        if name == study or not (plans := load_plans(results, name)):
            continue
        current = [plan for profile in {plan["profile"] for plan in plans} for plan in current_design(plans, profile)]
        found[name] = list(dict.fromkeys(trial["key"] for plan in current for trial in plan["trials"]))
    return found


def scale_run(results: Results, study: str, profile: str) -> str:
    """The profile that is meant of a study, by its file or name, or by its last plan where it has no file any more."""
    try:
        return scale(load_study(study).study, profile)
    except UserError:
        plans = load_plans(results, Path(study).stem)
        return str(plans[-1]["paper_profile"]) if plans and profile == OF_THE_PAPER else profile


def seeds_run(results: Results, study: str, profile: str) -> list[int]:
    """The seeds that runs of a study's newest design at a profile have asked for; none where it was not run."""
    plans = load_plans(results, study)
    if profile not in {plan["profile"] for plan in plans}:
        return []
    return sorted({trial["seed"] for plan in current_design(plans, profile) for trial in plan["trials"]})


def to_retry_elsewhere(results: Results, study: str, profile: str) -> list[str]:
    """A line for each other scale of a study at which trials failed or were interrupted."""
    plans = load_plans(results, study)
    now = time.time()
    lines = []
    for other in dict.fromkeys(plan["profile"] for plan in plans if plan["profile"] != profile):
        keys = {trial["key"] for plan in current_design(plans, other) for trial in plan["trials"]}
        count = sum(trial_status(results.trial(key), now).state in ("failed", "interrupted") for key in keys)
        name, *settings = re.split(r"\+(?=[a-z_])", other)
        options = "".join([f" --profile {name}", *(f" --set {setting}" for setting in settings)])
        lines += [f"{count} did at {other}: ablate retry {study}{options}"] if count else []
    return lines


def cautions(
    expansion: Expansion, states: Mapping[str, str], plans: list[dict[str, Any]], results: Results, paired: bool = True
) -> list[str]:
    """What makes the results of a study hard to compare once a plan has run: hardware, versions, code, seeds.

    plans: the study's earlier ones at the same scale; results of the same design count too. paired: cells are meant to
    have the same seeds.
    """
    environments: list[dict[str, Any]] = []
    seeds: dict[str, set[int]] = {}
    for trial in expansion.trials:
        seeds.setdefault(trial.cell_label, set()).add(trial.seed)
        if states[trial.key] == "done" and len(environments) < _MOST_READ:
            environments += [found] if (found := environment(results, trial.key)) is not None else []
    for plan in plans:
        for trial in plan["trials"] if plan["design"] == expansion.design else []:
            if results.trial(trial["key"]).result.exists():
                seeds.setdefault(cell_label(trial["axes"], trial["case"]), set()).add(trial["seed"])
    return [*differences(environments), *(unpaired(seeds) if paired else ())]


def environment(results: Results, key: str) -> dict[str, Any] | None:
    """What a done trial ran on, with the number format that it computed in; None where it cannot be read."""
    folder = results.trial(key)
    try:
        result = json.loads(folder.result.read_text(encoding="utf-8"))
        found = json.loads((folder.attempts / result["attempt"] / "env.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return {**found, "precision": result.get("precision")}
