"""Evidence: a study's cells with their measured and published values, read by one query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import mean
from typing import Any

import duckdb
from pydantic_core import from_json

from ablate.judge.published import Published, of_paper, published_numbers
from ablate.judge.settings import Settings
from ablate.judge.statistics.paired import t_interval
from ablate.judge.statistics.pooled import spearman
from ablate.records.metric import lacking, numbers_of
from ablate.records.plan_file import PlanFile
from ablate.study.cells.cell import Cell, Scalar, distinct, short_titles

_QUERY = """
    SELECT axes, "case", cells.seed, key, coalesce(state, 'new'), seconds, cause, message, attempt, trainer,
        recipe_version, numbers, config
    FROM cells LEFT JOIN trials USING (key) WHERE study = ? AND profile = ? ORDER BY position
"""


@dataclass(frozen=True)
class MeasuredCell:
    """A cell with its measured value for each finished seed, and its published values."""

    cell: Cell
    title: str
    """All values of the cell: `crop, color`."""
    label: str
    """The values that distinguish the cell from the others of the study."""
    metric: str = "top1"
    """The study's metric."""
    numbers: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Seed -> metric -> value; top-1 in percent."""
    asked: tuple[int, ...] = ()
    """The planned seeds."""
    published: Mapping[str, Published] = field(default_factory=dict)
    """Metric -> the paper's number."""
    failed: Mapping[int, str] = field(default_factory=dict)
    """Seed -> cause, for the runs that failed."""

    @property
    def axes(self) -> Mapping[str, Scalar]:
        """Its value on each axis that it has."""
        return self.cell.axes

    @property
    def case(self) -> str | None:
        """The name of the case; None for a cell of the grid."""
        return self.cell.case

    @property
    def planned(self) -> int:
        """The count of planned trials. Claims ignore cells without any that also lack the metric."""
        return len(self.asked)

    def values(self, metric: str) -> dict[int, float]:
        """Seed -> value of a metric, for the seeds that have one."""
        return {seed: numbers[metric] for seed, numbers in sorted(self.numbers.items()) if metric in numbers}

    @cached_property
    def measured(self) -> tuple[float, ...]:
        """The study's metric of each finished seed."""
        return tuple(self.values(self.metric).values())

    @cached_property
    def mean(self) -> float | None:
        """Mean of the study's metric over the seeds."""
        return mean(self.measured) if self.measured else None

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean, by Student's t; None below 2 seeds."""
        return t_interval(self.measured)

    @property
    def paper(self) -> Published | None:
        """The published number of the study's metric."""
        return self.published.get(self.metric)


@dataclass(frozen=True)
class CellTrial:
    """A trial of one of the cells."""

    cell: int
    """The index of its cell in `Evidence.cells`."""
    seed: int
    key: str
    state: str
    value: float | None
    """The study's metric."""
    loss: float | None
    """What the trainer returned as `loss`."""
    seconds: float | None
    cause: str | None
    """Of a failure."""
    message: str | None
    attempt: str | None
    trainer: str | None
    recipe_version: int | None


