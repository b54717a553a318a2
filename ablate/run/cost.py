"""The cost of a plan: hours, from similar finished trials or an assumed speed, and disk space."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from ablate.records.attempt import is_done
from ablate.records.files import Results
from ablate.run.speeds import Assumption, HookError, Sample, measured_speeds, weighed
from ablate.study.expansion.trial import Expansion, Trial
from ablate.trainer.hooks import Trainer

_MOST_WEIGHED = 20
Spread = tuple[float, float, float]
"""Hours at the tenth percentile of the measured speeds, at their median, and at their ninetieth percentile."""


@dataclass(frozen=True, slots=True)
class Price:
    """The hours of one trial: worker-hours if its speed is measured, GPU-hours if it is assumed."""

    trial: Trial
    pretraining: Spread
    """Zero if the pretraining is done. Trials that share a pretraining pay for it once."""
    evaluation: float
    assumed: bool = False


@dataclass(frozen=True)
class Cost:
    """Hours of one worker (a process on a CPU, or the GPUs of a trial); None without similar finished trials."""

    hours: float | None
    low: float | None
    """Hours at the tenth percentile of the measured speeds."""
    high: float | None
    samples: int
    """The number of finished trials that the estimate is based on."""
    devices: tuple[str, ...]
    """The processors and GPUs that these trials ran on."""
    unknown: int
    """The number of trials to run without a similar finished trial; they are not part of `hours`."""
    largest: Trial | None
    largest_hours: float | None
    disk_bytes: int | None
    hook_errors: tuple[str, ...] = ()
    """The first error of each hook of the trainer that failed, which leaves trials unknown."""
    assumed: int = 0
    """The number of unknown trials that `assumed_hours` includes."""
    assumed_hours: float = 0.0
    """GPU-hours at the assumed speed, over all GPUs of a trial."""
    assumed_largest: tuple[Trial, float] | None = None
    prices: tuple[Price, ...] = ()
    """One for each trial with a known or assumed cost."""


def cost_of(
    expansion: Expansion,
    to_run: Sequence[Trial],
    done: Sequence[str],
    others: Iterable[str],
    results: Results,
    assumption: Assumption | None,
) -> Cost:
    """The cost of the trials to run. done, others: keys of trials from which it may be estimated."""
    trainer = expansion.trainer
    candidates = list(dict.fromkeys([*done, *others]))
    maybe = {trial.pretrain_key for trial in to_run}
    if not trainer.pretraining_ended:  # a folder alone says nothing: only that of a trial that is done counts
        finished = set(done)
        maybe &= {trial.pretrain_key for trial in expansion.trials if trial.key in finished}
    pretrained = {key for key in maybe if _ended(trainer, results.pretrained(key))}
    new = len({trial.pretrain_key for trial in to_run} - pretrained)
    kept = done or [key for key in candidates if is_done(results.trial(key))]
    disk = disk_bytes(results, kept, _entries(results.root / "pretrained"), len(to_run), new)
    speeds = measured_speeds(trainer, results, candidates) if to_run else []
    return estimate(to_run, trainer, speeds, pretrained, disk, assumption)


def _ended(trainer: Trainer, pretraining: Path) -> bool:
    """Whether the end of a pretraining is still in its folder: `ablate gc` may have removed it."""
    if trainer.pretraining_ended:
        return trainer.pretraining_ended(pretraining)
    return any(not name.startswith(".") for name in _entries(pretraining))


def _entries(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def estimate(
    trials: Sequence[Trial],
    trainer: Trainer,
    samples: Sequence[Sample],
    pretrained: set[str],
    disk: int | None,
    assumption: Assumption | None = None,
) -> Cost:
    """The cost of the trials to run. pretrained: keys of pretrainings that are done."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.likeness, []).append(sample)
    groups = {likeness: _long_enough(group) for likeness, group in groups.items()}
    speeds = {likeness: _spread([sample.pretraining for sample in group]) for likeness, group in groups.items()}
    evaluations = {likeness: median(sample.evaluation for sample in group) for likeness, group in groups.items()}
    prices: list[Price] = []
    used: set[str] = set()
    errors: dict[str, str] = {}
    for trial in trials:
        likeness, work = "", None
        try:
            likeness, work = weighed(trainer, trial.config)
        except HookError as error:
            errors.setdefault(error.hook, str(error))
        once = 0.0 if trial.pretrain_key in pretrained else 1.0
        if likeness in groups and work is not None:
            used.add(likeness)
            low, middle, high = (speed * work * once / 3600 for speed in speeds[likeness])
            prices.append(Price(trial, (low, middle, high), evaluations[likeness] / 3600))
        elif assumption and (hours := assumption.gpu_hours(trainer, trial.config)):
            prices.append(Price(trial, (hours[0] * once,) * 3, hours[1], assumed=True))
    counted = [sample for likeness in used for sample in groups[likeness]]
    return _summed(len(trials), prices, counted, disk, tuple(errors.values()))


