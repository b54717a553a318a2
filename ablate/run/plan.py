"""What a study would run now: which trials are new, running, failed or done."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ablate.errors import UserError
from ablate.records.attempt import State, trial_status
from ablate.records.files import Results, write_json
from ablate.records.plans import save_plan
from ablate.simclr.config import RECIPE_VERSION
from ablate.simclr.data.listing import look
from ablate.study.expand import TRAINER, Expansion, Trial, expand
from ablate.study.load import LoadedStudy, load_profile, load_study


@dataclass(frozen=True)
class Plan:
    """A study at a profile, expanded, with the state of every trial."""

    loaded: LoadedStudy
    profile: str
    expansion: Expansion
    states: dict[str, State]
    """By trial key."""

    @property
    def to_run(self) -> tuple[Trial, ...]:
        """Trials that are neither done nor running elsewhere."""
        wanted = ("new", "failed", "interrupted")
        distinct = {trial.key: trial for trial in self.expansion.trials}  # two cells may be one trial
        return tuple(trial for trial in distinct.values() if self.states[trial.key] in wanted)

    @property
    def counts(self) -> Counter[State]:
        """How many trials are in each state."""
        return Counter(self.states[trial.key] for trial in self.expansion.trials)


def make_plan(
    study: str,
    profile: str,
    results: Results,
    overrides: Mapping[str, Any] | None = None,
    seeds: Iterable[int] | None = None,
    only: Mapping[str, Iterable[str]] | None = None,
) -> Plan:
    """Read and expand a study, look into its data folder, and look up each trial's state.

    Raises UserError for any mistake in the study, the options or the data, before anything runs.
    """
    loaded = load_study(study)
    expansion = expand(loaded, load_profile(profile, loaded.source.path), overrides, seeds, only, look)
    if not expansion.trials:
        raise UserError("no trial is left after --only", help="leave out an --only, or give more values")
    now = time.time()
    states = {trial.key: trial_status(results.trial(trial.key), now).state for trial in expansion.trials}
    return Plan(loaded, profile, expansion, states)


def record_plan(plan: Plan, results: Results, command: list[str]) -> Path:
    """Write what was planned: a trial.json for each trial that has none, and the plan file."""
    for trial in plan.expansion.trials:
        folder = results.trial(trial.key)
        if plan.states[trial.key] != "done":  # again where it did not end: its data may lie elsewhere now
            write_json(folder.trial, _spec(trial))
    return save_plan(results, plan.loaded.study.name, _as_json(plan, command))


def _spec(trial: Trial) -> dict[str, Any]:
    return {
        "key": trial.key,
        "pretrain_key": trial.pretrain_key,
        "trainer": TRAINER,
        "recipe_version": RECIPE_VERSION,
        "config": _with_absolute_paths(trial.config.model_dump(mode="json")),
    }


def _with_absolute_paths(config: dict[str, Any]) -> dict[str, Any]:
    """The config with its folders and files as any process finds them."""
    evaluate = config["evaluate"]
    for settings, name in ((config["data"], "root"), (evaluate["transfer"], "root"), (evaluate["finetune"], "subset")):
        settings[name] = settings[name] and str(Path(settings[name]).absolute())
    return config


def _as_json(plan: Plan, command: list[str]) -> dict[str, Any]:
    study, source = plan.loaded.study, plan.loaded.source
    return {
        "study": study.name,
        "profile": plan.profile,
        "design": plan.expansion.design,
        "title": study.title,
        "question": study.question,
        "reference": study.reference.model_dump() if study.reference else None,
        "axes": [{"name": name, **axis.model_dump()} for name, axis in plan.expansion.axes.items()],
        "cases": [{"name": case.name, "label": case.label} for case in study.cases],
        "trials": [
            {"key": trial.key, "seed": trial.seed, "axes": trial.axes, "case": trial.case}
            for trial in plan.expansion.trials
        ],
        "file": {"path": str(source.path), "text": source.text},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
    }
