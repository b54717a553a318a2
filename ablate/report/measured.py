"""What was measured for a study at a profile, beside what the paper publishes: plain values for a page."""

import json
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

import duckdb

from ablate.judge import cells as judge
from ablate.judge.correlation import spearman
from ablate.judge.paired import t_interval
from ablate.judge.published import published_cells, references
from ablate.judge.scale import scale_of
from ablate.records.consistency import differences, unpaired
from ablate.records.files import Results
from ablate.records.metric import lacking
from ablate.records.plans import newest_plan
from ablate.records.store import store_of
from ablate.report.rows import Attempt, Trial, attempts_of, finished_numbers, trials_of


@dataclass(frozen=True)
class Cell:
    """One cell or case over its seeds, with the paper's number where it has one."""

    axes: dict[str, Any]
    case: str | None
    label: str
    values: tuple[float, ...]
    """The study's metric of each finished seed."""
    trials: int
    paper: float | None
    paper_status: str | None

    @property
    def mean(self) -> float | None:
        """Mean over the seeds."""
        return mean(self.values) if self.values else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean, by Student's t; None below 2 seeds."""
        return t_interval(self.values)


@dataclass(frozen=True)
class Measured:
    """Everything that a page shows."""

    plan: dict[str, Any]
    """The newest plan file: title, question, axes; its `reference` is the first of its references."""
    profile: str
    cells: tuple[Cell, ...]
    trials: tuple[Trial, ...]
    attempts: tuple[Attempt, ...]
    """Of its trials, those that did not end well too."""
    configs: tuple[dict[str, Any], ...]
    """The settings of each trial that has a record, in the order of the trials."""
    precisions: tuple[str, ...]
    micro_batches: tuple[int, ...]
    """The parts in which trials encoded their batches, where they did."""
    environments: tuple[dict[str, Any], ...]
    """Each surrounding that trials ran in."""
    cautions: tuple[str, ...]
    """What makes the results hard to compare."""
    lacking: str | None
    """What to say where trials are done, and none has the study's metric."""

    @property
    def config(self) -> dict[str, Any]:
        """The settings of the first trial."""
        return next(iter(self.configs), {})

    @property
    def axes(self) -> list[str]:
        """Names of the axes."""
        return [axis["name"] for axis in self.plan["axes"]]

    @property
    def metric_name(self) -> str:
        """The metric as the trainer returns it."""
        return str(self.plan.get("metric") or "top1")

    @property
    def title(self) -> str:
        """The metric as sentences call it."""
        return "linear top-1" if self.metric_name == "top1" else self.metric_name

    @property
    def metric(self) -> str:
        """The metric with its unit, as charts and tables call it."""
        return f"{self.title} (%)" if self.percent else self.title

    @property
    def percent(self) -> bool:
        """Whether the metric is in percent."""
        return self.in_percent(self.metric_name)

    def in_percent(self, metric: str) -> bool:
        """Whether a number is in percent: of a trainer of someone's own that is known of `top1` only."""
        return metric == "top1" or (self.of_paper and metric.endswith(("top1", "top5", "accuracy")))

    @property
    def of_paper(self) -> bool:
        """Whether the trainer is the paper's method."""
        return scale_of(self.plan) is not None

    @property
    def done(self) -> int:
        """How many of the trials are done; a trial that stands in two cells counts once."""
        return len({trial.key for trial in self.trials if trial.state == "done"})

    @property
    def asked(self) -> int:
        """How many trials there are in all."""
        return len({trial.key for trial in self.trials})

    def shown(self, value: float | None, decimals: int = 1) -> str:
        """A value of the metric as tables write it: percent with so many decimals, other numbers with four digits."""
        if value is None:
            return "\u2013"
        return f"{value:.{decimals}f}" if self.percent else f"{value:.4g}"

    @property
    def synthetic(self) -> bool:
        """Whether the images were drawn and not photographed."""
        return bool(self.config.get("data", {}).get("name") == "textures")

    @property
    def grid(self) -> tuple[Cell, ...]:
        """The cells of the axes, without the cases."""
        return tuple(cell for cell in self.cells if cell.case is None)

    @property
    def repeated(self) -> bool:
        """Whether some cell has several seeds, and so an interval."""
        return any(len(cell.values) > 1 for cell in self.cells)

    @property
    def rank_correlation(self) -> float | None:
        """Spearman's, over the cells that are both measured and published."""
        pairs = [(cell.mean, cell.paper) for cell in self.grid if cell.mean is not None and cell.paper is not None]
        return spearman([first for first, _ in pairs], [second for _, second in pairs])


