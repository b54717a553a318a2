"""A study file to start from."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pydantic

from ablate.errors import UserError, nearest
from ablate.study.mistakes import setting_paths
from ablate.study.schema import Case
from ablate.study.trainers import find_trainer

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
        Case(name=name, label="", set={})
    except pydantic.ValidationError as error:
        raise UserError(str(error.errors()[0]["ctx"]["error"]), help="for example ablate new temperature") from error
    path = folder / f"{name}.toml"
    if path.exists():
        raise UserError(f"{path} exists", help="give another name, or edit it")
    config = find_trainer().config
    paths = setting_paths(config)
    if setting not in paths:
        raise UserError(
            f"--setting {setting}: unknown setting{nearest(setting, paths)}", help="docs/settings.md has all"
        )
    chosen = _listed(values) if values is not None else _suggested(config, setting)
    axis = setting.rpartition(".")[2]
    title = name.replace("_", " ").capitalize()
    axis = axis if axis not in ("name", "seed") else setting.split(".")[-2]
    folder.mkdir(parents=True, exist_ok=True)
    text = _TEMPLATE.format(name=name, title=title, setting=setting, axis=axis, values=json.dumps(chosen))
    path.write_text(text, encoding="utf-8")
    return path


def _listed(values: str) -> list[Any]:
    return [_value(value.strip()) for value in values.split(",")]


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
