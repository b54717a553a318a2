"""Checks of a study whose trainer is a command: placeholders, files, and where its numbers are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablate.command.files import matching, named_by
from ablate.command.output import STDOUT, is_pattern
from ablate.command.words import PLACES, placeholders
from ablate.errors import InvalidValue, nearest, value_text
from ablate.study.schema.study import Study, axes_of
from ablate.study.toml.positions import Key
from ablate.study.toml.problems import Problems
from ablate.trainer.find import COMMAND_TRAINER

_KEYS = ("files", "metrics", "defaults", "environment")
_NAME = re.compile(r"[A-Za-z_]\w*")


def check_command(study: Study) -> Problems:
    """Problems of `command` and of the keys that go with it; those of a study without a command."""
    if not study.command:
        for given in sorted(study.model_fields_set & {*_KEYS, "command"}):
            message = (
                "command has no words" if given == "command" else f"{given} belongs to a command, which the study lacks"
            )
            yield message, (given,), 'for example command = ["python", "train.py", "--lr", "{lr}"]'
        return
    if study.trainer != COMMAND_TRAINER:
        yield "the study has both a command and a trainer", ("command",), "remove one of them"
        return
    if "metric" not in study.model_fields_set:
        help = 'name the number that cells are compared by, for example metric = "accuracy"'
        yield "the key 'metric' is missing", ("command",), help
    if study.evaluate:
        yield "[evaluate] needs a trainer that knows evaluations; a command does not", ("evaluate",), "use an axis"
    used: set[str] = set()
    for check in (_settings(study), _words(study, used), _metrics(study), _files(study)):
        yield from check
    for key, name, axis in axes_of(study):
        if axis.setting not in used and _NAME.fullmatch(axis.setting):
            message = f"the command does not use the axis '{name}'"
            yield message, key, f'add a placeholder, for example "--{axis.setting}={{{axis.setting}}}"'


def _settings(study: Study) -> Problems:
    named: list[tuple[Key, str, list[Any]]] = [
        (("defaults", name), name, [value]) for name, value in study.defaults.items()
    ]
    named += [((*key, "setting"), axis.setting, list(map(axis.value, axis.names))) for key, _, axis in axes_of(study)]
    for key, name, values in named:
        if not _NAME.fullmatch(name):
            message = f"'{name}' cannot be a setting of a command: it needs a name that a placeholder can have"
            yield message, key, "use letters, digits and _, and write the option's own name into the command"
        elif (name in PLACES or name == "command") and name != "seed":
            meaning = PLACES.get(name, "the command itself")
            yield f"'{name}' cannot be a setting of a command: it stands for {meaning}", key, f"for example {name}_"
        elif name == "seed" and key[0] == "defaults":
            yield "defaults.seed: every cell uses the seeds of the study", key, "use seeds = [...] instead"
        if any(isinstance(value, dict) for value in values):
            yield f"'{name}' is a table, which no word can stand for", key, "use an axis for each of its values"


def _words(study: Study, used: set[str]) -> Problems:
    """Problems of the command's words and variables; adds the names of their placeholders to `used`."""
    texts: Iterator[tuple[Key, str, str]]
    texts = ((("command", number), "command", word) for number, word in enumerate(study.command))
    variables = ((("environment", name), f"environment.{name}", text) for name, text in study.environment.items())
    for key, what, text in [*texts, *variables]:
        yield from _placeholders(study, key, what, text, used)
    for number, word in enumerate(study.command):
        try:
            named_by(word, Path.cwd())
        except InvalidValue as error:
            yield f"command: {value_text(word)} {error}", ("command", number), error.help


def _placeholders(study: Study, key: Key, what: str, text: str, used: set[str]) -> Problems:
    known = [*study.command_settings, *PLACES]
    values = study.command_settings
    try:
        found = list(placeholders(text))
    except InvalidValue as error:
        yield f"{what}: {value_text(text)} {error}", key, error.help
        return
    for each in found:
        used.add(each.name)
        if each.name not in known:
            message = f"{what}: {{{each.name}}} is not an axis, a default or a place{nearest(each.name, known)}"
            yield message, key, f"placeholders are: {', '.join(f'{{{name}}}' for name in known)}"
        elif each.yes is not None and not all(isinstance(value, bool) for value in values.get(each.name, [None])):
            message = f"{what}: {value_text(text)} needs a setting that is true or false"
            yield message, key, f"{{{each.name}}} stands for its value"


def _metrics(study: Study) -> Problems:
    if study.metrics == STDOUT:
        return
    if is_pattern(study.metrics):
        try:
            re.compile(study.metrics)
        except re.error as error:
            message = f"metrics is not a valid regular expression: {error}"
            yield message, ("metrics",), "for example metrics = 'accuracy (?P<accuracy>[0-9.]+)'"
    elif not study.metrics.endswith(".json"):
        message = f"metrics = {value_text(study.metrics)} is neither stdout, nor a JSON file, nor a regular expression"
        help = 'for example metrics = "{out}/metrics.json"; a regular expression has named groups, as (?P<accuracy>...)'
        yield message, ("metrics",), help
    else:
        yield from _placeholders(study, ("metrics",), "metrics", study.metrics, set())


def _files(study: Study) -> Problems:
    for number, pattern in enumerate(study.files):
        try:
            matching(Path.cwd(), pattern)
        except InvalidValue as error:
            yield f"files: {value_text(pattern)} {error}", ("files", number), error.help
