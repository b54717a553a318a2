"""For authors of studies: a new study file, and copies of the studies that ship."""

import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pydantic

from ablate.errors import UserError, nearest, toml, value_text
from ablate.study.expansion.expand import expand
from ablate.study.from_command import new_path
from ablate.study.load import SHIPPED, known_profiles, load_profile, load_study
from ablate.study.schema.study import COLUMNS, DEFAULT_PROFILE
from ablate.study.toml.problems import setting_paths
from ablate.trainer.find import find_trainer, without_files

_TEMPLATE = """\
name = "{name}"
title = "{title}"
question = "What does {setting} change?"

# Trainer settings of every cell, overriding those of the profile. All settings: docs/settings.md
[base]
augment.transforms = ["crop", "color"]

# What is varied: every combination of values is a cell.
[axes.{axis}]
setting = "{setting}"
values = {values}

# Named cells in addition to the grid.
[[cases]]
name = "untrained"
label = "untrained encoder"
set.epochs = 0
"""


def new_study(name: str, setting: str, values: str | None, folder: Path = Path("studies")) -> Path:
    """Write a study that varies one setting and return its file, without overwriting any. Raises UserError."""
    path = new_path(name, folder)
    if setting == "seed":
        raise UserError("--setting seed: seeds are not an axis", help="set seeds = 3 in the study")
    config = find_trainer().config
    paths = setting_paths(config)
    if setting not in paths:
        message = f"--setting {setting}: unknown setting{nearest(setting, paths)}"
        raise UserError(message, help="docs/settings.md lists all settings")
    chosen = _listed(values) if values is not None else _suggested(config, setting)
    if len(chosen) < 2 and values is None:
        raise _which_values(setting)
    title = name.replace("_", " ").capitalize()
    axis = setting.rpartition(".")[2]
    axis = setting.replace(".", "_") if axis == "name" or axis in COLUMNS else axis
    text = _TEMPLATE.format(name=name, title=title, setting=setting, axis=axis, values=toml(chosen))
    try:
        _check(text, path, at_a_profile=values is None)
    except UserError as error:
        first = error.problems[0]
        if values is None:
            raise _which_values(setting, f"the suggested values are invalid: {first.message}") from error
        raise UserError(f"--values {values}: {first.message}", help=first.help) from error
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def copy_shipped(names: Sequence[str], folder: Path = Path("studies")) -> tuple[list[Path], list[Path]]:
    """Copy studies that ship with ablate, and all profiles, into a folder; returns the new files and those left alone.

    names: of studies; empty for all studies and suites. A file that exists is left as it is. Raises UserError for a
    name that no such study has.
    """
    studies = {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}
    for name in names:
        if name not in studies:
            message = f"no study called {value_text(name)} ships with ablate{nearest(name, studies)}"
            raise UserError(message, help=f"studies are: {', '.join(studies)}")
    wanted = [studies[name] for name in names] or [*studies.values(), *sorted(SHIPPED.glob("suites/*.toml"))]
    copied, left = [], []
    for source in [*dict.fromkeys(wanted), *sorted(SHIPPED.glob("profiles/*.toml"))]:
        path = folder / source.relative_to(SHIPPED)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as file:
                file.write(source.read_bytes())
            copied.append(path)
        except FileExistsError:
            left.append(path)
    return copied, left


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
    return UserError(f"--setting {setting} needs values{why and ': '}{why}", help="add --values A,B,C")


def _check(text: str, path: Path, at_a_profile: bool) -> None:
    """Check a study as if it were at a path. Raises UserError for problems that `ablate check` would report.

    at_a_profile: also those that its values have with the settings of the default profile.
    """
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / path.name
        scratch.write_text(text, encoding="utf-8")
        loaded = load_study(str(scratch))
    if loaded.problems:
        raise UserError(*loaded.problems)
    if at_a_profile and DEFAULT_PROFILE in known_profiles(path):
        expand(loaded, load_profile(DEFAULT_PROFILE, path), trainer=without_files(find_trainer()))


def _suggested(config: type[pydantic.BaseModel], setting: str) -> list[Any]:
    """Half, once and twice the default, within the field's limits; or every choice. UserError for other types."""
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
    """Different numbers, clipped to a field's limits, in order; without those that an open limit excludes."""
    bounds = {
        name: [getattr(limit, name) for limit in limits if hasattr(limit, name)] for name in ("ge", "gt", "le", "lt")
    }
    clipped = {type(value)(min([max([value, *bounds["ge"]]), *bounds["le"]])) for value in values}
    inside = [value for value in clipped if all(value > least for least in bounds["gt"])]
    return sorted(value for value in inside if all(value < most for most in bounds["lt"]))
