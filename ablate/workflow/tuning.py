"""The two stages of a study with `[tune]`: every cell chooses its values, then the cells are compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ablate.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ablate.records.files import Results
    from ablate.run.options import PlanOptions
    from ablate.run.plan import Plan
    from ablate.study.cells.cell import Cell, Choice, Tried
    from ablate.study.expansion.trial import Trial
    from ablate.study.schema.study import LoadedStudy


def plan_stage(
    loaded: LoadedStudy, options: PlanOptions, results: Results, keep: Callable[[Trial], bool] | None = None
) -> Plan:
    """Plan a study; of one with `[tune]`, the first stage until it has ended, and then the second."""
    if loaded.study.tune is None or loaded.tuning or loaded.choices:
        return _plan(loaded, options, results, keep)
    _check_seeds(loaded, options)
    first = plan_tuning(loaded, options, results)
    if first.counts["done"] + len(diverged(first, results)) < len(first.distinct):
        return first
    return _plan(replace(loaded, choices=choices_of(first, scores_of(first, results))), options, results, keep)


def plan_tuning(loaded: LoadedStudy, options: PlanOptions, results: Results) -> Plan:
    """The first stage of a study with `[tune]`, whether it has ended or not."""
    from ablate.study.expansion.tune import tuning_stage

    return _plan(tuning_stage(loaded), replace(options, seeds=None), results)


def diverged(first: Plan, results: Results) -> set[str]:
    """The keys of the trials that diverged, or returned NaN as the metric: they have ended, with the worst score."""
    from ablate.records.attempt import events_of

    metric, found = first.loaded.study.metric, set()
    for key, cause in first.causes.items():
        if first.states[key] != "failed" or cause not in ("diverged", "metric"):
            continue
        if cause == "metric":
            returned = events_of(results.trial(key).attempt_folders()[-1]).get("returned", {})
            if returned.get("metrics", {}).get(metric, "") is not None:  # NaN is recorded as null
                continue
        found.add(key)
    return found


def plan_comparison(first: Plan, options: PlanOptions, results: Results) -> Plan:
    """The second stage of a study with `[tune]` whose first one has not ended: with the first values in each cell."""
    from ablate.study.load import load_study

    return _plan(load_study(str(first.loaded.source.path)), options, results)


def _plan(
    loaded: LoadedStudy, options: PlanOptions, results: Results, keep: Callable[[Trial], bool] | None = None
) -> Plan:
    from ablate.run.plan import make_plan
    from ablate.run.slurm.queue import queued, read_queue

    profile = loaded.study.profile_named(options.profile)
    given = (options.settings, options.seeds, options.only, options.assume, keep)
    return make_plan(loaded, profile, results, *given, queued(results, read_queue(results)))


def _check_seeds(loaded: LoadedStudy, options: PlanOptions) -> None:
    """Raise UserError for seeds of the command line that are those of the trials that choose."""
    tune = loaded.study.tune
    if both := sorted({*(options.seeds or ())} & {*(tune.every_seed if tune else ())}):
        message = f"--seeds: seed {both[0]} is used by [tune], so the comparison must not use it"
        raise UserError(message, location=loaded.source.locate(("tune", "seeds")), help="choose other seeds")


def scores_of(first: Plan, results: Results) -> dict[str, float | None]:
    """Key -> the metric of each trial of the first stage, None if it diverged. Reads nothing else of their results."""
    from ablate.records.metric import as_number
    from ablate.records.reading import result_if_any

    metric = first.loaded.study.metric
    found: dict[str, float | None] = dict.fromkeys(diverged(first, results))
    for key, trial in first.distinct.items():
        if key in found:
            continue
        result = result_if_any(results.trial(key).result)
        if result and result.metrics.get(metric, "") is None:  # NaN, beside the metric of another study
            found[key] = None
            continue
        if (value := as_number(result.metrics.get(metric)) if result else None) is None:
            message = (
                f"the trial {trial.label} of {first.loaded.study.name} has no '{metric}', by which values are chosen"
            )
            raise UserError(message, help=f"ablate why {key[:12]} shows what it returned")
        found[key] = value
    return found


def choices_of(first: Plan, scores: Mapping[str, float | None]) -> tuple[Choice, ...]:
    """What each cell chooses by the mean over seeds of each combination of values. scores: trial key -> metric."""
    from ablate.study.expansion.tune import choose, tuned_axes

    study = first.loaded.study
    assert study.tune is not None
    names = list(tuned_axes(study, first.base_profile))
    found: dict[Cell, dict[Cell, tuple[Tried, list[float | None]]]] = {}
    for trial in first.expansion.trials:
        values = {name: trial.cell.axes[name] for name in names if name in trial.cell.axes}
        tries = found.setdefault(trial.cell.without(names), {})
        tries.setdefault(trial.cell, (values, []))[1].append(scores[trial.key])
    return tuple(
        choose(cell, [(values, _mean(own)) for values, own in tries.values()], study.tune)
        for cell, tries in found.items()
    )


def _mean(scores: Sequence[float | None]) -> float | None:
    """The mean; None if a trial diverged."""
    from statistics import fmean

    finite = [score for score in scores if score is not None]
    return fmean(finite) if len(finite) == len(scores) else None
