"""What trials reported while they trained, as curves: read in one query, mean over the seeds of a cell."""

import json
from dataclasses import dataclass
from typing import Any

import duckdb

from ablate.report.measured import Measured

LONGEST = 50
"""So many points of a curve are drawn: more would not be seen."""
_WANTED = ("loss", "contrastive_accuracy")


@dataclass(frozen=True)
class Curve:
    """One number of a cell over epochs."""

    cell: int
    """Its number in `Measured.cells`."""
    name: str
    """What it is: `loss`."""
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    """Mean over the seeds that reported that epoch."""


def read_curves(store: duckdb.DuckDBPyConnection, measured: Measured) -> tuple[Curve, ...]:
    """Loss and contrastive accuracy by epoch, of each cell that reported them: of SimCLR, those of pretraining.

    Where an attempt trained an epoch again, the newest counts.
    """
    rows = store.execute(
        """WITH of AS (SELECT unnest($keys::VARCHAR[]) AS key, unnest($cells::BIGINT[]) AS cell),
        newest AS (
            SELECT key, name, epoch, arg_max(value, attempt) AS value FROM metrics
            WHERE (phase = 'pretrain' OR $any_phase) AND name IN (SELECT unnest($names::VARCHAR[]))
                AND epoch IS NOT NULL AND isfinite(value) AND key IN (SELECT key FROM of)
            GROUP BY key, name, epoch),
        cells AS (SELECT cell, name, epoch, avg(value) AS value FROM newest JOIN of USING (key) GROUP BY ALL)
        SELECT cell, name, list(epoch ORDER BY epoch), list(value ORDER BY epoch) FROM cells
        GROUP BY cell, name ORDER BY name DESC, cell""",
        {
            "keys": [trial.key for trial in measured.trials],
            "cells": [trial.cell for trial in measured.trials],
            "names": list(_WANTED),
            "any_phase": not measured.of_paper,
        },
    ).fetchall()
    return tuple(Curve(cell, name, tuple(epochs), tuple(values)) for cell, name, epochs, values in rows)


def read_parameters(store: duckdb.DuckDBPyConnection, measured: Measured) -> dict[int, int]:
    """Number of a cell -> parameters of its encoder, where its trials have one that is counted."""
    cells: dict[str, list[int]] = {}
    for trial in measured.trials:
        cells.setdefault(trial.key, []).append(trial.cell)
    rows = store.execute(
        """SELECT CAST(config -> 'encoder' AS VARCHAR), list(key) FROM trials
        WHERE key IN (SELECT unnest(?::VARCHAR[])) AND config IS NOT NULL GROUP BY 1""",
        [list(cells)],
    ).fetchall()
    found: dict[int, int] = {}
    for encoder, keys in rows:
        if encoder is not None and (count := _parameters(json.loads(encoder))) is not None:
            found.update((cell, count) for key in keys for cell in cells[key])
    return found


def _parameters(encoder: Any) -> int | None:
    """Of the settings of an encoder; None for one of another trainer or version, which is unknown here."""
    import pydantic

    from ablate.simclr.config import Encoder
    from ablate.simclr.config.effort import parameters

    try:
        return parameters(Encoder.model_validate(encoder))
    except pydantic.ValidationError:
        return None


def compact(curve: Curve) -> tuple[list[int], list[float]]:
    """At most fifty points of a curve, evenly apart, its first and last among them; four digits each."""
    count = len(curve.epochs)
    last = min(count, LONGEST) - 1
    places = [round(number * (count - 1) / max(last, 1)) for number in range(last + 1)]
    return [curve.epochs[place] for place in places], [float(f"{curve.values[place]:.4g}") for place in places]
