"""The plan files of a study: writing the next one, and reading those that share a table."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ablate.errors import Problem, UserError, nearest
from ablate.records.files import Results, folders, plan_paths, write_text
from ablate.records.plan_file import PlanFile, PlannedTrial, parse_plan
from ablate.records.reading import MOST_BYTES_OF_LINES, Damaged, content, parse, read_object
from ablate.study.cells.cell import Cell, axis_text

_RACY = 2 * 10**9
"""Nanoseconds in which a file may change twice with the same time: file systems keep times that coarsely."""
DEFAULT_PROFILE = "embedded"
"""The profile that commands use by default."""


def save_plan(results: Results, plan: PlanFile) -> Path:
    """Write the next plan of a study, unless the newest one is the same; returns the file."""
    folder = results.plans(plan.study)
    folder.mkdir(parents=True, exist_ok=True)
    paths = plan_paths(folder)
    text = json.dumps(as_record(plan), indent=1)
    # empty where a crash left nothing, or where the file is damaged
    if paths and _asks_for(read_object(paths[-1], MOST_BYTES_OF_LINES)) == _asks_for(json.loads(text)):
        return paths[-1]
    number = 1 + (_number(paths[-1]) if paths else 0)
    while True:
        path = folder / f"plan-{number}.json"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # the claim on this number
        except FileExistsError:
            number += 1
            continue
        write_text(path, f"{text}\n")
        return path


def load_plans(results: Results, study: str) -> list[PlanFile]:
    """The plans of a study, oldest first, without damaged files, which `read_plans` names."""
    return read_plans(results, study)[0]


def read_plans(results: Results, study: str) -> tuple[list[PlanFile], list[str]]:
    """The plans of a study, oldest first, and what is wrong with the other files; an empty one is left by a crash."""
    plans: list[PlanFile] = []
    damage: list[str] = []
    for path in plan_paths(results.plans(study)):
        try:
            plans += [plan] if (plan := _read(path)) else []
        except FileNotFoundError:
            continue
        except Damaged as error:
            damage.append(f"{path} is damaged: {error}")
    return plans, damage


def read_plan(path: Path) -> PlanFile:
    """A plan from its file. Raises UserError if this version cannot read it."""
    try:
        plan = _read(path)
    except (OSError, Damaged) as error:
        raise UserError(f"{path} is damaged: {error}", help="move it away, and run the study again") from error
    if plan is None:
        raise UserError(f"{path} is empty", help="run the study again")
    return plan


def _read(path: Path) -> PlanFile | None:
    """A plan that belongs to its study's folder; None for an empty file. Raises FileNotFoundError and Damaged.

    A command asks for a plan several times, and it may list 100,000 trials: an unchanged plan is read only once.
    """
    try:
        about = path.stat()
    except OSError:
        return _read_now(path)  # says what is wrong
    if time.time_ns() - about.st_mtime_ns < _RACY:
        return _read_now(path)
    return _read_once(path, (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns))


@lru_cache(maxsize=8)
def _read_once(path: Path, stamp: tuple[int, ...]) -> PlanFile | None:
    return _read_now(path)


def _read_now(path: Path) -> PlanFile | None:
    from ablate.study.claims import read_claims
    from ablate.study.schema.chart import Chart

    text = content(path, MOST_BYTES_OF_LINES)
    if not text:
        return None
    try:
        plan = parse_plan(parse(text), _number(path))
        read_claims(plan.claims)
        Chart.model_validate(plan.chart)
    except (UserError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, Damaged):
            raise
        raise Damaged(f"it is not a plan that this version reads: {str(error).splitlines()[0]}") from error
    if plan.study != path.parent.name:
        raise Damaged(f"it is a plan of another study, {plan.study}")
    return plan


def name_in_commands(study: str, plans: Sequence[PlanFile]) -> str:
    """The name by which commands take a study with these plans: that of its file, also of a stage of `[tune]`."""
    return Path(plans[-1].path).stem if plans and plans[-1].path else study


def recorded_studies(results: Results) -> list[str]:
    """The names of the studies that were run."""
    return [path.name for path in folders(results.root / "studies")]


def newest_plan(results: Results, study: str, profile: str | None = None) -> PlanFile:
    """The newest plan of a study, a name or a file, at a profile: by default `embedded`, or the one that was run last.

    It is `sequential` if any plan of its design is. Its limit of seeds is the largest of these plans, and `seen_at` and
    `lower_limits` list the looks of the others. Raises UserError if the study has no plan.
    """
    name = Path(study).stem
    plans, damage = read_plans(results, name)
    if damage and not plans:
        raise UserError(*map(Problem, damage))
    if not plans:
        raise unknown_study(results, name, recorded_studies(results))
    profiles = planned_profiles(plans)
    if profile is None:
        profile = DEFAULT_PROFILE if DEFAULT_PROFILE in profiles else plans[-1].profile
    if profile not in profiles:
        help = f"it was run at: {', '.join(profiles)}"
        raise UserError(f"'{name}' was not run at the profile '{profile}'", help=help)
    alike = current_design(plans, profile)
    most = max(plan.most_seeds for plan in alike)
    lower = tuple(sorted({plan.most_seeds for plan in alike if plan.sequential and 0 < plan.most_seeds < most}))
    sequential = any(plan.sequential for plan in alike)
    return replace(alike[-1], sequential=sequential, most_seeds=most, seen_at=_seen_at(alike), lower_limits=lower)


def _seen_at(plans: Sequence[PlanFile]) -> tuple[int, ...]:
    """The numbers of seeds after which plans showed verdicts before a later plan added seeds to them.

    Every run ends with a page. Fewer than three seeds give no verdict, and a sequential run judges as it looks.
    """
    counts = [plan.seeds_per_cell for plan in plans]
    later = [max(counts[number + 1 :], default=0) for number in range(len(plans))]
    seen = {
        own for plan, own, most in zip(plans, counts, later, strict=True) if 3 <= own < most and not plan.sequential
    }
    return tuple(sorted(seen))


def unknown_study(results: Results, name: str, known: Sequence[str]) -> UserError:
    """The error for a study without records; known: the studies that have some."""
    help = f"studies with records are: {', '.join(known)}" if known else f"run it first: ablate run {name}"
    return UserError(f"{results.root} has no records of a study '{name}'{nearest(name, known)}", help=help)


def planned_profiles(plans: Sequence[PlanFile]) -> list[str]:
    """The profiles of plans, in the order of their first plan."""
    return list(dict.fromkeys(plan.profile for plan in plans))


def current_design(plans: Sequence[PlanFile], profile: str) -> list[PlanFile]:
    """The plans of a profile that share the newest one's design, oldest first.

    They share a table of results, since they differ only in the cells and seeds that they plan.
    """
    of_profile = [plan for plan in plans if plan.profile == profile]
    alike = [plan for plan in of_profile if plan.design == of_profile[-1].design]
    return _as_chosen(alike) if alike and alike[-1].tuned else alike


def _as_chosen(plans: Sequence[PlanFile]) -> list[PlanFile]:
    """Plans of one design with `[tune]`: the last one has what every cell chose, the others no outdated choices.

    A cell whose newest choice differs from an earlier one, since trials were trained anew, has lost its earlier trials.
    """
    own = [{Cell(each["axes"], each["case"]): each for each in plan.tuned.get("cells", ())} for plan in plans]
    newest = {cell: each for choices in own for cell, each in choices.items()}

    def is_current(cell: Cell, choices: Mapping[Cell, Mapping[str, Any]]) -> bool:
        return cell not in choices or choices[cell]["values"] == newest[cell]["values"]

    current = [
        replace(plan, trials=tuple(trial for trial in plan.trials if is_current(trial.cell, choices)))
        for plan, choices in zip(plans, own, strict=True)
    ]
    order = dict.fromkeys(trial.cell for trial in planned_trials(current))
    cells = [newest[cell] for cell in order if cell in newest]
    return [*current[:-1], replace(current[-1], tuned={**current[-1].tuned, "cells": cells})]


def current_keys(plans: Sequence[PlanFile], profile: str | None = None) -> set[str]:
    """The keys of all trials of the current design at one profile, or at all."""
    profiles = planned_profiles(plans) if profile is None else [profile]
    return {trial.key for each in profiles for plan in current_design(plans, each) for trial in plan.trials}


def planned_trials(plans: Sequence[PlanFile]) -> list[PlannedTrial]:
    """The trials of plans of one design: seeds within cells, cells in the order of the study's axes.

    Each cell and seed appears once; cells that share a trial all appear.
    """
    trials = {(trial.cell.key, trial.seed): trial for plan in plans for trial in plan.trials}
    ranks = {axis.name: {axis_text(value): rank for rank, value in enumerate(axis.values)} for axis in plans[-1].axes}
    cases = {name: rank for rank, name in enumerate(plans[-1].cases)}

    def rank(cell: Cell) -> tuple[Any, ...]:
        on_axes = [of.get(axis_text(cell.axes[name]), -1) if name in cell.axes else -1 for name, of in ranks.items()]
        return (cell.case is not None, cases.get(cell.case or "", 0), on_axes)

    cells = {trial.cell.key: rank(trial.cell) for trial in {key: trial for (key, _), trial in trials.items()}.values()}
    return sorted(trials.values(), key=lambda trial: (cells[trial.cell.key], trial.seed))


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("plan-"))


def _asks_for(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record without the fields that differ between plans of the same trials, or that an older version lacks."""
    return {key: value for key, value in record.items() if value and key not in ("created", "command")}


def as_record(plan: PlanFile) -> dict[str, Any]:
    """The JSON of a plan's file."""
    record = {
        each.name: getattr(plan, each.name) for each in fields(plan) if each.name not in ("path", "text", "number")
    }
    paper = plan.paper and {
        "axes": list(map(vars, plan.paper.axes)),
        "cells": [
            {"axes": cell.axes, "case": cell.case, "parameters": plan.paper.parameters.get(cell.key)}
            for cell in plan.paper.cells
        ],
    }
    return record | {
        "axes": list(map(vars, plan.axes)),
        "cases": [{"name": name, "label": label} for name, label in plan.cases.items()],
        "paper": paper,
        "naming": plan.naming and plan.naming.plain(),
        "baseline": plan.baseline and plan.baseline.plain(),
        "references": list(map(vars, plan.references)),
        "trials": [
            {"key": each.key, "seed": each.seed, "axes": each.cell.axes, "case": each.cell.case} for each in plan.trials
        ],
        "file": {"path": plan.path, "text": plan.text},
    }
