"""What a study would run now: which trials are new, stale, running, failed or done, and what the rest costs."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ablate.errors import Problem, UserError
from ablate.records.attempt import trial_status
from ablate.records.cancel import clear_cancel
from ablate.records.files import Results, write_json
from ablate.records.plans import load_plans, save_plan
from ablate.run.assume import Assumption, parse_assumption, without_data
from ablate.run.cost import Cost, cost_of
from ablate.run.history import Stale, cautions, keys_of_other_studies, stale
from ablate.run.slurm.queue import queued, read_queue
from ablate.simclr.config.effort import Sizes
from ablate.study.at_paper import drawn
from ablate.study.claims import plain_claim
from ablate.study.expand import expand
from ablate.study.identity import counts
from ablate.study.lint import lint
from ablate.study.load import LoadedProfile, LoadedStudy, load_profile, load_study
from ablate.study.trainer import Trainer
from ablate.study.trainers import find_trainer
from ablate.study.trial import Expansion, Trial

TO_RUN = ("new", "stale", "failed", "interrupted")
STATES = ("done", "running", "queued", "failed", "interrupted", "stale", "new")
GPU_HOURS = "GPU-hours"
_HOOK_HELP = "what these trials cost is unknown; they run all the same"


@dataclass(frozen=True)
class Plan:
    """A study at a profile, expanded, with the state of every trial."""

    loaded: LoadedStudy
    profile: str
    """Its name, and what --set changes of a trial beside it: `small+loss.temperature=0.3` is another table."""
    expansion: Expansion
    states: dict[str, str]
    """By trial key: one of STATES."""
    stale: dict[str, Stale]
    """Why, for those that are."""
    shared: dict[str, int]
    """Other studies -> how many of these trials they ask for too."""
    cost: Cost
    warnings: tuple[Problem, ...]
    causes: dict[str, str]
    """Trial key -> why its newest attempt failed, for those that did."""
    assumption: Assumption | None = None
    """What the cost is told from where nothing was measured; such a plan is not to be run."""
    sequential: bool = False
    """Whether seeds are added until claims are decided, which verdicts have to take into account."""

    @property
    def distinct(self) -> dict[str, Trial]:
        """The trials by key: two cells may be one trial."""
        return {trial.key: trial for trial in self.expansion.trials}

    @property
    def to_run(self) -> tuple[Trial, ...]:
        """Trials that are neither done nor running elsewhere, nor in a cluster's queue."""
        return tuple(trial for trial in self.distinct.values() if self.states[trial.key] in TO_RUN)

    @property
    def counts(self) -> Counter[str]:
        """How many trials are in each state."""
        return Counter(self.states[key] for key in self.distinct)

    @property
    def units(self) -> int:
        """GPUs that a trial takes, or 1 where it takes none: what its hours are multiplied by."""
        resources = self.expansion.resources
        return max(1, resources.nodes * resources.gpus_per_node)

    def keep_states(self, states: Iterable[str]) -> "Plan":
        """The same plan, to run those in these states only: others count as they are, and are left."""
        kept = set(states)
        left = {
            key: state if state in kept or state not in TO_RUN else f"{state} (left)"
            for key, state in self.states.items()
        }
        return replace(self, states=left)


def make_plan(
    study: str | LoadedStudy,
    profile: str,
    results: Results,
    overrides: Mapping[str, Any] | None = None,
    seeds: Iterable[int] | None = None,
    only: Mapping[str, Iterable[str]] | None = None,
    assume: str | None = None,
    keep: Callable[[Trial], bool] | None = None,
) -> Plan:
    """Read a study unless it was read already, expand it, look into its data folder, look up each trial's state.

    assume: a speed, as `--assume` takes it: the plan is to be looked at only, and needs no data. keep: which trials are
    asked for at all.
    Raises UserError for any mistake in the study, the options or the data, before anything runs.
    """
    loaded = load_study(study) if isinstance(study, str) else study
    of_profile = load_profile(profile, loaded.source.path)
    assumption = None if assume is None else parse_assumption(assume, _sizes(of_profile))
    trainer = without_data(find_trainer(loaded.study.trainer)) if assumption else None
    expansion = expand(loaded, of_profile, overrides, seeds, only, trainer)
    if keep is not None:
        expansion = replace(expansion, trials=tuple(filter(keep, expansion.trials)))
    if not expansion.trials:
        raise UserError("no trial is left after --only", help="leave out an --only, or give more values")
    now = time.time()
    distinct = {trial.key: trial for trial in expansion.trials}
    found = {key: trial_status(results.trial(key), now) for key in distinct}
    states: dict[str, str] = {key: status.state for key, status in found.items()}
    causes = {key: status.cause or "unknown" for key, status in found.items() if status.state == "failed"}
    scale = _scale(profile, overrides or {}, expansion.trainer)
    plans = load_plans(results, loaded.study.name)
    earlier = [plan for plan in plans if plan["profile"] == scale]
    missing = [trial for key, trial in distinct.items() if states[key] == "new"]
    outdated = stale(expansion, missing, earlier, results)
    states |= dict.fromkeys(outdated, "stale")
    states |= {key: "queued" for key in queued(results, read_queue(results)) if states.get(key) in TO_RUN}
    others = keys_of_other_studies(loaded.study.name, results)
    shared = {name: len(distinct.keys() & set(keys)) for name, keys in others.items()}
    alike = [trial["key"] for plan in reversed(plans) for trial in plan["trials"]]
    alike += [key for keys in others.values() for key in keys]
    to_run = [trial for key, trial in distinct.items() if states[key] in TO_RUN]
    done = [key for key in distinct if states[key] == "done"]
    cost = cost_of(expansion, to_run, done, alike, results, assumption)
    shown = {name: count for name, count in shared.items() if count}
    warnings = [
        *lint(loaded, expansion),
        *(Problem(told, help=_HOOK_HELP, kind="warning") for told in cost.hook_mistakes),
        *(Problem(told, kind="warning") for told in cautions(expansion, states, earlier, results, paired=keep is None)),
    ]
    return Plan(loaded, scale, expansion, states, outdated, shown, cost, tuple(warnings), causes, assumption)