def measure(
    results: Results, study: str, profile: str | None, store: duckdb.DuckDBPyConnection | None = None
) -> Measured:
    """Read a study's records at a profile; by default `embedded`, or the one that was run last.

    store: where it is open already.
    """
    plan = newest_plan(results, study, profile)
    plan = {**plan, "reference": next(iter(references(plan)), None)}
    with store_of(results, store) as opened:
        trials, configs = trials_of(opened, results, plan)
        keys = list(dict.fromkeys(trial.key for trial in trials))
        attempts = attempts_of(opened, keys)
        environments = opened.execute(
            """SELECT environment, numbers ->> 'precision' FROM attempts JOIN trials USING (key, attempt)
            WHERE key IN (SELECT unnest(?::VARCHAR[])) AND trials.state = 'done' ORDER BY started, key""",
            [keys],
        ).fetchall()
        finished = [] if any(trial.value is not None for trial in trials) else finished_numbers(opened, keys)
    surroundings = [
        json.loads(environment) | {"precision": precision} for environment, precision in environments if environment
    ]
    parts = {config["micro_batch"] for config in configs if config.get("micro_batch") is not None}
    return Measured(
        plan=plan,
        profile=plan["profile"],
        cells=_with_paper(plan, _cells(plan, trials)),
        trials=trials,
        attempts=attempts,
        configs=configs,
        precisions=tuple(sorted({precision for _, precision in environments if precision})),
        micro_batches=tuple(sorted(parts)),
        environments=_distinct(surroundings),
        cautions=(*differences(surroundings), *(() if plan["sequential"] else unpaired(_finished_seeds(trials)))),
        lacking=lacking(plan.get("metric") or "top1", finished),
    )


def _finished_seeds(trials: tuple[Trial, ...]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for trial in trials:
        axes = (f"{name}={value}" for name, value in trial.axes.items())
        label = ", ".join([*([trial.case] if trial.case else []), *axes])
        found.setdefault(label, set()).update({trial.seed} if trial.state == "done" else ())
    return found


def _distinct(environments: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Without what differs where nothing else does: the command line, the plan."""
    left_out = ("command", "plan", "precision", "pid")
    shown = [{name: value for name, value in each.items() if name not in left_out} for each in environments]
    return tuple({json.dumps(each, sort_keys=True): each for each in shown}.values())


def _cells(plan: dict[str, Any], trials: tuple[Trial, ...]) -> list[Cell]:
    """The cells in the order of their numbers, which are those of `judge.measured_cells` too."""
    labels = {case["name"]: case["label"] for case in plan["cases"]}
    groups: dict[int, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.cell, []).append(trial)
    cells = []
    for group in groups.values():
        axes, case = group[0].axes, group[0].case
        here = [str(axes[axis["name"]]) for axis in plan["axes"] if axes.get(axis["name"]) is not None]
        label = ", ".join([labels[case], *here] if case else here)
        found = tuple(trial.value for trial in group if trial.value is not None)
        cells.append(Cell(axes, case, label, found, len(group), None, None))
    return cells


def _with_paper(plan: dict[str, Any], cells: list[Cell]) -> tuple[Cell, ...]:
    """The cells with the published numbers of the study's metric."""
    bare = [judge.Measured(cell.axes, cell.case, cell.label, cell.trials, {}) for cell in cells]
    paper = published_cells(plan, bare)
    metric = plan.get("metric") or "top1"
    numbers = {place: each[metric] for place, each in paper.items() if metric in each}
    return tuple(
        replace(cell, paper=numbers[place].value, paper_status=numbers[place].status) if place in numbers else cell
        for place, cell in enumerate(cells)
    )
