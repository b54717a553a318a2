"""Expanding a study at a profile into trials, in a stable order; without torch."""

import gc
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

import pydantic

from ablate.errors import Problem, UserError
from ablate.study.cells.cell import Cell
from ablate.study.expansion.command import trainer_of
from ablate.study.expansion.control import labels_and_sets
from ablate.study.expansion.design import Design, cells, design, layers_alone, wanted
from ablate.study.expansion.layers import CellSettings, Layer, default_at, merge, nested
from ablate.study.expansion.resolve import Resolver
from ablate.study.expansion.trial import Expansion, Keys, Trial, digest, identity, keys_of
from ablate.study.expansion.tune import held_out, stage_digest, staged, tuned_axes, tuned_layers, tuning_layers
from ablate.study.schema.design import RANDOM_REMOVALS
from ablate.study.schema.profile import LoadedProfile
from ablate.study.schema.resources import Resources
from ablate.study.schema.study import Axis, LoadedStudy, Study, axes_of
from ablate.trainer.find import is_built_in
from ablate.trainer.hooks import Trainer

_MOST_PROBLEMS = 20
_MOST_WRONG_CELLS = 2000
MOST_TRIALS = 1_000_000
"""The most trials of a study at a profile: more would take minutes to list and months to train."""


def expand(
    loaded: LoadedStudy,
    profile: LoadedProfile,
    overrides: Mapping[str, Any] | None = None,
    seeds: Iterable[int] | None = None,
    only: Mapping[str, Iterable[str]] | None = None,
    trainer: Trainer | None = None,
) -> Expansion:
    """The trials of a study, seeds within cells, cells in the order of the file, cases last.

    overrides: dotted settings that override both files, but not the settings of cells (`--set`). only: axis name ->
    values to keep, as text; cases are kept if `only` names them under `case`, or names no axis that they lack.
    trainer: replaces the one that the study names, for tests.

    Raises UserError with all problems of the study, including settings that are unknown or out of range.
    """
    study = loaded.study
    problems = list(loaded.problems)
    try:
        trainer = trainer or located_trainer(loaded)
        varied, tuned = design(study, profile.name), tuned_axes(study, profile.name)
        _check_overrides(overrides or {}, varied.axes | tuned)
        given = _given(loaded, profile, overrides or {})
        # The settings of a profile's file apply to the built-in trainer only.
        of_profile = Layer(profile.profile.base if is_built_in(study.trainer) else {}, profile.source, ("base",))
        lists = _lists(trainer, [of_profile, *given], loaded, varied)
        resolve = Resolver(trainer, [lists, of_profile, *given])
        keeps = wanted(study, varied, only or {})
        chosen = study.seeds_at(profile.name) if seeds is None else list(islice(seeds, MOST_TRIALS + 1))
        _check_size(varied, len(chosen), loaded)
        problems += [*resolve.always_wrong(), *_wrong_values(loaded, tuned, profile.name, resolve)]
        alone = layers_alone(study, varied, loaded.source)
        with _no_collection():
            every = list(staged(cells(study, varied, loaded.source), loaded, tuned, profile.name))
            trials = held_out(loaded, list(_trials(every, alone, keeps, chosen, resolve, trainer)))
    except UserError as error:
        raise UserError(*dict.fromkeys([*problems, *error.problems])) from error
    if problems:
        raise UserError(*problems)
    if not trials and not only:
        raise UserError("exclude removes every cell", location=loaded.source.locate(("exclude",)))
    axes = varied.axes | (tuned if loaded.tuning else {})
    digest_of = _design_digest(loaded, varied, tuned, resolve, trainer)
    about = (merge(given), len(every), trainer, _resources(study, profile), varied.naming, varied.sample)
    return Expansion(axes, tuple(trials), digest_of, *about, *labels_and_sets(study, resolve.settings))


