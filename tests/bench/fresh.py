"""How much later a trial starts, and ends, with a process of its own: forked from a worker, against one that is shared.

The trainer does nothing, so that a trial's time is that of its record and of its process.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from ablate.records.files import Results, write_json
from ablate.run.pool import Pool
from tests.bench.common import spread
from tests.run.careless import NAME, Settings

TRIALS, ROUNDS = 40, 3


def measure() -> dict[str, Any]:
    """Milliseconds per trial on one worker, in turn: from one outcome to the next, and of the processor."""
    pairs: dict[str, list[tuple[float, float]]] = {"shared": [], "fork": []}
    for _ in range(ROUNDS):
        for name, found in pairs.items():
            found.append(_trained(fresh=name == "fork"))
    return {
        "trials": TRIALS,
        "milliseconds per trial": {name: spread([each[0] for each in found]) for name, found in pairs.items()},
        "of the processor": {name: spread([each[1] for each in found]) for name, found in pairs.items()},
    }


def _trained(fresh: bool) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        results = Results(Path(folder))
        keys = [f"{number:03d}abc" for number in range(TRIALS + 1)]
        for key in keys:
            spec = {"key": key, "pretrain_key": key, "trainer": NAME, "recipe_version": 1}
            write_json(results.trial(key).trial, {**spec, "config": Settings().model_dump(mode="json")})
        with Pool(results, 1, 1, "cpu", fresh=fresh) as pool:
            list(pool.run({keys[0]: keys[0]}, tick=lambda: None))
            worker = pool.workers[0].process.pid
            began, used = time.perf_counter(), _processor_seconds(worker)
            list(pool.run({key: key for key in keys[1:]}, tick=lambda: None))
            took = time.perf_counter() - began, _processor_seconds(worker) - used
            return 1000 * took[0] / TRIALS, 1000 * took[1] / TRIALS


def _processor_seconds(process: int) -> float:
    """Of a process and of its children that have ended."""
    numbers = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:15]
    return sum(map(int, numbers)) / os.sysconf("SC_CLK_TCK")
