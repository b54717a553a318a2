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
from ablate.records.consistency import differences, unpaired
from ablate.records.files import Results
from ablate.records.metric import lacking
from ablate.records.plans import newest_plan
from ablate.records.sql import VALUE
from ablate.records.store import store_of


@dataclass(frozen=True)
class Trial:
    """One row of the table of trials."""

    axes: dict[str, Any]
    case: str | None
    seed: int
    key: str
    state: str
    value: float | None
    """The study's metric; top-1 is in percent."""
    loss: float | None
    seconds: float | None
    message: str | None
    attempt: str | None


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
    config: dict[str, Any]
    """The settings of the first trial."""
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
    def axes(self) -> list[str]:
        """Names of the axes."""
        return [axis["name"] for axis in self.plan["axes"]]

    @property
    def metric(self) -> str:
        """What is compared, as charts and tables call it."""
        metric = str(self.plan.get("metric", "top1"))
        return {"top1": "linear top-1 (%)"}.get(metric, metric)

    def shown(self, value: float | None, decimals: int = 1) -> str:
        """A value of the metric as tables write it: percent with so many decimals, other numbers with four digits."""
        if value is None:
            return "\u2013"
        return f"{value:.{decimals}f}" if "%" in self.metric else f"{value:.4g}"

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
    name, profile = plan["study"], plan["profile"]
    plan = {**plan, "reference": next(iter(references(plan)), None)}
    axes = [axis["name"] for axis in plan["axes"]]
    with store_of(results, store) as opened:
        rows = opened.execute(
            f"""SELECT axes, "case", cells.seed, key, coalesce(state, 'new'), {VALUE}, loss, seconds, message, attempt
            FROM cells LEFT JOIN trials USING (key) WHERE study = ? AND profile = ? ORDER BY position""",
            [name, profile],
        ).fetchall()
        trials = tuple(Trial(json.loads(row[0]), *row[1:]) for row in rows)
        keys = [trial.key for trial in trials]
        (config,) = opened.execute(
            """SELECT any_value(config ORDER BY list_position($keys, key)) FROM trials
            WHERE key IN (SELECT unnest($keys::VARCHAR[])) AND config IS NOT NULL""",
            {"keys": keys},
        ).fetchone() or (None,)
        environments = opened.execute(
            """SELECT environment, numbers ->> 'precision', key FROM attempts JOIN trials USING (key, attempt)
            WHERE key IN (SELECT unnest(?::VARCHAR[])) AND trials.state = 'done' ORDER BY started, key""",
            [keys],
        ).fetchall()
        parts = opened.execute(
            """SELECT DISTINCT CAST(config ->> 'micro_batch' AS BIGINT) FROM trials
            WHERE key IN (SELECT unnest(?::VARCHAR[])) AND config ->> 'micro_batch' IS NOT NULL ORDER BY 1""",
            [keys],
        ).fetchall()
        finished = [] if any(trial.value is not None for trial in trials) else _finished_numbers(opened, keys)
    surroundings = [
        json.loads(environment) | {"precision": precision} for environment, precision, _ in environments if environment
    ]
    cells = _cells(plan, axes, trials)
    return Measured(
        plan=plan,
        profile=profile,
        cells=cells,
        trials=trials,
        config=json.loads(config or "{}"),
        precisions=tuple(sorted({precision for _, precision, _ in environments if precision})),
        micro_batches=tuple(part for (part,) in parts),
        environments=_distinct(surroundings),
        cautions=(*differences(surroundings), *(() if plan["sequential"] else unpaired(_finished_seeds(trials)))),
        lacking=lacking(plan.get("metric") or "top1", finished),
    )


def _finished_numbers(store: duckdb.DuckDBPyConnection, keys: list[str]) -> list[dict[str, Any]]:
    """What those of the trials returned that are done."""
    rows = store.execute(
        "SELECT numbers FROM trials WHERE key IN (SELECT unnest(?::VARCHAR[])) AND state = 'done' ORDER BY key", [keys]
    ).fetchall()
    return [json.loads(numbers) for (numbers,) in rows]


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


def _cells(plan: dict[str, Any], axes: list[str], trials: tuple[Trial, ...]) -> tuple[Cell, ...]:
    labels = {case["name"]: case["label"] for case in plan["cases"]}
    groups: dict[tuple[Any, ...], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.case, *(trial.axes.get(name) for name in axes)), []).append(trial)
    cells = []
    for (case, *values), group in groups.items():
        here = [str(value) for value in values if value is not None]
        label = ", ".join([labels[case], *here] if case else here)
        found = tuple(trial.value for trial in group if trial.value is not None)
        cells.append(Cell(group[0].axes, case, label, found, len(group), None, None))
    return _with_paper(plan, cells)


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
