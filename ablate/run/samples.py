"""What done trials have taken, by what makes their time alike: the samples that costs are told from."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ablate.records.files import Results
from ablate.study.trainer import Trainer

_MOST_READ = 300
"""So many done trials are looked at, those of the same study first."""


@dataclass(frozen=True)
class Sample:
    """What one done trial took."""

    likeness: str
    pretraining: float
    """Seconds of pretraining for each unit of work."""
    evaluation: float
    """Seconds."""
    device: str
    work: float


class HookMistake(Exception):
    """What went wrong in a trainer's `work` or `likeness`, in a sentence; `hook` is its name."""

    def __init__(self, hook: str, message: str) -> None:
        super().__init__(message)
        self.hook = hook


def measured(trainer: Trainer, results: Results, keys: Iterable[str]) -> list[Sample]:
    """What done trials of this trainer took, of the first that are found."""
    samples: list[Sample] = []
    for key in keys:
        if len(samples) == _MOST_READ:
            break
        folder = results.trial(key)
        try:
            result = json.loads(folder.result.read_text(encoding="utf-8"))
            spec = json.loads(folder.trial.read_text(encoding="utf-8"))
            environment = json.loads((folder.attempts / result["attempt"] / "env.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if spec.get("trainer") == trainer.name and (sample := _sample(trainer, spec, result, environment)):
            samples.append(sample)
    return samples


def _sample(trainer: Trainer, spec: Any, result: Any, environment: Any) -> Sample | None:
    try:
        config, seconds = trainer.config.model_validate(spec["config"]), float(result["seconds"])
        likeness, work = weighed(trainer, config)
    except Exception:  # of a validator of someone's own too: the record may be of settings of long ago
        return None
    if not work:
        return None
    evaluation = float(result.get("evaluate_seconds") or 0.0)
    device = environment.get("device") or "cpu"
    shown = environment.get("processor") if device == "cpu" else device
    return Sample(likeness, max(seconds - evaluation, 0.0) / work, evaluation, str(shown or device), work)


def weighed(trainer: Trainer, config: Any) -> tuple[str, float | None]:
    """A config's likeness and its work. Raises HookMistake: the trainer may be anybody's."""

    def likeness(config: Any) -> str:
        if not isinstance(found := trainer.likeness(config), str):
            raise TypeError(f"it returns {found!r}, which is no text")
        return found

    def work(config: Any) -> float | None:
        found = trainer.work(config)
        if found is not None and not 0 <= float(found) < math.inf:
            raise ValueError(f"it returns {found!r}, which is no amount of work")
        return None if found is None else float(found)

    return _asked(trainer, "likeness", likeness, config), _asked(trainer, "work", work, config)


def _asked(trainer: Trainer, hook: str, ask: Callable[[Any], Any], config: Any) -> Any:
    try:
        return ask(config)
    except (Exception, SystemExit) as error:
        told = f"{hook}() of trainer = '{trainer.name}' fails: {type(error).__name__}: {error}"
        raise HookMistake(hook, told) from error
