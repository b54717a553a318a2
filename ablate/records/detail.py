"""All that the records say of one trial: its settings, its attempts, its numbers, its curve."""

import json
from dataclasses import dataclass
from typing import Any

import duckdb

from ablate.records.address import Address, Cell


@dataclass(frozen=True)
class Attempt:
    """One execution; times are seconds since 1970."""

    name: str
    state: str
    cause: str | None
    message: str | None
    started: float | None
    ended: float | None
    host: str | None
    device: str | None
    environment: dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """The training loss epoch by epoch."""

    epochs: tuple[int, ...]
    losses: tuple[float | None, ...]
    """None where it was not a number."""
    of: str
    """The trial that trained: another one where a pretraining is shared."""


@dataclass(frozen=True)
class Detail:
    """One trial."""

    key: str
    cells: tuple[Cell, ...]
    pretrain_key: str | None
    trainer: str | None
    recipe_version: int | None
    state: str
    cause: str | None
    message: str | None
    numbers: dict[str, Any]
    config: dict[str, Any]
    attempts: tuple[Attempt, ...]
    """Oldest first."""
    finished_by: str | None
    """The attempt that wrote the result, or the newest one."""
    curve: Curve

    @property
    def environment(self) -> dict[str, Any]:
        """The surroundings of the attempt that finished, or of the newest one."""
        named = [attempt.environment for attempt in self.attempts if attempt.name == self.finished_by]
        return named[-1] if named else {}


def read_detail(store: duckdb.DuckDBPyConnection, address: Address) -> Detail:
    """Everything that the store has of a trial; one that was planned and never began is `new`."""
    key = address.key
    row = store.execute(
        """SELECT pretrain_key, trainer, recipe_version, state, cause, message, numbers, config, attempt
        FROM trials WHERE key = ?""",
        [key],
    ).fetchone() or (None, None, None, "new", None, None, None, None, None)
    pretrain_key, trainer, recipe_version, state, cause, message, numbers, config, finished_by = row
    rows: list[tuple[Any, ...]] = store.execute(
        """SELECT attempt, state, cause, message, started, ended, host, device, environment FROM attempts
        WHERE key = ? ORDER BY number""",
        [key],
    ).fetchall()
    return Detail(
        key=key,
        cells=address.cells,
        pretrain_key=pretrain_key,
        trainer=trainer,
        recipe_version=recipe_version,
        state=state,
        cause=cause,
        message=message,
        numbers=json.loads(numbers or "{}"),
        config=json.loads(config or "{}"),
        attempts=tuple(_attempt(row) for row in rows),
        finished_by=finished_by,
        curve=_curve(store, key, pretrain_key),
    )


def _attempt(row: tuple[Any, ...]) -> Attempt:
    name, state, cause, message, started, ended, host, device, environment = row
    surroundings = json.loads(environment or "null") or {}
    return Attempt(name, state, cause, message, started, ended, host, device, surroundings)


def _curve(store: duckdb.DuckDBPyConnection, key: str, pretrain_key: str | None) -> Curve:
    """The loss of each epoch as the newest attempt at it had it; from whoever trained, where that is shared."""
    rows = store.execute(
        """SELECT metrics.key, epoch, value FROM metrics JOIN attempts USING (key, attempt)
        WHERE name = 'loss' AND epoch IS NOT NULL AND coalesce(phase, 'pretrain') IN ('pretrain', 'train')
            AND (metrics.key = $1 OR metrics.key IN (SELECT key FROM trials WHERE pretrain_key = $2))
        ORDER BY number""",
        [key, pretrain_key],
    ).fetchall()
    curves: dict[str, dict[int, float | None]] = {}
    for trial, epoch, loss in rows:
        curves.setdefault(trial, {})[epoch] = loss
    trained = key if key in curves or not curves else max(curves, key=lambda other: (len(curves[other]), other))
    epochs = sorted(curves.get(trained, {}))
    return Curve(tuple(epochs), tuple(curves[trained][epoch] for epoch in epochs), trained)
