"""A config file for `python -m ablate.simclr`, and its mistakes in words: file, line, key and the nearest name."""

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ablate.errors import Location, Problem, UserError, nearest, value_text
from ablate.simclr.config import Config


def read_config(path: Path) -> Config:
    """The settings of a TOML file. Raises UserError with all that is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise UserError(f"{path} cannot be read: {reason}") from error
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UserError(str(error).partition(" (at ")[0], location=_place(path, text, str(error))) from error
    except ValidationError as error:
        raise UserError(*(_problem(each, path, text) for each in error.errors(include_url=False))) from error


def _place(path: Path, text: str, message: str) -> Location:
    """The place that tomllib's message names."""
    lines = text.splitlines() or [""]
    found = re.search(r"at line (\d+), column (\d+)", message)
    line, column = (int(found[1]), int(found[2])) if found else (len(lines), len(lines[-1]) + 1)
    return Location(path, line, column, lines[min(line, len(lines)) - 1])


def _problem(detail: Any, path: Path, text: str) -> Problem:
    loc = tuple(map(str, detail["loc"]))
    key = ".".join(loc)
    location = _located(loc, path, text)
    if detail["type"] == "extra_forbidden":
        valid = list(_model_at(loc[:-1]).model_fields)
        where = f" in {'.'.join(loc[:-1])}" if loc[:-1] else ""
        help = f"keys are: {', '.join(valid)}"
        return Problem(f"unknown key {value_text(loc[-1])}{where}{nearest(loc[-1], valid)}", location, help)
    if detail["type"] == "value_error":
        return Problem(f"{key}: {detail['ctx']['error']}" if key else str(detail["ctx"]["error"]), location)
    message = f"{key} = {value_text(detail['input'])}"
    if detail["type"] == "literal_error":
        valid = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
        near = nearest(str(detail["input"]), valid)
        return Problem(f"{message} is not one of: {detail['ctx']['expected']}{near}", location)
    return Problem(f"{message}: {detail['msg'].replace('Input should', 'it must')}", location)


def _model_at(loc: tuple[str, ...]) -> type[BaseModel]:
    """The model of the table at a path."""
    model: type[BaseModel] = Config
    for name in loc:
        field = model.model_fields.get(name)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        model = field.annotation
    return model


def _located(loc: tuple[str, ...], path: Path, text: str) -> Location:
    """The first line that sets the last named part of a path; the file if none does."""
    for name in [part for part in reversed(loc) if not part.isdigit()]:
        for number, line in enumerate(text.splitlines(), 1):
            if found := re.search(rf"(?<![\w-]){re.escape(name)}(?=\"?\s*[=.\]])", line):
                return Location(path, number, found.start() + 1, line, len(name))
    return Location(path)
