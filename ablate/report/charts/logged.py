"""What trials logged during training, by cell, averaged over its seeds; apart from its chart, whose import is slow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from ablate.records.metric import MOST

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence

_MOST_NUMBERS = 4
"""The most metrics of a custom trainer that get a chart."""
_QUERY = """
    WITH of AS (SELECT unnest($keys::VARCHAR[]) AS key, unnest($cells::BIGINT[]) AS cell),
    logged AS (
        SELECT key, attempt, name, coalesce(phase, '') AS phase, epoch, step, row, value FROM metrics
        WHERE (phase = 'pretrain' AND name IN (SELECT unnest($names::VARCHAR[])) OR $any)
            AND key IN (SELECT key FROM of)),
    placed AS (
        SELECT name, phase, CASE
            WHEN bool_and(epoch IS NOT NULL) AND count(*) = count(DISTINCT (key, attempt, epoch)) THEN 'epoch'
            WHEN bool_and(step IS NOT NULL) AND count(*) = count(DISTINCT (key, attempt, step)) THEN 'step'
            ELSE 'row' END AS along
        FROM logged GROUP BY name, phase),
    newest AS (
        SELECT key, name, phase, along, CASE along WHEN 'epoch' THEN epoch WHEN 'step' THEN step ELSE row END AS place,
            arg_max(value, attempt) AS value
        FROM logged JOIN placed USING (name, phase) WHERE abs(value) < $most GROUP BY ALL HAVING abs(place) < $most),
    means AS (
        SELECT cell, name, phase, along, place, avg(value ORDER BY key) AS value  -- sums depend on their order
        FROM newest JOIN of USING (key) GROUP BY ALL)
    SELECT cell, name, phase, along, list(place ORDER BY place), list(value ORDER BY place) FROM means
    GROUP BY cell, name, phase, along ORDER BY name DESC, phase, cell
"""
_WANTED = ("loss", "contrastive_accuracy")


@dataclass(frozen=True)
class Curve:
    """One logged number of a cell."""

    cell: int
    """The cell's number in `Evidence.cells`."""
    name: str
    """The number: `loss`, or `loss (train)` where several phases log it."""
    at: tuple[float, ...]
    values: tuple[float, ...]
    """Mean over the seeds that logged a number there."""
    along: str = "epoch"
    """What `at` counts: epoch, step or row."""


def read_curves(store: duckdb.DuckDBPyConnection, evidence: Evidence) -> tuple[Curve, ...]:
    """The numbers that trials logged, by cell: for the paper's trainer, loss and contrastive accuracy of pretraining.

    A number is placed by its epoch, or by its step, or by the number of its row: by the first of these that every row
    with this number has, and that differs between the rows of an attempt. Where several attempts have logged a number
    for the same place, the latest one counts.
    """
    rows = store.execute(
        _QUERY,
        {
            "keys": [trial.key for trial in evidence.trials],
            "cells": [trial.cell for trial in evidence.trials],
            "names": list(_WANTED),
            "any": not evidence.of_paper,
            "most": MOST,
        },
    ).fetchall()
    phases: dict[str, set[str]] = {}
    for _, name, phase, *_ in rows:
        phases.setdefault(name, set()).add(phase)
    if not evidence.of_paper:
        rows.sort(key=lambda row: (row[1] != "loss", row[1] != evidence.plan.metric, row[1]))
    names = {(name, phase): f"{name} ({phase or 'no phase'})" if len(phases[name]) > 1 else name
             for _, name, phase, *_ in rows}  # fmt: skip
    drawn = list(dict.fromkeys(names.values()))[:_MOST_NUMBERS]
    return tuple(
        Curve(cell, names[name, phase], tuple(places), tuple(values), along)
        for cell, name, phase, along, places, values in rows
        if names[name, phase] in drawn
    )
