"""The trainer of a study: the one that it names, or one made of its command."""

import operator
from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import pydantic

from ablate.command.config import Command, Settings
from ablate.command.files import hashes, needed
from ablate.study.expansion.layers import NOTHING
from ablate.study.schema.study import Study
from ablate.trainer.find import COMMAND_TRAINER, find_trainer
from ablate.trainer.hooks import Trainer


def trainer_of(study: Study) -> Trainer:
    """The trainer of a study. Raises UserError if it cannot be imported."""
    trainer = find_trainer(study.trainer)
    if study.trainer != COMMAND_TRAINER:
        return trainer
    project = Path.cwd()
    files = needed(project, study.command, study.files)

    def prepare(config: Any) -> Any:
        command = config.command.model_copy(update={"files": hashes(project, files)})
        return config.model_copy(update={"command": command})

    return replace(trainer, config=_config(study), files=files, prepare=prepare)


def _config(study: Study) -> type[pydantic.BaseModel]:
    """The model of the command's settings: what the study gives a setting says which kind it is."""
    command = Command(words=tuple(study.command), metrics=study.metrics, environment=study.environment)
    fields: dict[str, Any] = {
        name: _field(name, study, values)
        for name, values in study.command_settings.items()
        if name.isidentifier() and name not in Settings.model_fields  # others were reported by `checks`
    }
    return pydantic.create_model("Command", __base__=Settings, command=(Command, command), **fields)


def _field(name: str, study: Study, values: list[Any]) -> tuple[Any, Any]:
    """The annotation and the default of a setting; without a default, the first value of its axis."""
    annotation = _annotation(values)
    default = study.defaults.get(name, values[0])
    if default == NOTHING and type(None) in getattr(annotation, "__args__", ()):
        return annotation, None
    return annotation, float(default) if annotation is float and isinstance(default, int) else default


def _annotation(values: Iterable[Any]) -> Any:
    """The type of values: numbers are whole if all are; among values that are not text, "none" means no value."""
    kinds = {type(value) for value in values}
    texts = {value for value in values if isinstance(value, str)}
    nothing = texts == {NOTHING} and len(kinds) > 1
    if nothing:
        kinds.discard(str)
    if float in kinds:
        kinds.discard(int)
    found = [list[Any] if kind is list else kind for kind in sorted(kinds, key=lambda kind: kind.__name__)]
    return reduce(operator.or_, [*found, *([None] if nothing else [])]) if len(found) + nothing > 1 else found[0]