def _summed(
    trials: int, prices: Sequence[Price], counted: Sequence[Sample], disk: int | None, errors: tuple[str, ...]
) -> Cost:
    measured = [price for price in prices if not price.assumed]
    assumed = [price for price in prices if price.assumed]
    paid: set[str] = set()
    low, middle, high = total(measured, paid)
    largest, assumed_largest = _largest(measured), _largest(assumed)
    return Cost(
        middle if measured else None,
        low if measured else None,
        high if measured else None,
        len(counted),
        tuple(sorted({sample.device for sample in counted})),
        trials - len(measured),
        largest[0] if largest else None,
        largest[1] if largest else None,
        disk,
        errors,
        len(assumed),
        total(assumed, paid)[1],
        assumed_largest,
        tuple(prices),
    )


def total(prices: Iterable[Price], paid: set[str] | None = None) -> Spread:
    """Hours of trials together: each trial once, and each pretraining once.

    paid: keys of trials and pretrainings that are already counted; the keys of these trials are added to it.
    """
    paid = set() if paid is None else paid
    low = middle = high = 0.0
    for price in prices:
        if price.trial.key in paid:
            continue
        once = price.trial.pretrain_key not in paid
        paid |= {price.trial.key, price.trial.pretrain_key}
        low += price.evaluation + once * price.pretraining[0]
        middle += price.evaluation + once * price.pretraining[1]
        high += price.evaluation + once * price.pretraining[2]
    return low, middle, high


def _largest(prices: Sequence[Price]) -> tuple[Trial, float] | None:
    """The trial that takes longest, with its hours. The first of those with the same pretraining pays for it."""
    paid: set[str] = set()
    hours: list[tuple[Trial, float]] = []
    for price in prices:
        once = price.pretraining[1] if price.trial.pretrain_key not in paid else 0.0
        paid.add(price.trial.pretrain_key)
        hours.append((price.trial, price.evaluation + once))
    return max(hours, key=lambda each: each[1], default=None)


def _long_enough(samples: list[Sample]) -> list[Sample]:
    """The samples without those much shorter than the longest: starting took most of their time."""
    most = max(sample.work for sample in samples)
    return [sample for sample in samples if sample.work >= most / 10]


def _spread(values: list[float]) -> tuple[float, float, float]:
    """Tenth percentile, median and ninetieth percentile; below three values, minimum, median and maximum."""
    if len(values) < 3:
        return min(values), median(values), max(values)
    tenths = quantiles(values, n=10, method="inclusive")
    return tenths[0], median(values), tenths[-1]


def disk_bytes(results: Results, done: Sequence[str], pretrained: Iterable[str], trials: int, new: int) -> int | None:
    """Bytes that trials and new pretrainings will take, estimated from finished ones; None if there are none."""
    records = [_size(results.trial(key).path) for key in done[:_MOST_WEIGHED]]
    if not records:
        return None
    folders = [results.pretrained(key) for key in list(pretrained)[:_MOST_WEIGHED]]
    checkpoints = [_size(folder) for folder in folders if folder.is_dir()]
    return int(median(records) * trials + (median(checkpoints) * new if checkpoints else 0))


def _size(folder: Path) -> int:
    """Bytes of all files in a folder. Files may vanish while this runs: other processes use the folder."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(root) / name).stat().st_size
    return total
