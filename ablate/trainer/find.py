"""Finding a trainer by its name: a function from config to numbers, the model of its settings, and its hooks."""

import importlib
import inspect
import math
import re
import sys
import typing
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic

from ablate.errors import UserError, nearest, value_text
from ablate.trainer.hooks import Trainer

DEFAULT_TRAINER = "ablate.simclr.trainer:train"
IMPORTED = "imported"
"""The trainer of studies whose runs were only imported."""
COMMAND_TRAINER = "ablate.command.trainer:train"
"""The trainer of studies with a `command`, which it starts."""
_BUILT_IN = {
    DEFAULT_TRAINER: "ablate.simclr.hooks",
    IMPORTED: "ablate.trainer.imported",
    COMMAND_TRAINER: "ablate.command.trainer",
}
"""Trainer -> the module with its `Config` and hooks, which imports no torch."""
_HOOKS = tuple(field.name for field in fields(Trainer) if field.name not in ("name", "config", "files"))
_CONSTANTS = {"recipe_version", "shares_parts", "shares_process", "remedies"}
_EXAMPLE = "trainer = 'package.module:function', where function(config, context) takes a pydantic model"


def is_built_in(name: str) -> bool:
    """Whether a trainer ships with ablate, as do the profiles of its settings and the published numbers."""
    return name == DEFAULT_TRAINER


def find_trainer(name: str = DEFAULT_TRAINER) -> Trainer:
    """The trainer `package.module:function`. Raises UserError if it cannot be imported or takes no config.

    Its module may be in the working folder, too.
    """
    trainer = _built_in(name) if name in _BUILT_IN else _imported(name)
    trainer.forget_files()
    return trainer


def parameter_counter(name: str) -> Callable[[dict[str, Any]], int | None] | None:
    """The hook that counts the parameters of a trial; None if the trainer has none or cannot be imported."""
    try:
        return find_trainer(name).count_parameters
    except UserError:  # reported where the trainer is needed
        return None


def limits_of(name: str, setting: str) -> tuple[float, float]:
    """The least and the most that a trainer accepts as a setting, infinite where it names no limit."""
    limits = {"ge": -math.inf, "le": math.inf}
    try:
        at: Any = find_trainer(name).config
    except UserError:
        return limits["ge"], limits["le"]
    for part in setting.split("."):
        field = getattr(at, "model_fields", {}).get(part)
        at = getattr(field, "annotation", None)
    for each in getattr(field, "metadata", ()):
        limits |= {end: value for end in limits if isinstance(value := getattr(each, end, None), (int, float))}
    return limits["ge"], limits["le"]


def remedy(name: str | None, cause: str) -> str | None:
    """What a trainer says that helps against a cause; None if it says nothing or cannot be imported."""
    try:
        return find_trainer(name).remedies.get(cause) if name else None
    except (UserError, AttributeError):
        return None


def built_in(name: str | None) -> Trainer | None:
    """A trainer of this package, whose hooks are quick to import; None for others, which only trials import."""
    return _built_in(name) if name in _BUILT_IN else None


@cache
def _built_in(name: str) -> Trainer:
    module = importlib.import_module(_BUILT_IN[name])
    return Trainer(name, module.Config, **_hooks(module, name))


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
    return Trainer(name, _config_of(function, name), **_hooks(module, name))


def _hooks(module: ModuleType, name: str) -> dict[str, Any]:
    """The fields of `Trainer` that a module sets."""
    given = {hook: hook.upper() if hook in _CONSTANTS else hook for hook in _HOOKS}
    found = {hook: getattr(module, attribute) for hook, attribute in given.items() if hasattr(module, attribute)}
    if not isinstance(version := found.get("recipe_version", 1), int):
        message = f"trainer = {value_text(name)}: RECIPE_VERSION = {value_text(version)} is not a whole number"
        raise UserError(message, help="for example RECIPE_VERSION = 2, after a change of what is computed")
    return found


def import_module(module_name: str, trainer: str) -> ModuleType:
    """Import a trainer's module, from the working folder too. Raises UserError with the reason."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"
        message = f"trainer = {value_text(trainer)}: {module_name} cannot be imported: {reason}"
        help = "run ablate in the folder that contains the package, or install the package"
        raise UserError(message, help=help) from error


def sources_of(trainer: str) -> list[Path]:
    """The code of a custom trainer: its package or module, and modules and packages beside it that it imports.

    Empty for a trainer that ships with ablate. Found are imports that are written in the code, wherever in it.
    """
    if trainer in _BUILT_IN:
        return []
    first = _top_of(trainer)
    if _INSTALLED & set(first.parts):
        return [first]
    return [first, *imported_beside(first)]


def imported_beside(first: Path) -> list[Path]:
    """The modules and packages beside a module or package that its code imports, and those that they import."""
    found, pending = [first], [first]
    while pending:
        for name in sorted(_imported_names(pending.pop())):
            beside = next(filter(_is_code, (first.parent / name, first.parent / f"{name}.py")), None)
            if beside and beside not in found:
                found.append(beside)
                pending.append(beside)
    return found[1:]


_INSTALLED = {"site-packages", "dist-packages"}
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+(\w+)[\w.]*[ \t]+import|import[ \t]+([\w., \t]+))", re.MULTILINE)


def _imported_names(source: Path) -> set[str]:
    """The first parts of the names of modules that a file, or the files of a package, may import."""
    names: set[str] = set()
    for path in source.rglob("*.py") if source.is_dir() else [source]:
        for one, several in _IMPORT.findall(path.read_text(encoding="utf-8", errors="replace")):
            names |= {one} if one else set(re.findall(r"\w+", several))
    return names


def _is_code(path: Path) -> bool:
    return path.is_file() if path.suffix == ".py" else next(path.glob("*.py"), None) is not None


def _top_of(trainer: str) -> Path:
    """The top-level package or module file of a trainer."""
    top = import_module(trainer.partition(":")[0].partition(".")[0], trainer)
    if not top.__file__:
        return Path(next(iter(top.__path__)))
    return Path(top.__file__).parent if hasattr(top, "__path__") else Path(top.__file__)


def without_files(trainer: Trainer) -> Trainer:
    """The trainer for a plan that is only printed: no data folder is read."""
    return replace(trainer, prepare=trainer.identify_by_path)


def without_missing_files(trainer: Trainer) -> Trainer:
    """The trainer for a plan that is only printed: data that are not on this machine are identified by their paths.

    Their trials' keys differ from those with the data.
    """

    def prepare(config: Any) -> Any:
        return trainer.prepare(config) if trainer.data_is_here(config) else trainer.identify_by_path(config)

    return replace(trainer, prepare=prepare)


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
        raise UserError(f"{shown}: {odd}", help="a trial's record and key must hold all of its settings")
    return config


def _odd_fields(config: type[pydantic.BaseModel]) -> Iterator[str]:
    """Problems of fields that a trial's record could not hold and give back unchanged."""
    for name, field in config.model_fields.items():
        where = f"{config.__name__}.{name}"
        if field.exclude:
            yield f"{where} is excluded from serialization"
        if field.alias or field.validation_alias or field.serialization_alias:
            yield f"{where} has an alias, but settings go by field names"
        default = field.default
        if type(default) is int and field.annotation is float:
            yield f"the default of {where} is {default}; write {default}.0, so that both are the same trial"
        if isinstance(field.annotation, type) and issubclass(field.annotation, pydantic.BaseModel):
            yield from _odd_fields(field.annotation)
