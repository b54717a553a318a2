"""A study at a profile to trials, in a stable order: pure, and without torch."""

import gc
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

import pydantic

from ablate.errors import Problem, UserError
from ablate.study.cells import Design, cells, design, layers_alone, wanted
from ablate.study.identity import Keys, digest, identity, pretrain_key, trial_key
from ablate.study.layers import Cell, Layer, nested
from ablate.study.load import LoadedProfile, LoadedStudy
from ablate.study.resolve import Resolver
from ablate.study.schema import Axis, ProfileOverrides, Resources, Study
from ablate.study.trainer import SIMCLR, Trainer
from ablate.study.trainers import find_trainer
from ablate.study.trial import Expansion, Trial

_MOST_PROBLEMS = 20
_MOST_WRONG_CELLS = 2000
MOST_TRIALS = 1_000_000
"""Of one study at one profile: more would take minutes to list, and months to train."""


def expand(
    loaded: LoadedStudy,
    profile: LoadedProfile,
    overrides: Mapping[str, Any] | None = None,
    seeds: Iterable[int] | None = None,
    only: Mapping[str, Iterable[str]] | None = None,
    trainer: Trainer | None = None,
) -> Expansion:
    """The trials of a study, seeds within cells, cells in the order of the file, cases last.

    overrides: dotted settings that win over both files, not over what a cell sets (`--set`). only: axis name ->
    values to keep, as text; cases are kept where `only` names them under `case`, or no axis that they lack. trainer:
    instead of the one that the study names, as a test would have it.

    Raises UserError with every mistake of the study, and every setting that is unknown or out of range.
    """
    study = loaded.study
    problems = list(loaded.problems)
    try:
        trainer = trainer or _trainer(loaded)
        changes = study.profile.get(profile.name, ProfileOverrides())
        varied = design(study, changes, profile.name)
        _check_overrides(overrides or {}, varied.axes)
        resolve = Resolver(trainer, _layers(loaded, profile, changes, overrides or {}))
        keeps = wanted(study, varied, only or {})
        chosen = list(islice(seeds, MOST_TRIALS + 1)) if seeds is not None else _seeds(changes.seeds or study.seeds)
        _check_size(varied, len(chosen), loaded)
        problems += resolve.always_wrong()
        alone = layers_alone(study, varied, loaded.source)
        with _no_collection():
            trials = list(_trials(cells(study, varied, loaded.source), alone, keeps, chosen, resolve, trainer))
    except UserError as error:
        raise UserError(*dict.fromkeys([*problems, *error.problems])) from error
    if problems:
        raise UserError(*problems)
    if not trials and not only:
        raise UserError("no cell is left: exclude takes all of them away", place=loaded.source.place(("exclude",)))
    return Expansion(
        varied.axes, tuple(trials), _digest(study, varied, resolve, trainer), trainer, _resources(study, profile)
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """No search for garbage meanwhile: what expanding makes is kept, and looking through it costs a tenth more."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _trainer(loaded: LoadedStudy) -> Trainer:
    try:
        return find_trainer(loaded.study.trainer)
    except UserError as error:
        place = loaded.source.place(("trainer",))
        raise UserError(*(replace(problem, place=place) for problem in error.problems)) from error


def _check_size(varied: Design, seeds: int, loaded: LoadedStudy) -> None:
    if varied.size * seeds <= MOST_TRIALS:
        return
    counts = [f"{len(axis.values):,} {name}" for name, axis in varied.axes.items()]
    counts = [*counts[:10], *(["..."] if len(counts) > 10 else []), *([f"{seeds:,} seeds"] if seeds > 1 else [])]
    size = varied.size * seeds
    number = f"{size:,}" if size < 10**15 else f"10^{int(math.log10(size))}"
    told = f"{number} trials: a study has at most {MOST_TRIALS:,}"
    help = f"these are {' x '.join(counts)}: leave values out, or ask in several studies"
    raise UserError(told, place=loaded.source.place(("axes",)), help=help)


def _layers(
    loaded: LoadedStudy, profile: LoadedProfile, changes: ProfileOverrides, overrides: Mapping[str, Any]
) -> list[Layer]:
    """The settings that all cells have: a profile's hold for the trainer that ships only."""
    of_profile = profile.profile.base if loaded.study.trainer == SIMCLR else {}
    return [
        Layer(of_profile, profile.source, ("base",)),
        Layer(loaded.study.base, loaded.source, ("base",)),
        Layer(changes.base, loaded.source, ("profile", profile.name, "base")),
        Layer(nested(overrides)),
    ]


def _trials(
    points: Iterator[Cell], alone: Iterator[Layer], keeps: Any, seeds: list[int], resolve: Resolver, trainer: Trainer
) -> Iterator[Trial]:
    keys = _keys(trainer)
    problems: dict[Problem, None] = {}
    wrong = 0
    for cell in points:
        try:
            config = resolve(cell, seeds[0])  # cells that are not wanted too: a mistake is told whatever is asked for
        except UserError as error:
            problems |= dict.fromkeys(error.problems)
            wrong += 1
            if len(problems) > _MOST_PROBLEMS or wrong >= _MOST_WRONG_CELLS:
                break
            continue
        if problems or not keeps(cell):
            continue
        for seeded in _seeded(config, cell, seeds, resolve, trainer):
            try:
                key, pretrain_key = keys(seeded)
            except (TypeError, ValueError) as error:  # of a trainer of someone's own
                told = f"a setting of trainer = '{trainer.name}' cannot be part of a key: {error}"
                raise UserError(
                    told, help="settings are text, finite numbers, true, false, lists and tables"
                ) from error
            yield Trial(cell.axes, cell.case, seeded.__dict__["seed"], seeded, key, pretrain_key)
    if problems:
        for layer in islice(alone, _MOST_WRONG_CELLS):
            problems |= dict.fromkeys(resolve.wrong_alone(layer))
        stopped = len(problems) > _MOST_PROBLEMS or wrong >= _MOST_WRONG_CELLS
        more = [Problem("other cells may have more mistakes; these come first", kind="note")] if stopped else []
        raise UserError(*islice(problems, _MOST_PROBLEMS), *more)


def _seeded(
    config: pydantic.BaseModel, cell: Cell, seeds: list[int], resolve: Resolver, trainer: Trainer
) -> Iterator[pydantic.BaseModel]:
    """The config of a cell at each seed; `config` is that of the first. A validator may look at the seed."""
    yield config
    for seed in seeds[1:]:
        yield config.model_copy(update={"seed": seed}) if trainer.shares_parts else resolve(cell, seed)


def _keys(trainer: Trainer) -> Callable[[pydantic.BaseModel], tuple[str, str]]:
    """The function from a config to its key and its pretraining's."""
    name, version = trainer.name, trainer.recipe_version
    if trainer.shares_parts:
        return Keys(name, version)
    return lambda config: (trial_key(config, name, version), pretrain_key(config, name, version))


def _digest(study: Study, varied: Design, resolve: Resolver, trainer: Trainer) -> str:
    """Everything that a table of results depends on, but not its seeds, nor which cells were asked for."""
    try:
        base: Any = identity(resolve(Cell({}, None, [])))
    except UserError:  # cells may set what the base lacks
        base = resolve.settings
    axes = {
        name: axis.model_dump(mode="json", include={"setting", "values", "when"}) for name, axis in varied.axes.items()
    }
    return digest(
        {
            "base": base,
            "axes": axes,
            "factors": [sorted(factor) for factor in varied.factors],
            "cases": [case.model_dump(mode="json") for case in study.cases],
            "exclude": study.exclude,
            "trainer": trainer.name,
            "recipe_version": trainer.recipe_version,
        }
    )


def _resources(study: Study, profile: LoadedProfile) -> Resources:
    """The profile's, over them the study's, over them the study's at this profile."""
    changes = study.profile.get(profile.name, ProfileOverrides()).resources
    given = profile.profile.resources.model_dump(exclude_unset=True) | study.resources.model_dump(exclude_unset=True)
    return Resources.model_validate(given | changes)


def _seeds(seeds: int | list[int]) -> list[int]:
    return list(range(seeds)) if isinstance(seeds, int) else seeds


def _check_overrides(overrides: Mapping[str, Any], axes: dict[str, Axis]) -> None:
    for path in overrides:
        if path == "seed":
            raise UserError("--set seed=...: seeds of the study would replace it", help="use --seeds")
        for name, axis in axes.items():
            if axis.setting == path or axis.setting.startswith(f"{path}.") or path.startswith(f"{axis.setting}."):
                told = f"--set {path}=...: the axis '{name}' of the study would replace it"
                raise UserError(told, help=f"use --only {name}=VALUE")
