"""A plan: which trials of a study are new, stale, running, failed or done, and what it costs to train the rest."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ablate.errors import Problem, UserError, visible
from ablate.records.compare import flat
from ablate.records.coordination import clear_cancel, make_trainable
from ablate.records.files import Results, write_json
from ablate.records.plain import LONGEST, plural
from ablate.records.plan_file import PlanAxis, PlanFile, PlannedTrial, parse_declarations
from ablate.records.plans import read_plans, save_plan
from ablate.records.together import together
from ablate.run.cost import Cost, cost_of
from ablate.run.history import Stale, cautions, keys_of_other_studies, recorded_states, stale
from ablate.run.speeds import Assumption, parse_assumption
from ablate.study.checks.lint import lint
from ablate.study.declared import declared
from ablate.study.expansion.command import trainer_of
from ablate.study.expansion.expand import expand
from ablate.study.expansion.trial import Expansion, Trial, counts
from ablate.study.load import load_profile, load_study
from ablate.study.schema.study import LoadedStudy
from ablate.trainer.find import without_missing_files
from ablate.trainer.hooks import Sizes, Trainer

TO_RUN = ("new", "stale", "failed", "interrupted", "damaged")
STATES = ("done", "running", "queued", "failed", "interrupted", "damaged", "stale", "new")
GPU_HOURS = "GPU-hours"
_LEFT = " (left)"
_HOOK_HELP = "cost unknown; the trials run anyway"


@dataclass(frozen=True)
class Plan:
    """A study at a profile, expanded, with the state of every trial."""

    loaded: LoadedStudy
    profile: str
    """Its name, and the settings changed with --set: `small+loss.temperature=0.3` has its own table."""
    base_profile: str
    """The profile alone: `small`."""
    overrides: dict[str, str]
    """The settings in `profile`, as text."""
    expansion: Expansion
    states: dict[str, str]
    """Trial key -> one of STATES."""
    stale: dict[str, Stale]
    """Trial key -> why it is stale, for those that are."""
    shared: dict[str, int]
    """Other studies -> how many of these trials they plan too."""
    cost: Cost
    warnings: tuple[Problem, ...]
    causes: dict[str, str]
    """Trial key -> cause of the failure of its newest attempt, for those that failed."""
    assumption: Assumption | None = None
    """The speed that costs are estimated with if nothing was measured. Such a plan cannot run."""
    sequential: bool = False
    """Whether seeds are added until claims are decided; the verdicts are corrected for it."""
    most_seeds: int = 0
    """Then: the limit of seeds per cell."""

    @property
    def distinct(self) -> dict[str, Trial]:
        """The trials by key. Two cells may share a trial."""
        return {trial.key: trial for trial in self.expansion.trials}

    @property
    def to_run(self) -> tuple[Trial, ...]:
        """Trials that are neither done, nor running elsewhere, nor in a cluster's queue."""
        return tuple(trial for trial in self.distinct.values() if self.states[trial.key] in TO_RUN)

    @property
    def asked(self) -> tuple[str, ...]:
        """The keys of the trials that a run of the plan is to complete: all but those that `keep_states` left."""
        return tuple(key for key in self.distinct if not self.states[key].endswith(_LEFT))

    @property
    def counts(self) -> Counter[str]:
        """State -> number of trials."""
        return Counter(self.states[key] for key in self.distinct)

    @property
    def units(self) -> int:
        """GPUs of a trial, or 1 if it uses none: a trial's hours times this are its GPU-hours."""
        resources = self.expansion.resources
        return max(1, resources.nodes * resources.gpus_per_node)

    def keep_states(self, states: Iterable[str]) -> "Plan":
        """The same plan with only the trials in these states to run; the others are marked `(left)`."""
        kept = {*states, "done"}
        left = {key: state if state in kept else f"{state}{_LEFT}" for key, state in self.states.items()}
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
    queued: Collection[str] = (),
) -> Plan:
    """Load a study, expand it, and look up the state of each trial and its cost.

    assume: a speed, as for `--assume`: such a plan cannot run, and needs no data. keep: selects trials. queued: keys of
    the trials in a cluster's queue. Raises UserError for every error in the study, the options or the data.
    """
    loaded = load_study(study) if isinstance(study, str) else study
    of_profile = load_profile(profile, loaded.source.path)
    sizes = Sizes(of.train_images, of.test_images) if (of := of_profile.profile.assumed) else None
    assumption = None if assume is None else parse_assumption(assume, sizes)
    trainer = without_missing_files(trainer_of(loaded.study)) if assumption else None
    expansion = _select(expand(loaded, of_profile, overrides, seeds, only, trainer), keep)
    kept = _kept(overrides or {}, expansion.trainer)
    table = "+".join([profile, *(f"{path}={value}" for path, value in kept.items())])
    plans, damaged = read_plans(results, loaded.study.name)
    earlier = [plan for plan in plans if plan.profile == table]
    distinct = {trial.key: trial for trial in expansion.trials}
    recorded = recorded_states(distinct, results, loaded.study.metric)
    states, causes = recorded.states, recorded.causes
    outdated = stale(expansion, [trial for key, trial in distinct.items() if states[key] == "new"], earlier, results)
    states |= dict.fromkeys(outdated, "stale")
    states |= {key: "queued" for key in queued if states.get(key) in TO_RUN}
    others = keys_of_other_studies(loaded.study.name, results)
    similar = [trial.key for plan in reversed(plans) for trial in plan.trials]
    similar += [key for keys in others.values() for key in keys]
    to_run = [trial for key, trial in distinct.items() if states[key] in TO_RUN]
    done = [key for key in distinct if states[key] == "done"]
    cost = cost_of(expansion, to_run, done, similar, results, assumption)
    hints = [*damaged, *recorded.remarks, *cautions(expansion, states, earlier, results, paired=keep is None)]
    warnings = (*lint(loaded, expansion), *_warnings(cost.hook_errors, _HOOK_HELP), *_warnings(hints))
    shared = {study: count for study, keys in others.items() if (count := len(distinct.keys() & set(keys)))}
    return Plan(loaded, table, profile, kept, expansion, states, outdated, shared, cost, warnings, causes, assumption)


