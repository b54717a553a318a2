"""A study file to start from."""

import tomllib
from pathlib import Path
from typing import Any

import pydantic

from ablate.errors import UserError, nearest
from ablate.study.mistakes import setting_paths
from ablate.study.schema import COLUMNS, RESERVED_NAMES
from ablate.study.trainers import find_trainer
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
    title = name.replace("_", " ").capitalize()
    axis = setting.rpartition(".")[2]
    axis = setting.replace(".", "_") if axis == "name" or axis in COLUMNS else axis
    folder.mkdir(parents=True, exist_ok=True)
    text = _TEMPLATE.format(name=name, title=title, setting=setting, axis=axis, values=toml(chosen))
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


def _suggested(config: type[pydantic.BaseModel], setting: str) -> list[Any]:
    """Half, once and twice the default; or every choice."""
    *parents, leaf = setting.split(".")
    model: Any = config
    for parent in parents:
        model = model.model_fields[parent].annotation
    field = model.model_fields[leaf]
    default = field.get_default(call_default_factory=True)
    if isinstance(default, bool):
        return [True, False]
    if isinstance(default, int):
        return sorted({max(1, default // 2), default, default * 2})
    if isinstance(default, float):
        return [default / 2, default, default * 2]
    choices = [choice for choice in getattr(field.annotation, "__args__", ()) if isinstance(choice, str)]
    if choices:
        return choices
    raise UserError(f"--setting {setting}: which values?", help="add --values A,B,C")