def _wrong_values(loaded: LoadedStudy, tuned: Mapping[str, Axis], profile: str, resolve: Resolver) -> Iterator[Problem]:
    """Problems of tuned values, most of which no cell of the comparison has."""
    for axis in tuned.values():
        for layer in tuned_layers(loaded, axis, profile):
            yield from resolve.wrong_alone(layer)


def _lists(trainer: Trainer, layers: list[Layer], loaded: LoadedStudy, varied: Design) -> Layer:
    """The trainer's own lists from which cells remove items. Raises UserError for items that a list lacks."""
    places = {name: (*key, "remove") for key, name, _ in axes_of(loaded.study)}
    removing = {name: axis for name, axis in varied.axes.items() if axis.remove}
    own = {axis.setting: default_at(trainer.config, axis.setting) for axis in removing.values()}
    layer = Layer(nested({setting: value for setting, value in own.items() if isinstance(value, list)}))
    removals = [(f"axis '{name}'", nested(axis.settings(False)), places[name]) for name, axis in removing.items()]
    controls = loaded.study.every_case[len(loaded.study.cases) :]
    removals += [("design.random_removals", case.set, RANDOM_REMOVALS) for case in controls]
    problems = []
    for what, settings, key in removals:
        try:
            merge([layer, *layers, Layer(settings)])
        except ValueError as error:
            problems.append(Problem(f"{what}: {error}", loaded.source.locate(key)))
    if problems:
        raise UserError(*problems)
    return layer


@contextmanager
def _no_collection() -> Iterator[None]:
    """Disables the garbage collector: all objects made here are kept, and scanning them takes 10 % more time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def located_trainer(loaded: LoadedStudy) -> Trainer:
    """The trainer of a study; raises UserError with the place where the study names it."""
    try:
        return trainer_of(loaded.study)
    except UserError as error:
        location = loaded.source.locate(("trainer",))
        raise UserError(*(replace(problem, location=location) for problem in error.problems)) from error


def _check_size(varied: Design, seeds: int, loaded: LoadedStudy) -> None:
    if varied.size * seeds <= MOST_TRIALS:
        return
    counts = [f"{len(axis.values):,} {name}" for name, axis in varied.axes.items()]
    counts = [*counts[:10], *(["..."] if len(counts) > 10 else []), *([f"{seeds:,} seeds"] if seeds > 1 else [])]
    size = varied.size * seeds
    number = f"{size:,}" if size < 10**15 else f"10^{int(math.log10(size))}"
    message = f"the study has {number} trials; the maximum is {MOST_TRIALS:,}"
    help = f"that is {' x '.join(counts)}: remove values, or split it into several studies"
    raise UserError(message, location=loaded.source.locate(("axes",)), help=help)


def _given(loaded: LoadedStudy, profile: LoadedProfile, overrides: Mapping[str, Any]) -> list[Layer]:
    """The settings of all cells that come from the study and from `--set`."""
    return [
        Layer(loaded.study.defaults, loaded.source, ("defaults",)),
        Layer(loaded.study.base, loaded.source, ("base",)),
        Layer(loaded.study.overrides(profile.name).base, loaded.source, ("profile", profile.name, "base")),
        *tuning_layers(loaded),
        Layer(nested(overrides)),
    ]


def _trials(
    every: Iterable[CellSettings],
    alone: Iterator[Layer],
    keeps: Callable[[Cell], bool],
    seeds: list[int],
    resolve: Resolver,
    trainer: Trainer,
) -> Iterator[Trial]:
    keys = _keys(trainer)
    problems: dict[Problem, None] = {}
    wrong = 0
    for cell in every:
        try:
            config = resolve(cell, seeds[0])  # also for cells that are not wanted: problems are always reported
        except UserError as error:
            problems |= dict.fromkeys(error.problems)
            wrong += 1
            if len(problems) > _MOST_PROBLEMS or wrong >= _MOST_WRONG_CELLS:
                break
            continue
        if problems or not keeps(cell.cell):
            continue
        for seeded in _seeded(config, cell, seeds, resolve, trainer):
            try:
                key, pretrain_key = keys(seeded)
            except (TypeError, ValueError) as error:  # of a custom trainer
                message = f"a setting of trainer = '{trainer.name}' cannot be part of a trial's key: {error}"
                help = "settings must be text, finite numbers, booleans, lists or tables"
                raise UserError(message, help=help) from error
            yield Trial(cell.cell, seeded.__dict__["seed"], seeded, key, pretrain_key)
    if problems:
        for layer in islice(alone, _MOST_WRONG_CELLS):
            problems |= dict.fromkeys(resolve.wrong_alone(layer))
        stopped = len(problems) > _MOST_PROBLEMS or wrong >= _MOST_WRONG_CELLS
        more = [Problem("other cells may have more problems", kind="note")] if stopped else []
        raise UserError(*islice(problems, _MOST_PROBLEMS), *more)


def _seeded(
    config: pydantic.BaseModel, cell: CellSettings, seeds: list[int], resolve: Resolver, trainer: Trainer
) -> Iterator[pydantic.BaseModel]:
    """The config of a cell at each seed, given that of the first. A custom validator may depend on the seed."""
    yield config
    for seed in seeds[1:]:
        yield config.model_copy(update={"seed": seed}) if trainer.shares_parts else resolve(cell, seed)


def _keys(trainer: Trainer) -> Callable[[pydantic.BaseModel], tuple[str, str]]:
    """The function from a config to its key and its pretraining's key."""
    name, version = trainer.name, trainer.recipe_version
    if trainer.shares_parts:
        return Keys(name, version)
    return lambda config: keys_of(config, name, version)


