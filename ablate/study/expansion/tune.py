"""Tuning: the values that each cell tries, the choice among them, and the cell with what it chose; pure functions."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median_low
from typing import Any

from ablate.errors import UserError
from ablate.study.cells.cell import Cell, Choice, Tried, is_number
from ablate.study.cells.condition import valid_condition
from ablate.study.expansion.layers import CellSettings, Layer, nested
from ablate.study.expansion.trial import Trial
from ablate.study.schema.chart import Chart
from ablate.study.schema.study import COLUMNS, Axis, LoadedStudy, Study
from ablate.study.schema.values import Tune
from ablate.trainer.find import is_built_in

_HELD_OUT = {"data.validation": 0.1}
"""What makes the SimCLR trainer's metrics ones of validation data."""
_WITHOUT_TOP1 = {"contrastive", "spectrum", "geometry", "histograms"}
"""The SimCLR trainer's evaluations that return nothing called `..._top1`: its `top1` comes from the first other one."""


def tuned_axes(study: Study, profile: str) -> dict[str, Axis]:
    """The tuned settings as axes, called by the last part of their path, or by all of it where that is taken."""
    if study.tune is None:
        return {}
    values = study.tune.settings | study.overrides(profile).tune
    last = [path.rpartition(".")[2] for path in values]
    taken = {*study.all_axes, *COLUMNS, *(name for name in last if last.count(name) > 1 or name.isdigit())}
    return {
        path.replace(".", "_") if name in taken else name: Axis(
            setting=path, values=own, when=study.tune.when.get(path)
        )
        for name, (path, own) in zip(last, values.items(), strict=True)
    }


def tuning_stage(loaded: LoadedStudy) -> LoadedStudy:
    """The study that chooses for one with `[tune]`: no claims, seeds of its own, called NAME_tuning."""
    study, tune = loaded.study, loaded.study.tune
    assert tune is not None
    changes = {
        "name": f"{study.name}_tuning",
        "title": f"{study.title}: tuning",
        "metric": tune.metric or study.metric,
        "seeds": tune.every_seed,
        "profile": {name: each.model_copy(update={"seeds": None}) for name, each in study.profile.items()},
        "claims": [],
        "reference": [],
        "chart": Chart(),
    }
    return replace(loaded, study=study.model_copy(update=changes), tuning=True, choices=())


def name_of(loaded: LoadedStudy) -> str:
    """The name by which commands take a study; of a first stage, that of the study for which it chooses."""
    return loaded.study.name.removesuffix("_tuning") if loaded.tuning else loaded.study.name


def tuning_layers(loaded: LoadedStudy) -> list[Layer]:
    """The settings of the trials that choose, in addition to those of all cells."""
    tune = loaded.study.tune
    if tune is None or not loaded.tuning:
        return []
    given = _HELD_OUT | tune.set if is_built_in(loaded.study.trainer) else tune.set
    return [
        Layer(nested({path: value}), loaded.source, ("tune", "set", path), below=path.count(".") + 1)
        for path, value in given.items()
    ]


def held_out(loaded: LoadedStudy, trials: list[Trial]) -> list[Trial]:
    """The trials of a stage. Raises UserError if those that choose would do it by test images of the SimCLR trainer."""
    study = loaded.study
    if not loaded.tuning or not is_built_in(study.trainer):
        return trials
    for trial in trials:
        config: Any = trial.config
        location = loaded.source.locate(("tune",))
        if config.data.validation is None:
            message = f"[tune] would choose by the test images: the trial {trial.label} has data.validation = none"
            help = "give data.validation a share such as 0.1, or leave it out of [tune] set, axes, cases and --set"
            raise UserError(message, location=location, help=help)
        gives = next((part for part in config.evaluate.parts if part not in _WITHOUT_TOP1), None)
        if study.metric == "top1" and gives == "transfer":
            message = (
                f"[tune] would choose by the transfer set's test images: top1 of the trial {trial.label} is theirs"
            )
            help = "put another part first in evaluate.parts, or name another metric in [tune]"
            raise UserError(message, location=location, help=help)
    return trials


