"""The numbers that trials log while they train, as short curves: for live views of running trials."""

from collections.abc import Collection
from dataclasses import dataclass

import duckdb


@dataclass(frozen=True)
class LiveCurve:
    """One number that a trial logs, at a few places of a long series; the last place is always among them."""

    name: str
    phase: str
    """Empty if the trainer logs none."""
    along: str
    """What `at` counts: epoch, step, or row where neither was logged with every value."""
    at: tuple[float, ...]
    values: tuple[float | None, ...]
    """None where the number was NaN or infinite."""
    rows: int
    """The length of the series."""


def live_curves(
    store: duckdb.DuckDBPyConnection, keys: Collection[str], most_points: int, most_curves: int = 1
) -> dict[str, list[LiveCurve]]:
    """Trial key -> its curves, at most `most_curves` with `most_points` points each: the loss first, others by name.

    Where an attempt resumed, what an earlier one logged beyond that place is left out. Rows that have only their
    number are those of the latest attempt, since each attempt counts its own.
    """
    rows = store.execute(_CURVES, {"keys": list(keys), "points": most_points, "curves": most_curves}).fetchall()
    found: dict[str, list[LiveCurve]] = {}
    for key, name, phase, along, at, values, length in rows:
        found.setdefault(key, []).append(LiveCurve(name, phase, along, tuple(at), tuple(values), length))
    return found


_CURVES = """
WITH logged AS (
    SELECT key, name, coalesce(phase, '') AS phase, number, row, epoch, step, value
    FROM metrics JOIN attempts USING (key, attempt) WHERE key IN (SELECT unnest($keys::VARCHAR[]))
), kinds AS (
    SELECT key, name, phase,
        CASE WHEN count(epoch) = count(*) AND count(DISTINCT (number, epoch)) = count(*) THEN 'epoch'
            WHEN count(step) = count(*) AND count(DISTINCT (number, step)) = count(*) THEN 'step'
            ELSE 'row' END AS along
    FROM logged GROUP BY key, name, phase
), series AS (
    SELECT *, row_number() OVER (PARTITION BY key
        ORDER BY name <> 'loss', phase NOT IN ('', 'train', 'pretrain'), NOT contains(name, 'loss'), name, phase
    ) AS rank FROM kinds
), placed AS (
    SELECT key, name, phase, rank, along, number, value,
        CASE along WHEN 'epoch' THEN epoch WHEN 'step' THEN step ELSE row END AS place
    FROM logged JOIN series USING (key, name, phase) WHERE rank <= $curves
), starts AS (
    SELECT key, name, phase, number, min(place) AS start FROM placed GROUP BY key, name, phase, number
), attempted AS (
    SELECT key, name, phase, number, min(start) OVER (PARTITION BY key, name, phase
        ORDER BY number DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS until
    FROM starts
), kept AS (
    SELECT key, name, phase, rank, along, place, value,
        row_number() OVER (PARTITION BY key, name, phase ORDER BY place) AS nth,
        count(*) OVER (PARTITION BY key, name, phase) AS length
    FROM placed JOIN attempted USING (key, name, phase, number) WHERE place < coalesce(until, 'infinity'::DOUBLE)
)
SELECT key, name, phase, along, list(place ORDER BY place), list(value ORDER BY place), length
FROM kept WHERE (length - nth) % ceil(length / $points)::BIGINT = 0
GROUP BY key, name, phase, along, length, rank ORDER BY key, rank
"""
