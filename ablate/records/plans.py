"""Plan files: which trials a run of a study asked for, and what they were asked for."""

import json
import os
from pathlib import Path
from typing import Any

from ablate.errors import UserError, nearest
from ablate.records.files import Results, write_text

DEFAULT_PROFILE = "embedded"
"""The scale that is looked at where none is named."""


def save_plan(results: Results, study: str, plan: dict[str, Any]) -> Path:
    """Write the next plan of a study, unless its newest says the same; returns the file."""
    folder = results.plans(study)
    folder.mkdir(parents=True, exist_ok=True)
    paths = plan_paths(folder)
    newest = paths[-1].read_text(encoding="utf-8") if paths else ""
    if newest and _content(json.loads(newest)) == _content(plan):  # a crash may have left it empty
        return paths[-1]
    number = 1 + (_number(paths[-1]) if paths else 0)
    while True:
        path = folder / f"plan-{number}.json"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # the claim on this number
        except FileExistsError:
            number += 1
            continue
        write_text(path, json.dumps(plan, indent=1) + "\n")
        return path


def plan_paths(folder: Path) -> list[Path]:
    """A study's plan files, oldest first."""
    return sorted(folder.glob("plan-*.json"), key=_number)


def load_plans(results: Results, study: str) -> list[dict[str, Any]]:
    """A study's plans, oldest first, each with its `number`; one that a crash left empty is passed over."""
    texts = {_number(path): path.read_text(encoding="utf-8") for path in plan_paths(results.plans(study))}
    return [{**json.loads(text), "number": number} for number, text in texts.items() if text]


def recorded_studies(results: Results) -> list[str]:
    """The names of the studies that were run."""
    folder = results.root / "studies"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def newest_plan(results: Results, study: str, profile: str | None = None) -> dict[str, Any]:
    """The newest plan of a study, a name or a file, at a profile: by default `embedded`, or the one that was run last.

    Its `sequential` says whether a plan of its design added seeds until claims were decided. Raises UserError where
    there is no plan.
    """
    name = Path(study).stem
    plans = load_plans(results, name)
    if not plans:
        known = recorded_studies(results)
        help = f"studies with records are: {', '.join(known)}" if known else f"run it first: ablate run {study}"
        raise UserError(f"no record of a study '{name}' in {results.root}{nearest(name, known)}", help=help)
    profiles = list(dict.fromkeys(plan["profile"] for plan in plans))
    if profile is None:
        profile = DEFAULT_PROFILE if DEFAULT_PROFILE in profiles else plans[-1]["profile"]
    if profile not in profiles:
        raise UserError(f"'{name}' was not run at the profile '{profile}'", help=f"it was at: {', '.join(profiles)}")
    alike = current_design(plans, profile)
    return {**alike[-1], "sequential": any(plan.get("sequential") for plan in alike)}


def current_design(plans: list[dict[str, Any]], profile: str) -> list[dict[str, Any]]:
    """The plans of a profile that share the newest one's design, oldest first.

    Only these belong in one table: they differ in which cells and seeds they ask for, and in nothing else.
    """
    of_profile = [plan for plan in plans if plan["profile"] == profile]
    return [plan for plan in of_profile if plan["design"] == of_profile[-1]["design"]]


def planned_trials(plans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The trials of several plans of one design, cell by cell in the order of the study's axes.

    Each cell and seed comes once; two cells that are one trial both come.
    """
    trials = {(trial["case"], str(trial["axes"]), trial["seed"]): trial for plan in plans for trial in plan["trials"]}
    values = {
        axis["name"]: {str(value): place for place, value in enumerate(axis["values"])} for axis in plans[-1]["axes"]
    }
    cases = {case["name"]: place for place, case in enumerate(plans[-1]["cases"])}

    def order(trial: dict[str, Any]) -> tuple[Any, ...]:
        axes = trial["axes"]
        place = [places[str(axes[name])] if name in axes else -1 for name, places in values.items()]
        return (trial["case"] is not None, cases.get(trial["case"], 0), place, trial["seed"])

    return sorted(trials.values(), key=order)


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("plan-"))


def _content(plan: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plan.items() if key not in ("created", "command")}
