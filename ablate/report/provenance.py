"""The provenance of a page's numbers: commands, environments and settings behind them, and what they cost."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from ablate.records.compare import flat
from ablate.trainer.find import IMPORTED

if TYPE_CHECKING:
    from ablate.judge.evidence import CellTrial, Evidence, MeasuredCell
    from ablate.records.plan_file import PlanFile
    from ablate.report.reading import Reading

_SOURCES = {"imported_from": "imported from", "source_sha256": "SHA-256 of the source"}
_MOST_VALUES = 12
"""Number of values of a varying setting that are listed."""


@dataclass(frozen=True)
class Settings:
    """All settings of a study's trials, by origin."""

    varied: dict[str, str]
    """Dotted name -> its values over the trials."""
    given: dict[str, str]
    """Settings from the study and `--set`, the same for all trials."""
    others: dict[str, str]
    """Settings from the profile and defaults."""


def settings(measured: Evidence) -> Settings:
    """The settings of a study's trials."""
    values: dict[str, dict[str, None]] = {}
    seen: set[tuple[str, int]] = set()
    for config in measured.configs.values():
        for section, value in config.items():
            if (section, id(value)) in seen:  # trials share the sections in which they do not differ
                continue
            seen.add((section, id(value)))
            for name, each in flat({section: value}).items():
                values.setdefault(name, {})[_text(each)] = None
    varied = {name: _listed(list(found)) for name, found in values.items() if len(found) > 1}
    same = {name: next(iter(found)) for name, found in values.items() if len(found) == 1}
    base = tuple(f"{key}." for key in measured.plan.base)
    given = {name: value for name, value in same.items() if f"{name}.".startswith(base)}
    return Settings(varied, given, {name: value for name, value in same.items() if name not in given})


def facts(reading: Reading) -> dict[str, str]:
    """The environment of the finished trials: fact -> its distinct values."""
    found: dict[str, dict[str, None]] = {}
    for environment in reading.environments:
        values = {
            name: environment.get(name) for name in ("commit", "host", "device", "processor", "python", "platform")
        }
        values |= {words: environment.get(name) for name, words in _SOURCES.items()}
        if environment.get("commit") and environment.get("modified"):
            values["commit"] = f"{environment['commit']} (with uncommitted changes)"
        if (project := environment.get("project")) and project.get("commit"):
            changed = " (with uncommitted changes)" if project.get("modified") else ""
            values["commit of the trainer"] = f"{project['commit']}{changed}"
        values |= {name: version for name, version in (environment.get("packages") or {}).items() if version}
        for name, value in values.items():
            if value is not None:
                found.setdefault(name, {})[str(value)] = None
    facts = {name: ", ".join(each) for name, each in found.items()}
    return facts | ({"precision": ", ".join(reading.precisions)} if reading.precisions else {})


def ran(plan: PlanFile) -> str | None:
    """The command of the study's last run, as typed; None if the plan file lacks it."""
    return shlex.join(["ablate", *plan.command[1:]]) if plan.command else None


def repeats(measured: Evidence) -> str:
    """The command that runs, or resumes, the trials on the page; of imported runs, the one that imported them."""
    plan = measured.plan
    if plan.trainer == IMPORTED:
        return ran(plan) or "ablate import"
    command = ["ablate", "run", plan.path or plan.study, "--profile", plan.base_profile]
    for name, value in plan.overrides.items():
        command += ["--set", f"{name}={value}"]
    seeds = {trial.seed for trial in measured.trials}
    if plan.sequential:
        command.append("--until-decided")
    elif seeds == set(range(len(seeds))):
        command += ["--seeds", str(len(seeds))]
    return shlex.join(command)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _listed(values: list[str]) -> str:
    more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
    return ", ".join(values[:_MOST_VALUES]) + more


@dataclass(frozen=True)
class CellCost:
    """The cost of the finished trials of one cell."""

    cell: MeasuredCell
    seconds: float
    """Mean over the seeds, of the finishing attempts."""
    pairs_per_second: float | None
    """Median over the seeds; None if the trainer does not log it."""


@dataclass(frozen=True)
class Cost:
    """The cost of a study's trials. A trial that several studies share counts in each."""

    hours: float
    """Hours of all attempts."""
    lost_hours: float
    """Hours of attempts that did not finish their trial."""
    unit: str
    """`GPU-hours` or `worker-hours`; a trial on several GPUs counts once."""
    pairs_per_second: float | None
    """Median view pairs per second over the trials."""
    cells: dict[int, CellCost]
    """Number of a shown cell -> its cost, for cells with a finished trial."""


def cost(reading: Reading) -> Cost:
    """The cost of a study."""
    measured = reading.measured
    took = {trial.key: trial.seconds or 0.0 for trial in measured.trials if trial.state == "done"}
    finishing = {(trial.key, trial.attempt) for trial in measured.trials if trial.state == "done"}
    finished = lost = 0.0
    for attempt in reading.attempts:
        if (attempt.key, attempt.name) in finishing:
            finished += attempt.seconds or took[attempt.key]
        else:
            lost += attempt.seconds
    speeds = {
        attempt.key: attempt.pairs_per_second
        for attempt in reading.attempts
        if attempt.pairs_per_second is not None and (attempt.key, attempt.name) in finishing
    }
    on_gpu = any(attempt.device not in (None, "cpu") for attempt in reading.attempts)
    return Cost(
        (finished + lost) / 3600,
        lost / 3600,
        "GPU-hours" if on_gpu else "worker-hours",
        _median(speeds.values()),
        _cells(reading.shown.logged, speeds),
    )


def _cells(measured: Evidence, speeds: dict[str, float]) -> dict[int, CellCost]:
    done: dict[int, list[CellTrial]] = {}
    for trial in measured.trials:
        if trial.state == "done" and trial.seconds is not None:
            done.setdefault(trial.cell, []).append(trial)
    return {
        number: CellCost(
            measured.cells[number],
            mean(trial.seconds or 0.0 for trial in trials),
            _median(speeds[trial.key] for trial in trials if trial.key in speeds),
        )
        for number, trials in done.items()
    }


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None