def _sizes(profile: LoadedProfile) -> Sizes | None:
    """Of the data set that a profile is for."""
    assumed = profile.profile.assumed
    return Sizes(assumed.train_images, assumed.test_images) if assumed else None


def _scale(profile: str, overrides: Mapping[str, Any], trainer: Trainer) -> str:
    """The profile, with the overrides that make other trials: they stand beside the study's table, not in it."""
    changed = sorted(path for path in overrides if counts(trainer.config, path))
    return "+".join(
        [profile, *(f"{path}={json.dumps(overrides[path], default=str).strip(chr(34))}" for path in changed)]
    )


def record_plan(plan: Plan, results: Results, command: list[str]) -> Path:
    """Write what was planned: a trial.json for each trial that is to run, and the plan file; returns its path."""
    path = save_plan(results, plan.loaded.study.name, _as_record(plan, command))
    for trial in plan.to_run:
        folder = results.trial(trial.key)
        clear_cancel(folder)
        write_json(folder.trial, _spec(trial, plan, path.relative_to(results.root)))
    return path


def _spec(trial: Trial, plan: Plan, path: Path) -> dict[str, Any]:
    """What a worker needs to know of a trial; again where it did not end: its data may lie elsewhere now."""
    return {
        "key": trial.key,
        "pretrain_key": trial.pretrain_key,
        "trainer": plan.expansion.trainer.name,
        "recipe_version": plan.expansion.trainer.recipe_version,
        "plan": path.as_posix(),
        "config": _with_absolute_paths(trial.config, trial.config.model_dump(mode="json")),
    }


def _with_absolute_paths(config: Any, plain: Any) -> Any:
    """The settings with their folders and files as any process finds them."""
    if isinstance(config, Path):
        return str(config.absolute())
    if hasattr(type(config), "model_fields"):
        return {name: _with_absolute_paths(getattr(config, name), value) for name, value in plain.items()}
    return plain


def _as_record(plan: Plan, command: list[str]) -> dict[str, Any]:
    study, source = plan.loaded.study, plan.loaded.source
    return {
        "study": study.name,
        "profile": plan.profile,
        "design": plan.expansion.design,
        "title": study.title,
        "question": study.question,
        "trainer": study.trainer,
        "metric": study.metric,
        "references": [reference.model_dump(mode="json", exclude_unset=True) for reference in study.reference],
        "claims": [plain_claim(claim) for claim in study.claims],
        "paper_profile": study.paper_profile,
        **drawn(plan.loaded),
        **({"sequential": True} if plan.sequential else {}),
        "axes": [
            {"name": name, "setting": axis.setting, "values": axis.names, "label": axis.label}
            for name, axis in plan.expansion.axes.items()
        ],
        "cases": [{"name": case.name, "label": case.label} for case in study.cases],
        "exclude": study.exclude,
        "trials": [
            {"key": trial.key, "seed": trial.seed, "axes": trial.axes, "case": trial.case}
            for trial in plan.expansion.trials
        ],
        "file": {"path": str(source.path), "text": source.whole},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
    }


def unit(plan: Plan) -> str:
    """What the hours of a plan are hours of."""
    on_gpu = plan.expansion.resources.gpus_per_node or any("NVIDIA" in device for device in plan.cost.devices)
    return GPU_HOURS if on_gpu else "worker-hours"


def headline(plan: Plan) -> str:
    """One line: which study at which scale, how many trials in which state, how many will be trained."""
    trials, counts = plan.expansion.trials, plan.counts
    cells = len({(str(trial.axes), trial.case) for trial in trials})
    seeds = len({trial.seed for trial in trials})
    total = f"{_plural(len(plan.distinct), 'trial')} ({_plural(cells, 'cell')}, {_plural(seeds, 'seed')})"
    known = [state for state in STATES if counts[state]] + sorted(set(counts) - set(STATES))
    states = ", ".join(f"{counts[state]} {state}" for state in known)
    todo = f"training {len(plan.to_run)}" if plan.to_run else "nothing to train"
    images = getattr(getattr(trials[0].config, "data", None), "images", None)
    where = f"{plan.profile}, {images}" if images else plan.profile
    return f"{plan.loaded.study.title} [{where}]: {total}; {states}; {todo}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
