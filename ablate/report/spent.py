"""What a study cost: hours in all, and of each cell."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean, median

from ablate.report.measured import Cell, Measured
from ablate.report.rows import Trial


@dataclass(frozen=True)
class CellCost:
    """What the finished trials of one cell took."""

    cell: Cell
    seconds: float
    """Mean over its seeds, of the attempt that finished."""
    pairs_per_second: float | None
    """Median over its seeds; None where the trainer does not log it."""


@dataclass(frozen=True)
class Spent:
    """What a study's trials took. A trial that other studies contain too counts in each of them."""

    hours: float
    """Of all attempts."""
    lost_hours: float
    """Of those attempts that did not finish their trial."""
    unit: str
    """`GPU-hours` or `worker-hours`; a trial counts once, on however many GPUs it ran."""
    pairs_per_second: float | None
    """Median over the trials."""
    cells: dict[int, CellCost]
    """By number of the cell, where something is done."""


def spent(measured: Measured) -> Spent:
    """The cost of what was measured."""
    took = {trial.key: trial.seconds or 0.0 for trial in measured.trials if trial.state == "done"}
    finishing = {(trial.key, trial.attempt) for trial in measured.trials if trial.state == "done"}
    finished = lost = 0.0
    for attempt in measured.attempts:
        if (attempt.key, attempt.name) in finishing:
            finished += attempt.seconds or took[attempt.key]
        else:
            lost += attempt.seconds
    speeds = {
        attempt.key: attempt.pairs_per_second
        for attempt in measured.attempts
        if attempt.pairs_per_second is not None and (attempt.key, attempt.name) in finishing
    }
    on_gpu = any(attempt.device not in (None, "cpu") for attempt in measured.attempts)
    return Spent(
        (finished + lost) / 3600,
        lost / 3600,
        "GPU-hours" if on_gpu else "worker-hours",
        _median(speeds.values()),
        _cells(measured, speeds),
    )


def _cells(measured: Measured, speeds: dict[str, float]) -> dict[int, CellCost]:
    done: dict[int, list[Trial]] = {}
    for trial in measured.trials:
        if trial.state == "done" and trial.seconds is not None:
            done.setdefault(trial.cell, []).append(trial)
    return {
        number: CellCost(
            measured.cells[number],
            mean(trial.seconds or 0.0 for trial in trials),
            _median(speeds[trial.key] for trial in trials if trial.key in speeds),
        )
        for number, trials in done.items()
    }


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None
