"""A study file to start from."""

import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pydantic

from ablate.errors import UserError, nearest
from ablate.study.expand import expand
from ablate.study.load import known_profiles, load_profile, load_study
from ablate.study.mistakes import setting_paths
from ablate.study.schema import COLUMNS, DEFAULT_PROFILE, RESERVED_NAMES
from ablate.study.trainers import find_trainer, without_look
from ablate.study.values import Mistake, identifier
from ablate.study.words import toml, value_text

_TEMPLATE = """\
name = "{name}"
title = "{title}"
question = "What does {setting} change?"

# Settings of the trainer for every cell, over those of the profile. All of them: docs/settings.md
[base]
augment.transforms = ["crop", "color"]

# What is varied: every combination of values is a cell.
[axes.{axis}]
setting = "{setting}"
values = {values}

# Named cells beside the grid.
[[cases]]
name = "untrained"
label = "untrained encoder"
set.epochs = 0
"""


def new_study(name: str, setting: str, values: str | None, folder: Path = Path("studies")) -> Path:
    """Write a study that varies one setting; returns its file. Raises UserError; nothing is ever overwritten."""
    try:
        identifier(name)
    except Mistake as error:
        raise UserError(f"NAME = {value_text(name)}: {error}", help=error.help) from error
    if name in RESERVED_NAMES:
        raise UserError(f"NAME = '{name}' is a table of the store", help="give the study another name")
    path = folder / f"{name}.toml"
    if path.exists():
        raise UserError(f"{path} exists", help="give another name, or edit it")
    if setting == "seed":
        raise UserError("--setting seed: every study has seeds beside its axes", help="write seeds = 3 into the study")
    config = find_trainer().config
    paths = setting_paths(config)
    if setting not in paths:
        raise UserError(
            f"--setting {setting}: unknown setting{nearest(setting, paths)}", help="docs/settings.md has all"
        )
    chosen = _listed(values) if values is not None else _suggested(config, setting)
    if len(chosen) < 2 and values is None:
        raise _which_values(setting)
    title = name.replace("_", " ").capitalize()
    axis = setting.rpartition(".")[2]
    axis = setting.replace(".", "_") if axis == "name" or axis in COLUMNS else axis
    text = _TEMPLATE.format(name=name, title=title, setting=setting, axis=axis, values=toml(chosen))
    if values is None:
        try:
            _expand(text, path)
        except UserError as error:
            raise _which_values(setting, f"the ones at hand do not fit: {error.problems[0].message}") from error
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _listed(values: str) -> list[Any]:
    texts = [value.strip() for value in values.split(",")]
    if "" in texts:
        raise UserError(f"--values {values}: a value is empty", help="for example --values 0.1,0.5,1.0")
    return [_value(text) for text in texts]


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _which_values(setting: str, why: str = "") -> UserError:
    return UserError(f"--setting {setting}: which values?{why and ' '}{why}", help="add --values A,B,C")


def _expand(text: str, path: Path) -> None:
    """Expand a study as if it lay at a path already. Raises UserError for what `ablate check` would tell."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / path.name
        scratch.write_text(text, encoding="utf-8")
        loaded = load_study(str(scratch))
    if loaded.problems:
        raise UserError(*loaded.problems)
    if DEFAULT_PROFILE in known_profiles(path):
        trainer = without_look(find_trainer())
        expand(loaded, load_profile(DEFAULT_PROFILE, path), trainer=trainer)


def _suggested(config: type[pydantic.BaseModel], setting: str) -> list[Any]:
    """Half, once and twice the default, those in the field's limits; or every choice. Raises UserError for neither."""
    *parents, leaf = setting.split(".")
    model: Any = config
    for parent in parents:
        model = model.model_fields[parent].annotation
    field = model.model_fields[leaf]
    default = field.get_default(call_default_factory=True)
    if isinstance(default, bool):
        return [True, False]
    if isinstance(default, int):
        return _clipped((max(1, default // 2), default, default * 2), field.metadata)
    if isinstance(default, float):
        return _clipped((default / 2, default, default * 2), field.metadata)
    choices = [choice for choice in getattr(field.annotation, "__args__", ()) if isinstance(choice, str)]
    if choices:
        return choices
    raise _which_values(setting)


def _clipped(values: Iterable[float], limits: Sequence[Any]) -> list[float]:
    """Numbers put between a field's limits, each once, in order; those that an open limit shuts out are left out."""
    bounds = {
        name: [getattr(limit, name) for limit in limits if hasattr(limit, name)] for name in ("ge", "gt", "le", "lt")
    }
    clipped = {type(value)(min([max([value, *bounds["ge"]]), *bounds["le"]])) for value in values}
    inside = [value for value in clipped if all(value > least for least in bounds["gt"])]
    return sorted(value for value in inside if all(value < most for most in bounds["lt"]))
