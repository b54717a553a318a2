"""A study's cells with what was measured at them, from the records."""

import json
from collections.abc import Mapping
from typing import Any

import duckdb

from ablate.judge.cells import Measured

_QUERY = """
    SELECT axes, "case", cells.seed, numbers FROM cells LEFT JOIN trials USING (key)
    WHERE study = ? AND profile = ? ORDER BY position
"""


def measured_cells(store: duckdb.DuckDBPyConnection, plan: Mapping[str, Any]) -> tuple[Measured, ...]:
    """The cells of the newest design of a plan's study and profile, those without a result too, in the plan's order."""
    labels = {case["name"]: case["label"] for case in plan["cases"]}
    axes = [axis["name"] for axis in plan["axes"]]
    groups: dict[tuple[str | None, str], dict[int, dict[str, float]]] = {}
    for values, case, seed, numbers in store.execute(_QUERY, [plan["study"], plan["profile"]]).fetchall():
        groups.setdefault((case, values), {})[seed] = _numbers(numbers)
    cells = []
    for (case, values), seeds in groups.items():
        place = json.loads(values)
        label = ", ".join([*([labels[case]] if case else []), *(str(place[name]) for name in axes if name in place)])
        numbers = {seed: each for seed, each in seeds.items() if each}
        cells.append(Measured(place, case, label, len(seeds), numbers, tuple(sorted(seeds))))
    return tuple(cells)


def _numbers(numbers: str | None) -> dict[str, float]:
    """What a trial returned that is a number; of one that is not done nothing."""
    found = json.loads(numbers) if numbers else {}
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
