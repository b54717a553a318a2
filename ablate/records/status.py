"""Status of each study: trials by state, running trials with their progress, failures by cause."""

import json
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import duckdb

from ablate.errors import UserError, nearest
from ablate.records.address import StudyCell
from ablate.records.curves import live_curves
from ablate.records.files import Results
from ablate.records.sql import VALUE
from ablate.study.cells.cell import Cell

StudyProfile = tuple[str, str]
"""Study and profile."""
_CURVE_POINTS = 12
"""Of the curve of a running trial."""
STATES = ("done", "running", "queued", "failed", "interrupted", "damaged", "new")


@dataclass(frozen=True)
class Running:
    """A running trial."""

    key: str
    label: str
    attempt: str
    host: str | None
    device: str | None
    epoch: float | None
    """The last completed epoch; None before the first."""
    epochs: int | None
    loss: float | None
    beat: float | None
    """Seconds since its last heartbeat."""
    since: float | None
    """Seconds since the attempt began."""
    curve: tuple[float | None, ...] = ()
    """The loss at a few points, or the first other number if no loss is logged; None where it was not finite."""


@dataclass(frozen=True)
class Failures:
    """Trials that failed for the same cause, or are done without the study's metric (cause `metric`)."""

    state: str
    cause: str
    count: int
    key: str
    """Key of one of the trials."""
    label: str
    message: str
    """The message of that trial."""


