"""What a plan would cost: from what trials like its own have taken, or from an assumption; and disk."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from ablate.records.files import Results
from ablate.run.assume import Assumption
from ablate.run.samples import HookMistake, Sample, measured, weighed
from ablate.study.trainer import SIMCLR, Trainer
from ablate.study.trial import Expansion, Trial

_MOST_WEIGHED = 20
Spread = tuple[float, float, float]
"""At the tenth percentile of the measured speeds, their median, their ninetieth percentile."""


@dataclass(frozen=True, slots=True)
class Price:
    """Hours that one trial takes: of a worker where it is measured, of a GPU where it is assumed."""

    trial: Trial
    pretraining: Spread
    """Nothing where it is done already; trials with one pretraining pay for it once."""
    evaluation: float
    assumed: bool = False


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
    assumed: int = 0
    """How many of the unknown ones are in `assumed_hours`."""
    assumed_hours: float = 0.0
    """GPU-hours, all GPUs of a trial together, as assumed: see run/assume.py."""
    assumed_largest: tuple[Trial, float] | None = None
    prices: tuple[Price, ...] = ()
    """Of each trial whose cost is known."""


def cost_of(
    expansion: Expansion,
    to_run: Sequence[Trial],
    done: Sequence[str],
    others: Iterable[str],
    results: Results,
    assumption: Assumption | None,
) -> Cost:
    """The cost of the trials of a plan that are to run. done, others: keys of trials that may tell what it takes."""
    trainer = expansion.trainer
    candidates = list(dict.fromkeys([*done, *others]))
    finished = set(done)
    maybe = {trial.pretrain_key for trial in expansion.trials if trial.key in finished}
    if trainer.name == SIMCLR:
        maybe |= {trial.pretrain_key for trial in to_run}
    pretrained = {key for key in maybe if _ended(trainer, results.pretrained(key))}
    new = len({trial.pretrain_key for trial in to_run} - pretrained)
    kept = done or [key for key in candidates if results.trial(key).result.exists()]
    disk = disk_bytes(results, kept, _entries(results.root / "pretrained"), len(to_run), new)
    return estimate(to_run, trainer, measured(trainer, results, candidates), pretrained, disk, assumption)


def _ended(trainer: Trainer, pretraining: Path) -> bool:
    """Whether the end of a pretraining still lies in its folder: gc may have removed it since its trial was done.

    simclr/checkpoint.py leaves `final-*.pt` there; what another trainer leaves nobody knows, so any file will do.
    """
    names = _entries(pretraining)
    if trainer.name == SIMCLR:
        return any(name.startswith("final-") and name.endswith(".pt") for name in names)
    return any(not name.startswith(".") for name in names)


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
    """The cost of trials that are to run. pretrained: keys of pretrainings that are done already."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.likeness, []).append(sample)
    groups = {likeness: _telling(group) for likeness, group in groups.items()}
    speeds = {likeness: _spread([sample.pretraining for sample in group]) for likeness, group in groups.items()}
    evaluations = {likeness: median(sample.evaluation for sample in group) for likeness, group in groups.items()}
    prices: list[Price] = []
    used: set[str] = set()
    mistakes: dict[str, str] = {}
    for trial in trials:
        likeness, work = "", None
        try:
            likeness, work = weighed(trainer, trial.config)
        except HookMistake as mistake:
            mistakes.setdefault(mistake.hook, str(mistake))
        once = 0.0 if trial.pretrain_key in pretrained else 1.0
        if likeness in groups and work is not None:
            used.add(likeness)
            low, middle, high = (speed * work * once / 3600 for speed in speeds[likeness])
            prices.append(Price(trial, (low, middle, high), evaluations[likeness] / 3600))
        elif assumption and (hours := assumption.gpu_hours(trainer, trial.config)):
            prices.append(Price(trial, (hours[0] * once,) * 3, hours[1], assumed=True))
    counted = [sample for likeness in used for sample in groups[likeness]]
    return _summed(len(trials), prices, counted, disk, tuple(mistakes.values()))


def _summed(
    trials: int, prices: Sequence[Price], counted: Sequence[Sample], disk: int | None, mistakes: tuple[str, ...]
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
        mistakes,
        len(assumed),
        total(assumed, paid)[1],
        assumed_largest,
        tuple(prices),
    )


def total(prices: Iterable[Price], paid: set[str] | None = None) -> Spread:
    """Hours of trials together: each trial once, and each pretraining once.

    paid: keys of trials and pretrainings that are counted elsewhere already; those of these are added.
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
    """The trial that takes longest, with its hours; of those with one pretraining, the first pays for it."""
    paid: set[str] = set()
    largest: tuple[Trial, float] | None = None
    for price in prices:
        hours = price.evaluation + (price.pretraining[1] if price.trial.pretrain_key not in paid else 0.0)
        paid.add(price.trial.pretrain_key)
        if largest is None or hours > largest[1]:
            largest = (price.trial, hours)
    return largest


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
