"""The rows of the store that a page is made of: trials with their records, and the attempts at them."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import duckdb

from ablate.records.files import Results
from ablate.records.sql import VALUE

_COLUMNS = ("case", "seed", "key", "state", "value", "loss", "seconds", "cause", "message", "attempt")


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
    cause: str | None
    """Of a failure."""
    message: str | None
    attempt: str | None
    cell: int
    """The number of its cell in `Measured.cells`."""
    record: str | None
    """SHA-256 of its result.json; None where it has none."""


@dataclass(frozen=True)
class Attempt:
    """One execution of a trial."""

    key: str
    name: str
    state: str
    seconds: float
    """From its begin to its end; 0 while it runs."""
    device: str | None
    pairs_per_second: float | None
    """Median over its epochs, where the trainer logs it."""


def trials_of(
    store: duckdb.DuckDBPyConnection, results: Results, plan: dict[str, Any]
) -> tuple[tuple[Trial, ...], tuple[dict[str, Any], ...]]:
    """The trials of the newest design in the order of its cells, and the settings of those that have a record."""
    rows = store.execute(
        f"""SELECT axes, "case", cells.seed, key, coalesce(state, 'new'), {VALUE}, loss, seconds, cause, message,
            attempt, config
        FROM cells LEFT JOIN trials USING (key) WHERE study = ? AND profile = ? ORDER BY position""",
        [plan["study"], plan["profile"]],
    ).fetchall()
    numbers: dict[tuple[str, str | None], int] = {}
    trials, configs = [], {}
    for axes, *values, config in rows:
        told = dict(zip(_COLUMNS, values, strict=True))
        key, cell = told["key"], numbers.setdefault((axes, told["case"]), len(numbers))
        trials.append(Trial(json.loads(axes), **told, cell=cell, record=_record(results, key)))
        if config is not None and key not in configs:
            configs[key] = json.loads(config)
    return tuple(trials), tuple(configs.values())


def _record(results: Results, key: str) -> str | None:
    """SHA-256 of a trial's result.json, of the file itself: the store may be behind."""
    try:
        return hashlib.sha256(results.trial(key).result.read_bytes()).hexdigest()
    except OSError:
        return None


def attempts_of(store: duckdb.DuckDBPyConnection, keys: list[str]) -> tuple[Attempt, ...]:
    """The attempts at some trials."""
    rows = store.execute(
        """SELECT key, attempt, state, coalesce(ended - started, 0), device,
            (SELECT median(value) FROM metrics WHERE metrics.key = attempts.key AND metrics.attempt = attempts.attempt
                AND name = 'pairs_per_second')
        FROM attempts WHERE key IN (SELECT unnest(?::VARCHAR[])) ORDER BY key, number""",
        [keys],
    ).fetchall()
    return tuple(Attempt(*row) for row in rows)


def finished_numbers(store: duckdb.DuckDBPyConnection, keys: list[str]) -> list[dict[str, Any]]:
    """What those of the trials returned that are done."""
    rows = store.execute(
        "SELECT numbers FROM trials WHERE key IN (SELECT unnest(?::VARCHAR[])) AND state = 'done' ORDER BY key", [keys]
    ).fetchall()
    return [json.loads(numbers) for (numbers,) in rows]
