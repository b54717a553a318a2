"""Reading a study at a profile from the records, once for all outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import duckdb

from ablate.records.compare import differences, unpaired
from ablate.records.files import Results
from ablate.records.status import damage as damage_of
from ablate.records.store import store_of
from ablate.report.charts.logged import Curve, read_curves
from ablate.report.render.names import Names
from ablate.report.thinning import Thinned, thinned
from ablate.study.schema.chart import PARAMETERS
from ablate.trainer.find import DEFAULT_TRAINER, parameter_counter

if TYPE_CHECKING:
    from ablate.judge.baseline import Difference
    from ablate.judge.described import Describer
    from ablate.judge.evidence import Evidence
    from ablate.judge.study import Judged

_OF_ONE_ATTEMPT = ("command", "plan", "precision", "pid", "source_place", "source_column")
"""Facts of an attempt that do not describe its environment."""


@dataclass(frozen=True)
class AttemptCost:
    """What one attempt at a trial took."""

    key: str
    name: str
    state: str
    seconds: float
    """Duration; 0 while it runs."""
    device: str | None
    pairs_per_second: float | None
    """Median over its epochs; None if the trainer does not log it."""


@dataclass(frozen=True)
class Reading:
    """The evidence, the verdicts on it, and its provenance."""

    judged: Judged
    attempts: tuple[AttemptCost, ...]
    """All attempts at its trials, failed ones included."""
    environments: tuple[dict[str, Any], ...]
    """The distinct environments of finished trials."""
    precisions: tuple[str, ...]
    """The number formats of finished trials."""
    cautions: tuple[str, ...]
    """Reasons to compare the results with care."""
    digests: Mapping[str, str]
    """Key of a trial -> SHA-256 of its result.json, if it has one."""
    shown: Thinned
    """What a page shows in charts and tables: all, unless the study is very large."""
    curves: tuple[Curve, ...]
    """Metrics that trials logged during training, of the shown cells."""
    parameters: Mapping[str, int]
    """Key of a cell -> number of parameters of its encoder, if the chart shows it."""
    describer: Describer
    """Describes the comparisons of the claims."""

    @property
    def measured(self) -> Evidence:
        """Measured and published values."""
        return self.judged.evidence

    @cached_property
    def differences(self) -> tuple[Difference | None, ...]:
        """The difference of every cell to the study's baseline."""
        from ablate.judge.baseline import differences

        return differences(self.judged.plan, self.measured.cells)

    @property
    def shown_differences(self) -> tuple[Difference | None, ...]:
        """Those of the shown cells."""
        return (
            self.differences
            if (places := self.shown.places) is None
            else tuple(map(self.differences.__getitem__, places))
        )

    @property
    def study_profile(self) -> tuple[str, str]:
        """Study and profile."""
        return self.judged.plan.study, self.judged.plan.profile


def read_study(
    results: Results, study: str, profile: str | None, store: duckdb.DuckDBPyConnection | None = None
) -> Reading:
    """Read a study, given by name or file, at a profile: by default `embedded`, or else the latest.

    store: an open store, if any. Raises UserError if the study has no records.
    """
    from ablate.judge.described import Describer
    from ablate.judge.study import judge_study

    with store_of(results, store) as opened:
        judged = judge_study(results, study, profile, store=opened)
        evidence, shown = judged.evidence, thinned(judged)
        keys = list(dict.fromkeys(trial.key for trial in evidence.trials))
        environments = _environments(opened, keys)
        damage = damage_of(opened, judged.plan.study)
        seeds = () if judged.plan.sequential else unpaired(_finished_seeds(evidence))
        return Reading(
            judged=judged,
            attempts=_attempts(opened, keys),
            environments=_distinct(environments),
            precisions=tuple(sorted({each["precision"] for each in environments if each["precision"]})),
            cautions=(*differences([each for each in environments if len(each) > 1]), *seeds, *damage),
            digests=_digests(opened, keys),
            shown=shown,
            curves=read_curves(opened, shown.logged),
            parameters=_parameters(evidence) if judged.plan.chart.get("x") == PARAMETERS else {},
            describer=Describer(evidence, results),
        )


def _environments(store: duckdb.DuckDBPyConnection, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The environment of each finishing attempt, with the number format; only the format if it recorded none.

    A number named precision is a metric of the trainer.
    """
    rows = store.execute(
        """SELECT environment, CASE WHEN json_type(numbers, '$.precision') = 'VARCHAR' THEN numbers ->> 'precision' END
        FROM attempts JOIN trials USING (key, attempt)
        WHERE key IN (SELECT unnest(?::VARCHAR[])) AND trials.state = 'done' ORDER BY started, key""",
        [keys],
    ).fetchall()
    distinct = {row: (json.loads(row[0] or "null") or {}) | {"precision": row[1]} for row in set(rows)}
    return [distinct[row] for row in rows]


def _distinct(environments: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The distinct environments, without entries that describe one attempt."""
    known = [each for each in {id(each): each for each in environments}.values() if len(each) > 1]
    shown = [{name: value for name, value in each.items() if name not in _OF_ONE_ATTEMPT} for each in known]
    return tuple({json.dumps(each, sort_keys=True): each for each in shown}.values())


def _finished_seeds(evidence: Evidence) -> dict[str, set[int]]:
    """Name of a cell -> its finished seeds."""
    names, found = Names(evidence).cells, dict[str, set[int]]()
    for trial in evidence.trials:
        found.setdefault(names[trial.cell], set()).update({trial.seed} if trial.state == "done" else ())
    return found


def _attempts(store: duckdb.DuckDBPyConnection, keys: Sequence[str]) -> tuple[AttemptCost, ...]:
    rows = store.execute(
        """SELECT key, attempt, state, coalesce(ended - started, 0), device, speed
        FROM attempts LEFT JOIN (
            SELECT key, attempt, median(value) AS speed FROM metrics WHERE name = 'pairs_per_second' GROUP BY ALL
        ) USING (key, attempt)
        WHERE key IN (SELECT unnest(?::VARCHAR[])) ORDER BY key, number""",
        [keys],
    ).fetchall()
    return tuple(AttemptCost(*row) for row in rows)


def _digests(store: duckdb.DuckDBPyConnection, keys: Sequence[str]) -> dict[str, str]:
    """Digests of the files from which the store has the values of a page, in the order of the keys."""
    query = "SELECT key, digest FROM internal.digests WHERE key IN (SELECT unnest(?::VARCHAR[]))"
    found = dict(store.execute(query, [keys]).fetchall())
    return {key: found[key] for key in keys if key in found}


def _parameters(evidence: Evidence) -> dict[str, int]:
    count = parameter_counter(evidence.plan.trainer or DEFAULT_TRAINER)
    found = {}
    for trial in evidence.trials if count else ():
        settings = evidence.configs.get(trial.key)
        if count and settings is not None and (parameters := count(settings)) is not None:
            found[evidence.cells[trial.cell].cell.key] = parameters
    return found