def staged(
    cells: Iterable[CellSettings], loaded: LoadedStudy, axes: Mapping[str, Axis], profile: str
) -> Iterator[CellSettings]:
    """The cells of a stage: with every combination of the tuned values, or with what each cell chose.

    axes: those of `tuned_axes`; without any, the cells stay as they are. A cell without a choice has the first values.
    """
    if not axes:
        yield from cells
        return
    layers = {name: tuned_layers(loaded, axis, profile) for name, axis in axes.items()}
    known = [*loaded.study.choices, "case"]
    whens = {name: valid_condition(axis.when, known) for name, axis in axes.items() if axis.when}
    choices = {each.cell: each.values for each in loaded.choices}
    for each in cells:
        of_cell = {**each.cell.axes, "case": each.cell.case}
        own = [name for name in axes if (holds := whens.get(name)) is None or holds(of_cell)]
        if not loaded.tuning:
            values = choices.get(each.cell, {})
            chosen = [axes[name].names.index(values[name]) if name in values else 0 for name in own]
            yield CellSettings(each.cell, [*each.layers, *_placed(layers, own, chosen)])
            continue
        for places in itertools.product(*(range(len(axes[name].names)) for name in own)):
            tried = {name: axes[name].names[place] for name, place in zip(own, places, strict=True)}
            cell = Cell({**each.cell.axes, **tried}, each.cell.case)
            yield CellSettings(cell, [*each.layers, *_placed(layers, own, places)])


def _placed(layers: Mapping[str, list[Layer]], names: Sequence[str], places: Sequence[int]) -> list[Layer]:
    """The settings of the values at these places, one of each tuned setting."""
    return [layers[name][place] for name, place in zip(names, places, strict=True)]


def tuned_layers(loaded: LoadedStudy, axis: Axis, profile: str) -> list[Layer]:
    """The settings of each value of a tuned setting, located where the file has them."""
    overridden = axis.setting in loaded.study.overrides(profile).tune
    key = ("profile", profile, "tune", axis.setting) if overridden else ("tune", "settings", axis.setting)
    named = isinstance(axis.values, dict)
    return [
        Layer(
            nested(axis.settings(name)),
            loaded.source,
            (*key, str(name) if named else number),
            below=axis.setting.count(".") + 1,
            name=key,
        )
        for number, name in enumerate(axis.names)
    ]


def stage_digest(loaded: LoadedStudy, axes: Mapping[str, Axis]) -> dict[str, Any]:
    """What a table of results depends on besides the study's own cells; nothing without `[tune]`."""
    if loaded.study.tune is None:
        return {}
    tuned = {"tuned": {name: axis.model_dump(mode="json") for name, axis in axes.items()}}
    # The choices follow from the rule. They are not part of the digest: runs of some cells (--only) share a table.
    rule = loaded.study.tune.model_dump(mode="json", exclude={"settings", "when"})
    return tuned if loaded.tuning else tuned | {"rule": rule}


def choose(cell: Cell, scores: Sequence[tuple[Tried, float | None]], tune: Tune) -> Choice:
    """The choice of a cell by the mean score of each combination; of equal ones, the first in the order of the file.

    A combination with a trial that diverged has the score None, which is the worst.
    """
    finite = [(values, score) for values, score in scores if score is not None]
    ranked = sorted(finite, key=lambda each: each[1] if tune.lowest else -each[1])
    values = ranked[0][0] if ranked else scores[0][0]
    if ranked and values and tune.choose == "median of top 3":
        (name,) = values
        middle = median_low(own[name] for own, _ in ranked[:3])
        values = next(own for own, _ in ranked[:3] if own[name] == middle)
    return Choice(cell, values, tuple(scores))


def recorded_choices(loaded: LoadedStudy) -> dict[str, Any]:
    """The choices as a plan file holds them; empty without any."""
    tune = loaded.study.tune
    if tune is None or not loaded.choices:
        return {}
    cells = [
        {
            "axes": dict(each.cell.axes),
            "case": each.cell.case,
            "values": dict(each.values),
            "scores": [{"values": dict(values), "score": score} for values, score in each.scores],
        }
        for each in loaded.choices
    ]
    about = {"study": f"{loaded.study.name}_tuning", "metric": tune.metric or loaded.study.metric}
    return about | {"lowest": tune.lowest, "choose": tune.choose, "seeds": tune.every_seed, "cells": cells}


def beyond(values: Sequence[Any], best: Any) -> float | None:
    """The number to try next if the best of several numbers is the lowest or the highest; None if it is not.

    It continues them at that end: by their ratio if all are above 0, else by their difference. Nothing lies beyond 0,
    the least that most settings can be, if no number is below it.
    """
    numbers = sorted(values) if all(map(is_number, values)) else []
    if len(numbers) < 2 or best not in (numbers[0], numbers[-1]) or best == numbers[0] == 0:
        return None
    edge, inner = (numbers[0], numbers[1]) if best == numbers[0] else (numbers[-1], numbers[-2])
    return float(f"{edge * edge / inner if numbers[0] > 0 else 2 * edge - inner:.3g}")
