"""What planning knows of a trainer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pydantic

SIMCLR = "ablate.simclr.trainer:train"
"""The trainer that ships."""


@dataclass(frozen=True)
class Trainer:
    """What planning knows of a trainer, without running it."""

    name: str
    """package.module:function."""
    config: type[pydantic.BaseModel]
    """Its settings; one of them is `seed`."""
    recipe_version: int = 1
    """The module's RECIPE_VERSION: part of every key, to be raised when the trainer's arithmetic changes."""
    prepare: Callable[[Any], Any] = lambda config: config
    """The module's `prepare`: the config with what its files hold filled in. Raises ValueError, or SettingError."""
    work: Callable[[Any], float | None] = lambda config: 1.0
    """The module's `work`: a number that grows with a trial's time, to tell costs by."""
    likeness: Callable[[Any], str] = lambda config: ""
    """Trials of one likeness take time in proportion to their work."""
    advice: Callable[[list[dict[str, Any]], dict[str, str]], list[tuple[str, str]]] = lambda cells, axes: []
    """What looks wrong in a comparison: settings of all cells, axis -> setting; gives (axis, warning)."""
    shares_parts: bool = False
    """Whether configs may share the models that they hold: those are frozen, and no validator writes into them."""
