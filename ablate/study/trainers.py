"""The trainers that a study can ablate: a function from config to numbers, and the pydantic model of its settings."""

import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic

from ablate.errors import UserError, nearest
from ablate.simclr.config import RECIPE_VERSION, Config
from ablate.simclr.config.advice import advice
from ablate.simclr.config.cost import likeness, work
from ablate.simclr.data.listing import look
from ablate.simclr.fingerprints import by_path, fingerprinted
from ablate.study.trainer import SIMCLR, Trainer
from ablate.study.words import value_text

_EXAMPLE = "trainer = 'package.module:function', where function(config, context) takes a pydantic model"


def find_trainer(name: str = SIMCLR) -> Trainer:
    """The trainer `package.module:function`. Raises UserError where it cannot be imported or takes no config.

    Its module is looked for in the working folder too. SimCLR's needs no torch to be planned with.
    """
    if name == SIMCLR:
        look_once = cache(look)  # all cells of a study read one folder
        return Trainer(
            name,
            Config,
            RECIPE_VERSION,
            lambda config: fingerprinted(config, look_once),
            lambda config: work(config, look_once),
            likeness,
            advice,
            shares_parts=True,
        )
    return _imported(name)


@cache
def _imported(name: str) -> Trainer:
    module_name, colon, function_name = name.partition(":")
    if not colon or not module_name or not function_name:
        raise UserError(f"trainer = {value_text(name)} does not name a function", help=f"write {_EXAMPLE}")
    module = import_module(module_name, name)
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [other for other, value in vars(module).items() if inspect.isfunction(value)]
        near = nearest(function_name, known)
        raise UserError(f"trainer = {value_text(name)}: {module_name} has no such function{near}", help=_EXAMPLE)
    version = getattr(module, "RECIPE_VERSION", 1)
    if not isinstance(version, int):
        told = f"trainer = {value_text(name)}: RECIPE_VERSION = {value_text(version)} is no whole number"
        raise UserError(told, help="for example RECIPE_VERSION = 2, after a change of what is computed")
    hooks = {hook: getattr(module, hook) for hook in ("prepare", "work", "likeness") if hasattr(module, hook)}
    return Trainer(name, _config_of(function, name), version, **hooks)


def import_module(module_name: str, trainer: str) -> ModuleType:
    """Import a trainer's module, from the working folder too. Raises UserError with the reason."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        told = f"trainer = {value_text(trainer)}: {module_name} cannot be imported: {reason}"
        raise UserError(told, help="run it from the folder that its package lies in, or install the package") from error


def source_of(trainer: str) -> Path | None:
    """The top-level package or module file that a trainer of someone's own lies in; None for SimCLR's."""
    if trainer == SIMCLR:
        return None
    top = import_module(trainer.partition(":")[0].partition(".")[0], trainer)
    if not top.__file__:
        return Path(next(iter(top.__path__)))
    return Path(top.__file__).parent if hasattr(top, "__path__") else Path(top.__file__)


def _config_of(function: Callable[..., Any], name: str) -> type[pydantic.BaseModel]:
    shown = f"trainer = {value_text(name)}"
    try:
        parameters = list(inspect.signature(function).parameters)
        hints = typing.get_type_hints(function)
    except (NameError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{shown}: its annotations cannot be read: {error}", help=_EXAMPLE) from error
    config = hints.get(parameters[0]) if parameters else None
    if not (isinstance(config, type) and issubclass(config, pydantic.BaseModel)):
        raise UserError(f"{shown}: its first argument is not annotated with a pydantic model", help=_EXAMPLE)
    if "seed" not in config.model_fields:
        raise UserError(f"{shown}: {config.__name__} has no field 'seed'", help="add seed: int = 0, and use it")
    if odd := next(_odd_fields(config), None):
        raise UserError(f"{shown}: {odd}", help="what a trial trains with is what its record says, and its key")
    return config


def _odd_fields(config: type[pydantic.BaseModel]) -> Iterator[str]:
    """Fields that could not be written into a trial's record and read back as they were."""
    for name, field in config.model_fields.items():
        where = f"{config.__name__}.{name}"
        if field.exclude:
            yield f"{where} is excluded from what the model writes"
        if field.alias or field.validation_alias or field.serialization_alias:
            yield f"{where} has an alias, and settings go by their names"
        default = field.default
        if type(default) is int and field.annotation is float:
            yield f"the default of {where} is {default}; write {default}.0, so that it is one trial with {default}.0"
        if isinstance(field.annotation, type) and issubclass(field.annotation, pydantic.BaseModel):
            yield from _odd_fields(field.annotation)


def without_look(trainer: Trainer) -> Trainer:
    """The trainer for a plan that is only looked at: no data folder is looked into."""
    if trainer.name != SIMCLR:
        return replace(trainer, prepare=lambda config: config)
    return replace(trainer, prepare=by_path)
