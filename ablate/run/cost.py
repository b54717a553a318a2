"""What a plan would cost, from what trials like its own have taken: time with its spread, and disk."""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from ablate.records.files import Results
from ablate.study.trainer import Trainer
from ablate.study.trial import Trial

_MOST_READ = 300
"""So many done trials are looked at, those of the same study first."""
_MOST_WEIGHED = 20


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


@dataclass(frozen=True)
class Cost:
    """Hours of one worker: a process on a CPU, or the GPUs of a trial; None where nothing like it was measured."""

    hours: float | None
    low: float | None
    """Tenth percentile of the measured speeds."""
    high: float | None
    samples: int
    """Done trials that this is drawn from."""
    devices: tuple[str, ...]
    """What they ran on."""
    unknown: int
    """Trials to run that no done one is like; not in `hours`."""
    largest: Trial | None
    largest_hours: float | None
    disk_bytes: int | None
    hook_mistakes: tuple[str, ...] = ()
    """Why trials are unknown whose trainer could not say how much work they are; the first of each hook."""


class _HookMistake(Exception):
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
        likeness, work = _weighed(trainer, config)
    except Exception:  # of a validator of someone's own too: the record may be of settings of long ago
        return None
    if not work:
        return None
    evaluation = float(result.get("evaluate_seconds") or 0.0)
    device = environment.get("device") or "cpu"
    shown = environment.get("processor") if device == "cpu" else device
    return Sample(likeness, max(seconds - evaluation, 0.0) / work, evaluation, str(shown or device), work)


def _weighed(trainer: Trainer, config: Any) -> tuple[str, float | None]:
    """A config's likeness and its work. Raises _HookMistake: the trainer may be anybody's."""

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
        raise _HookMistake(hook, told) from error


def estimate(
    trials: Sequence[Trial], trainer: Trainer, samples: Sequence[Sample], pretrained: set[str], disk: int | None
) -> Cost:
    """The cost of trials that are to run. pretrained: keys of pretrainings that are done already."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.likeness, []).append(sample)
    groups = {likeness: _telling(group) for likeness, group in groups.items()}
    speeds = {likeness: _spread([sample.pretraining for sample in group]) for likeness, group in groups.items()}
    evaluations = {likeness: median(sample.evaluation for sample in group) for likeness, group in groups.items()}
    total, unknown, trained = [0.0, 0.0, 0.0], 0, set(pretrained)
    largest: tuple[float, Trial] | None = None
    used: set[str] = set()
    mistakes: dict[str, str] = {}
    for trial in trials:
        try:
            likeness, work = _weighed(trainer, trial.config)
        except _HookMistake as mistake:
            mistakes.setdefault(mistake.hook, str(mistake))
            unknown += 1
            continue
        if likeness not in groups or work is None:
            unknown += 1
            continue
        used.add(likeness)
        once = 0.0 if trial.pretrain_key in trained else work
        trained.add(trial.pretrain_key)
        seconds = [speed * once + evaluations[likeness] for speed in speeds[likeness]]
        total = [sum(pair) for pair in zip(total, seconds, strict=True)]
        if largest is None or seconds[1] > largest[0]:
            largest = (seconds[1], trial)
    known = len(trials) > unknown
    counted = [sample for likeness in used for sample in groups[likeness]]
    return Cost(
        total[1] / 3600 if known else None,
        total[0] / 3600 if known else None,
        total[2] / 3600 if known else None,
        len(counted),
        tuple(sorted({sample.device for sample in counted})),
        unknown,
        largest[1] if largest else None,
        largest[0] / 3600 if largest else None,
        disk,
        tuple(mistakes.values()),
    )


def _telling(samples: list[Sample]) -> list[Sample]:
    """Without the trials that were so short that starting took most of their time, where there are longer ones."""
    most = max(sample.work for sample in samples)
    return [sample for sample in samples if sample.work >= most / 10]


def _spread(values: list[float]) -> tuple[float, float, float]:
    """Tenth percentile, median, ninetieth percentile; of fewer than three values the least and the greatest."""
    if len(values) < 3:
        return min(values), median(values), max(values)
    tenths = quantiles(values, n=10, method="inclusive")
    return tenths[0], median(values), tenths[-1]


def disk_bytes(results: Results, done: Sequence[str], pretrained: Iterable[str], trials: int, new: int) -> int | None:
    """Bytes that trials and new pretrainings will take, from those of done ones; None where there is none."""
    records = [_size(results.trial(key).path) for key in done[:_MOST_WEIGHED]]
    if not records:
        return None
    folders = [results.pretrained(key) for key in list(pretrained)[:_MOST_WEIGHED]]
    checkpoints = [_size(folder) for folder in folders if folder.is_dir()]
    return int(median(records) * trials + (median(checkpoints) * new if checkpoints else 0))


def _size(folder: Path) -> int:
    """Bytes of all files in a folder; those that vanish meanwhile are passed over: others may be at work in it."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(root) / name).stat().st_size
    return total
