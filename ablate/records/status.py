"""How far each study is: states, what runs, what failed and why."""

import json
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import duckdb

from ablate.errors import UserError, nearest
from ablate.records.address import Cell
from ablate.records.files import Results

STATES = ("done", "running", "queued", "failed", "interrupted", "damaged", "new")


@dataclass(frozen=True)
class Running:
    """A trial under way."""

    key: str
    label: str
    attempt: str
    host: str | None
    device: str | None
    epoch: int | None
    """The last that ended; None before the first did."""
    epochs: int | None
    loss: float | None
    beat: float | None
    """Seconds since it last said that it lives."""
    since: float | None
    """Seconds since the attempt began."""


@dataclass(frozen=True)
class Failures:
    """The trials that one cause ended."""

    state: str
    cause: str
    count: int
    key: str
    """One of them."""
    label: str
    message: str
    """That one's."""


@dataclass(frozen=True)
class Standing:
    """One study at one profile."""

    study: str
    profile: str
    counts: dict[str, int]
    """By state; trials, not cells: two cells may be one trial."""
    running: tuple[Running, ...] = ()
    failures: tuple[Failures, ...] = ()

    @property
    def trials(self) -> int:
        """How many there are."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Status:
    """All studies, and the trials that belong to none."""

    standings: tuple[Standing, ...]
    elsewhere: dict[str, int] = field(default_factory=dict)
    """By state, trials that no study's newest design asks for."""


def read_status(
    store: duckdb.DuckDBPyConnection,
    results: Results,
    study: str | None = None,
    profile: str | None = None,
    queued: Collection[str] = (),
) -> Status:
    """How each study is at each profile, or only those named; queued: trials that jobs of a cluster have to train.

    Raises UserError for unknown names.
    """
    counts = _counts(store, queued)
    if study is not None or profile is not None:
        counts = _chosen(counts, study, profile)
    running, failures = _running(store, results, time.time()), _failures(store, queued)
    standings = tuple(
        Standing(*place, states, tuple(running.get(place, ())), tuple(failures.get(place, ())))
        for place, states in counts.items()
    )
    return Status(standings, _elsewhere(store) if study is None and profile is None else {})


_Place = tuple[str, str]


def _counts(store: duckdb.DuckDBPyConnection, queued: Collection[str]) -> dict[_Place, dict[str, int]]:
    rows = store.execute(
        """SELECT study, profile,
            CASE WHEN list_contains(?::VARCHAR[], key) AND coalesce(state, 'new') NOT IN ('done', 'running')
                THEN 'queued' ELSE coalesce(state, 'new') END AS state,
            count(DISTINCT key) FROM cells LEFT JOIN trials USING (key) GROUP BY ALL ORDER BY study, profile""",
        [list(queued)],
    ).fetchall()
    found: dict[_Place, dict[str, int]] = {}
    for study, profile, state, count in rows:
        found.setdefault((study, profile), dict.fromkeys(STATES, 0))[state] = count
    return found


def _chosen(
    counts: dict[_Place, dict[str, int]], study: str | None, profile: str | None
) -> dict[_Place, dict[str, int]]:
    for kind, index, name in (("study", 0, study), ("profile", 1, profile)):
        known = list(dict.fromkeys(place[index] for place in counts))
        if name is not None and name not in known:
            help = f"{_PLURALS[kind]} with records are: {', '.join(known)}" if known else "run one: ablate run STUDY"
            raise UserError(f"no record of a {kind} '{name}'{nearest(name, known)}", help=help)
        counts = {place: states for place, states in counts.items() if name is None or place[index] == name}
    return counts


_PLURALS = {"study": "studies", "profile": "profiles"}


def _running(store: duckdb.DuckDBPyConnection, results: Results, now: float) -> dict[_Place, list[Running]]:
    rows = store.execute(
        """WITH losses AS (
            SELECT key, arg_max(epoch, (attempts.number, epoch)) AS epoch,
                arg_max(value, (attempts.number, epoch)) AS loss
            FROM metrics JOIN attempts USING (key, attempt) JOIN trials USING (key)
            WHERE trials.state = 'running' AND name = 'loss' AND epoch IS NOT NULL
                AND coalesce(phase, 'pretrain') IN ('pretrain', 'train') GROUP BY key
        )
        SELECT study, profile, axes, "case", cells.seed, key, trials.attempt, host, device, epoch,
            TRY_CAST(config ->> 'epochs' AS BIGINT), losses.loss, started
        FROM cells JOIN trials USING (key) JOIN attempts ON attempts.key = trials.key
            AND attempts.attempt = trials.attempt LEFT JOIN losses ON losses.key = trials.key
        WHERE trials.state = 'running' ORDER BY study, profile, position"""
    ).fetchall()
    found: dict[_Place, list[Running]] = {}
    for study, profile, axes, case, seed, key, attempt, host, device, epoch, epochs, loss, started in rows:
        label = Cell(study, profile, json.loads(axes), case, seed).label
        beat = _beat(results, key, attempt)
        since = now - started if started else None
        found.setdefault((study, profile), []).append(
            Running(key, label, attempt, host, device, epoch, epochs, loss, beat and max(0.0, now - beat), since)
        )
    return {place: _each_once(trials) for place, trials in found.items()}


def _each_once(trials: Iterable[Running]) -> list[Running]:
    """Without the further cells of a trial."""
    return list({trial.key: trial for trial in reversed(list(trials))}.values())[::-1]


def _beat(results: Results, key: str, attempt: str) -> float | None:
    try:
        return (results.trial(key).attempts / attempt / "heartbeat").stat().st_mtime
    except OSError:
        return None


def _failures(store: duckdb.DuckDBPyConnection, queued: Collection[str]) -> dict[_Place, list[Failures]]:
    rows = store.execute(
        """SELECT study, profile, state, coalesce(cause, state), count(DISTINCT key), arg_min(key, position),
            arg_min({'axes': axes, 'case': "case", 'seed': cells.seed}, position),
            arg_min(coalesce(message, ''), position)
        FROM cells JOIN trials USING (key)
        WHERE state IN ('failed', 'interrupted', 'damaged') AND NOT list_contains(?::VARCHAR[], key)
        GROUP BY ALL ORDER BY state, count(DISTINCT key) DESC""",
        [list(queued)],
    ).fetchall()
    found: dict[_Place, list[Failures]] = {}
    for study, profile, state, cause, count, key, cell, message in rows:
        label = Cell(study, profile, json.loads(cell["axes"]), cell["case"], cell["seed"]).label
        found.setdefault((study, profile), []).append(Failures(state, cause, count, key, label, message))
    return found


def _elsewhere(store: duckdb.DuckDBPyConnection) -> dict[str, int]:
    rows: list[tuple[Any, ...]] = store.execute(
        "SELECT state, count(*) FROM trials WHERE key NOT IN (SELECT key FROM cells) GROUP BY state ORDER BY state"
    ).fetchall()
    return dict(rows)