@dataclass(frozen=True)
class Standing:
    """One study at one profile."""

    study: str
    profile: str
    counts: dict[str, int]
    """State -> number of trials. Two cells that share a trial count once."""
    running: tuple[Running, ...] = ()
    failures: tuple[Failures, ...] = ()

    @property
    def trials(self) -> int:
        """The number of trials."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Status:
    """All studies, and the trials that belong to none of them."""

    standings: tuple[Standing, ...]
    elsewhere: dict[str, int] = field(default_factory=dict)
    """State -> number of trials that no current study version contains."""
    damage: tuple[str, ...] = ()
    """What is wrong with plan files that cannot be read; their studies are shown without them."""
    clusters: tuple[Any, ...] = ()
    """How each submission to a cluster stands that has not ended; see `ablate.run.slurm.standing.OnCluster`."""


def read_status(
    store: duckdb.DuckDBPyConnection,
    results: Results,
    study: str | None = None,
    profile: str | None = None,
    queued: Collection[str] = (),
) -> Status:
    """The status of each study at each profile, or only of the given ones.

    queued: keys of trials that cluster jobs will train. Raises UserError for unknown names.
    """
    counts = _counts(store, queued)
    if study is not None or profile is not None:
        counts = _chosen(counts, study, profile)
    running, failures = _running(store, results, time.time()), _failures(store, queued)
    standings = (
        Standing(*pair, states, tuple(running.get(pair, ())), tuple(failures.get(pair, ())))
        for pair, states in counts.items()
    )
    elsewhere = _elsewhere(store) if study is None and profile is None else {}
    return Status(tuple(standings), elsewhere, damage(store, study))


def damage(store: duckdb.DuckDBPyConnection, study: str | None = None) -> tuple[str, ...]:
    """What is wrong with plan files that cannot be read, of all studies or of one."""
    rows = store.execute("SELECT message FROM internal.damage WHERE study = coalesce(?, study) ORDER BY ALL", [study])
    return tuple(message for (message,) in rows.fetchall())


def _counts(store: duckdb.DuckDBPyConnection, queued: Collection[str]) -> dict[StudyProfile, dict[str, int]]:
    rows = store.execute(
        """SELECT study, profile,
            CASE WHEN list_contains(?::VARCHAR[], key) AND coalesce(state, 'new') NOT IN ('done', 'running')
                THEN 'queued' ELSE coalesce(state, 'new') END AS state,
            count(DISTINCT key) FROM cells LEFT JOIN trials USING (key) GROUP BY ALL ORDER BY study, profile""",
        [list(queued)],
    ).fetchall()
    found: dict[StudyProfile, dict[str, int]] = {}
    for study, profile, state, count in rows:
        found.setdefault((study, profile), dict.fromkeys(STATES, 0))[state] = count
    return found


def _chosen(
    counts: dict[StudyProfile, dict[str, int]], study: str | None, profile: str | None
) -> dict[StudyProfile, dict[str, int]]:
    for index, kind, kinds, name in ((0, "study", "studies", study), (1, "profile", "profiles", profile)):
        known = list(dict.fromkeys(pair[index] for pair in counts))
        if name is not None and name not in known:
            help = f"{kinds} with records are: {', '.join(known)}" if known else "run one: ablate run STUDY"
            raise UserError(f"no records of a {kind} '{name}'{nearest(name, known)}", help=help)
        counts = {pair: states for pair, states in counts.items() if name is None or pair[index] == name}
    return counts


def _running(store: duckdb.DuckDBPyConnection, results: Results, now: float) -> dict[StudyProfile, list[Running]]:
    if not store.execute("SELECT 1 FROM trials WHERE state = 'running' LIMIT 1").fetchall():
        return {}  # without this, DuckDB unpacks every logged number of all trials
    rows = store.execute(
        """WITH losses AS (
            SELECT key, arg_max(epoch, (attempts.number, row)) AS epoch,
                arg_max(value, (attempts.number, row)) AS loss
            FROM metrics JOIN attempts USING (key, attempt) JOIN trials USING (key)
            WHERE trials.state = 'running' AND name = 'loss'
                AND coalesce(phase, 'pretrain') IN ('pretrain', 'train') GROUP BY key
        )
        SELECT study, profile, axes, "case", cells.seed, key, trials.attempt, host, device, epoch,
            TRY_CAST(config ->> 'epochs' AS BIGINT), losses.loss, started
        FROM cells JOIN trials USING (key) JOIN attempts ON attempts.key = trials.key
            AND attempts.attempt = trials.attempt LEFT JOIN losses ON losses.key = trials.key
        WHERE trials.state = 'running' ORDER BY study, profile, position"""
    ).fetchall()
    curves = live_curves(store, [row[5] for row in rows], _CURVE_POINTS) if rows else {}
    found: dict[StudyProfile, dict[str, Running]] = {}
    for study, profile, axes, case, seed, key, attempt, host, device, epoch, epochs, loss, started in rows:
        label = StudyCell(study, profile, Cell(json.loads(axes), case), seed).label
        beat = _beat(results, key, attempt)
        since = now - started if started else None
        silent = beat and max(0.0, now - beat)
        curve = curves[key][0].values if key in curves else ()
        running = Running(key, label, attempt, host, device, epoch, epochs, loss, silent, since, curve)
        found.setdefault((study, profile), {}).setdefault(key, running)  # a trial of several cells is listed once
    return {pair: list(trials.values()) for pair, trials in found.items()}


def _beat(results: Results, key: str, attempt: str) -> float | None:
    try:
        return (results.trial(key).attempts / attempt / "heartbeat").stat().st_mtime
    except OSError:
        return None


def _failures(store: duckdb.DuckDBPyConnection, queued: Collection[str]) -> dict[StudyProfile, list[Failures]]:
    rows = store.execute(
        f"""SELECT study, profile, state, CASE WHEN state = 'done' THEN 'metric' ELSE coalesce(cause, state) END,
            count(DISTINCT key), arg_min(key, position),
            arg_min({{'axes': axes, 'case': "case", 'seed': cells.seed}}, position),
            arg_min(CASE WHEN state = 'done' THEN concat('finished without ', metric) ELSE coalesce(message, '')
                END, position)
        FROM cells JOIN trials USING (key)
        WHERE (state IN ('failed', 'interrupted', 'damaged') AND NOT list_contains(?::VARCHAR[], key))
            OR (state = 'done' AND {VALUE} IS NULL)
        GROUP BY ALL ORDER BY state, count(DISTINCT key) DESC""",
        [list(queued)],
    ).fetchall()
    found: dict[StudyProfile, list[Failures]] = {}
    for study, profile, state, cause, count, key, cell, message in rows:
        label = StudyCell(study, profile, Cell(json.loads(cell["axes"]), cell["case"]), cell["seed"]).label
        found.setdefault((study, profile), []).append(Failures(state, cause, count, key, label, message))
    return found


def _elsewhere(store: duckdb.DuckDBPyConnection) -> dict[str, int]:
    rows: list[tuple[Any, ...]] = store.execute(
        "SELECT state, count(*) FROM trials WHERE key NOT IN (SELECT key FROM cells) GROUP BY state ORDER BY state"
    ).fetchall()
    return dict(rows)