def _design_digest(
    loaded: LoadedStudy, varied: Design, tuned: Mapping[str, Axis], resolve: Resolver, trainer: Trainer
) -> str:
    """Digest of all that a table of results depends on, except its seeds and which cells were requested."""
    study = loaded.study
    try:
        base: Any = identity(resolve(CellSettings(Cell({}), [])))
    except UserError:  # cells may set what the base lacks
        base = resolve.settings
    whole = {
        "base": base,
        "axes": {name: _plain_axis(axis) for name, axis in varied.axes.items()},
        "factors": [sorted(factor) for factor in varied.factors],
        **({"combined": varied.rule.model_dump(mode="json", exclude_unset=True)} if varied.rule else {}),
        "cases": [case.model_dump(mode="json") for case in study.cases],
        "exclude": study.exclude,
        "trainer": trainer.name,
        "recipe_version": trainer.recipe_version,
        **stage_digest(loaded, tuned),
    }
    return digest(whole)


def _plain_axis(axis: Axis) -> dict[str, Any]:
    """What a table of results depends on; `remove` only where it is used, so that older digests stay."""
    return axis.model_dump(mode="json", include={"setting", "values", "when", *(("remove",) if axis.remove else ())})


def _resources(study: Study, profile: LoadedProfile) -> Resources:
    """Those of the profile, overridden by the study, overridden by the study at this profile."""
    changes = study.overrides(profile.name).resources
    of_profile, of_study = (
        each.model_dump(exclude_unset=True, by_alias=True) for each in (profile.profile.resources, study.resources)
    )
    given = of_profile | of_study
    return Resources.model_validate(given | changes)


def _check_overrides(overrides: Mapping[str, Any], axes: dict[str, Axis]) -> None:
    for path in overrides:
        if path == "seed":
            raise UserError("--set seed=... has no effect: each trial has a seed of the study", help="use --seeds")
        for name, axis in axes.items():
            if axis.remove and axis.setting == path:
                continue  # removed from the list that is set
            if axis.setting == path or axis.setting.startswith(f"{path}.") or path.startswith(f"{axis.setting}."):
                message = f"--set {path}=... has no effect: the axis '{name}' sets it"
                raise UserError(message, help=f"use --only {name}=VALUE")