@dataclass(frozen=True)
class Evidence:
    """The results of a study, by which claims are judged and from which pages are made."""

    plan: PlanFile
    cells: tuple[MeasuredCell, ...]
    trials: tuple[CellTrial, ...] = ()
    """Seeds within cells, in the order of the cells."""
    configs: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Key -> settings, for the trials that have a record."""
    lacking: str | None = None
    """A sentence if trials finished but none returned the study's metric."""

    @property
    def config(self) -> dict[str, Any]:
        """The settings of the first trial."""
        return next(iter(self.configs.values()), {})

    @property
    def axes(self) -> list[str]:
        """Names of the axes."""
        return [axis.name for axis in self.plan.axes]

    @property
    def metric(self) -> str:
        """The study's metric with its unit, for charts and tables."""
        return f"{self.title} (%)" if self.percent else self.title

    @property
    def title(self) -> str:
        """The metric in sentences."""
        return f"{'linear ' * self.of_paper}top-1" if self.plan.metric == "top1" else self.plan.metric

    @cached_property
    def percent(self) -> bool:
        """Whether the study's metric is in percent."""
        return self.in_percent(self.plan.metric)

    def in_percent(self, *metrics: str) -> bool:
        """Whether all of these are in percent. Of other trainers than the paper's, `top1` is if any value exceeds 1."""
        if self.of_paper:
            return all(each.endswith(("top1", "top5", "accuracy")) for each in metrics)
        return {*metrics} == {"top1"} and self._largest_top1 > 1

    @cached_property
    def _largest_top1(self) -> float:
        values = [value for cell in self.cells for value in cell.values("top1").values()]
        return max(values, default=100.0)

    @property
    def of_paper(self) -> bool:
        """Whether the trainer is the paper's method."""
        return of_paper(self.plan)

    @property
    def done(self) -> int:
        """The count of finished trials; one that belongs to two cells counts once."""
        return len({trial.key for trial in self.trials if trial.state == "done"})

    @property
    def asked(self) -> int:
        """The count of all trials."""
        return len({trial.key for trial in self.trials})

    def shown(self, value: float | None, decimals: int = 1) -> str:
        """A value of the metric as text: percent with these decimals, other numbers with four digits."""
        if value is None:
            return "\u2013"
        return f"{value:.{decimals}f}" if self.percent else f"{value:.4g}"

    @property
    def synthetic(self) -> bool:
        """Whether the images are synthetic textures."""
        return bool(self.config.get("data", {}).get("name") == "textures")

    @property
    def micro_batches(self) -> list[int]:
        """The sizes of micro-batches, if trials encoded their batches in parts."""
        return sorted({each["micro_batch"] for each in self.configs.values() if each.get("micro_batch") is not None})

    @cached_property
    def grid(self) -> tuple[MeasuredCell, ...]:
        """The cells of the axes, without the cases."""
        return tuple(cell for cell in self.cells if cell.case is None)

    @property
    def repeated(self) -> bool:
        """Whether some cell has several seeds and thus an interval."""
        return any(len(cell.measured) > 1 for cell in self.cells)

    @cached_property
    def rank_correlation(self) -> float | None:
        """Spearman's rank correlation over the cells that are both measured and published."""
        pairs = [(cell.mean, cell.paper.value) for cell in self.grid if cell.mean is not None and cell.paper]
        return spearman(*zip(*pairs, strict=True)) if len(pairs) > 2 else None  # scipy.stats is slow to import

    @cached_property
    def paper_cells(self) -> tuple[MeasuredCell, ...]:
        """The cells with published values, at the paper's own scale if the plan has it."""
        return published_cells(self.plan) if self.plan.paper else self.cells


def read_evidence(store: duckdb.DuckDBPyConnection, plan: PlanFile) -> Evidence:
    """All cells of a plan's design, in its order. Raises UserError if a reference does not fit its table."""
    cells: dict[Cell, dict[int, dict[str, float]]] = {}
    places: dict[Cell, int] = {}
    trials, configs, returned = [], {}, {}
    known: dict[tuple[str, str | None], Cell] = {}  # one for all seeds
    settings = Settings()
    failed: dict[Cell, dict[int, str]] = {}
    rows = store.execute(_QUERY, [plan.study, plan.profile]).fetchall()
    for axes, case, seed, key, state, *rest, result, config in rows:
        cell = known.get((axes, case)) or known.setdefault((axes, case), Cell(from_json(axes), case))
        whole = from_json(result) if result else {}
        cells.setdefault(cell, {})[seed] = numbers = numbers_of(whole)
        number = places.setdefault(cell, len(places))
        trials.append(CellTrial(number, seed, key, state, numbers.get(plan.metric), numbers.get("loss"), *rest))
        if config is not None and key not in configs:
            configs[key] = settings.of(config, seed)
        if state == "done":
            returned[key] = whole
        if state == "failed":
            failed.setdefault(cell, {})[seed] = rest[1] or "failed"
    asked = {cell: tuple(sorted(seeds)) for cell, seeds in cells.items()}
    measured = {cell: {seed: each for seed, each in seeds.items() if each} for cell, seeds in cells.items()}
    found = tuple(replace(each, failed=failed.get(each.cell, {})) for each in _cells(plan, [*cells], measured, asked))
    return Evidence(plan, found, tuple(trials), configs, lacking(plan.metric, returned.values()))


def published_cells(plan: PlanFile) -> tuple[MeasuredCell, ...]:
    """The cells at the paper's scale with their published values; none for a study without references."""
    return _cells(plan, plan.paper.cells, {}, {}, [axis.name for axis in plan.paper.axes]) if plan.paper else ()


def _cells(
    plan: PlanFile,
    cells: Sequence[Cell],
    numbers: Mapping[Cell, Mapping[int, Mapping[str, float]]],
    asked: Mapping[Cell, tuple[int, ...]],
    axes: Sequence[str] | None = None,
) -> tuple[MeasuredCell, ...]:
    """Cells with their titles, values and published values. axes: by default those of the plan."""
    titles = [plan.title_of(cell) for cell in cells]
    labels = distinct(cells, titles if plan.naming else short_titles(cells, titles))
    published = published_numbers(plan, cells, axes or [axis.name for axis in plan.axes])
    return tuple(
        MeasuredCell(
            cell, title, label, plan.metric, numbers.get(cell, {}), asked.get(cell, ()), published.get(cell, {})
        )
        for cell, title, label in zip(cells, titles, labels, strict=True)
    )