def _select(expansion: Expansion, keep: Callable[[Trial], bool] | None) -> Expansion:
    """The expansion with the selected trials only. Raises UserError if none is left."""
    trials = expansion.trials if keep is None else tuple(filter(keep, expansion.trials))
    if not trials:
        raise UserError("--only matches no trial", help="remove an --only, or add values")
    return replace(expansion, trials=trials)


def _warnings(messages: Iterable[str], help: str | None = None) -> list[Problem]:
    return [Problem(message, help=help, kind="warning") for message in messages]


def _kept(overrides: Mapping[str, Any], trainer: Trainer) -> dict[str, str]:
    """The overrides that make other trials, whose results have a table of their own, as text."""
    changed = sorted(path for path in overrides if counts(trainer.config, path))
    return {path: json.dumps(overrides[path], default=str).strip('"') for path in changed}


def record_plan(plan: Plan, results: Results, command: list[str], seen: Callable[[Path], str] = str) -> Path:
    """Write the plan file, and a trial.json for each trial to run, with paths as `seen`; returns the plan file's."""

    def record(trial: Trial) -> None:
        damaged = plan.states[trial.key] == "damaged"
        with suppress(PermissionError) if damaged else nullcontext():  # it fails alone
            if damaged:
                make_trainable(results, trial.key)
            clear_cancel(results.trial(trial.key))
            write_json(results.trial(trial.key).trial, _spec(trial, plan, path.relative_to(results.root), seen))

    path = save_plan(results, plan_file(plan, command))
    together(record, plan.to_run)
    for key in [key for key, state in plan.states.items() if state == "queued"]:
        clear_cancel(results.trial(key))  # its job has other trials, and waits
    return path


def _spec(trial: Trial, plan: Plan, path: Path, seen: Callable[[Path], str]) -> dict[str, Any]:
    """The content of trial.json, what a worker needs. Rewritten for each run, since data may have moved."""
    return {
        "key": trial.key,
        "pretrain_key": trial.pretrain_key,
        "trainer": plan.expansion.trainer.name,
        "recipe_version": plan.expansion.trainer.recipe_version,
        "plan": path.as_posix(),
        "config": _with_absolute_paths(trial.config, trial.config.model_dump(mode="json"), seen),
    }


def _with_absolute_paths(config: Any, plain: Any, seen: Callable[[Path], str]) -> Any:
    """The settings with absolute paths, which are valid in any process that sees files as the one that trains."""
    if isinstance(config, Path):
        return seen(config.absolute())
    if hasattr(type(config), "model_fields"):
        return {name: _with_absolute_paths(getattr(config, name), value, seen) for name, value in plain.items()}
    return plain


def plan_file(plan: Plan, command: list[str]) -> PlanFile:
    """The plan as its file records it. command: what was typed."""
    loaded, expansion = plan.loaded, plan.expansion
    return PlanFile(
        study=loaded.study.name,
        profile=plan.profile,
        base_profile=plan.base_profile,
        overrides=plan.overrides,
        base=flat(expansion.given),
        title=loaded.study.title,
        question=loaded.study.question,
        trainer=loaded.study.trainer,
        metric=loaded.study.metric,
        axes=tuple(
            PlanAxis(name, tuple(axis.names), axis.label, axis.setting) for name, axis in expansion.axes.items()
        ),
        exclude=tuple(loaded.study.exclude),
        **{name: getattr(expansion, name) for name in ("design", "cases", "size", "removable")},
        trials=tuple(PlannedTrial(trial.cell, trial.seed, trial.key) for trial in expansion.trials),
        sequential=plan.sequential,
        most_seeds=plan.most_seeds,
        path=str(loaded.source.path),
        text=loaded.source.whole,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(command),
        **parse_declarations(declared(loaded)),
    )


def unit(plan: Plan) -> str:
    """The unit of a plan's hours."""
    on_gpu = plan.expansion.resources.gpus_per_node or any("NVIDIA" in device for device in plan.cost.devices)
    return GPU_HOURS if on_gpu else "worker-hours"


def headline(plan: Plan) -> str:
    """One line: the study and its profile, the number of trials in each state, and how many will be trained."""
    trials, counts = plan.expansion.trials, plan.counts
    cells, seeds = len({trial.cell for trial in trials}), len({trial.seed for trial in trials})
    total = f"{plural(len(plan.distinct), 'trial')} ({plural(cells, 'cell')}, {plural(seeds, 'seed')})"
    known = [state for state in STATES if counts[state]] + sorted(set(counts) - set(STATES))
    states = ", ".join(f"{counts[state]} {state}" for state in known)
    todo = f"training {len(plan.to_run)}" if plan.to_run else "nothing to train"
    data = plan.expansion.trainer.describe_data(trials[0].config)
    where = f"{plan.profile}, {data}" if data else plan.profile
    return f"{visible(plan.loaded.study.title, LONGEST)} [{where}]: {total}; {states}; {todo}"
