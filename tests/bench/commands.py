"""How long a person waits for `ablate --help`, and for `ablate query` over 1,000 records."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from ablate.records.attempt import AttemptWriter
from ablate.records.files import Results, write_json
from tests.bench.common import spread
from tests.records.by_hand import save_record

_QUERY = ("query", "SELECT state, count(*), avg((numbers ->> 'top1')::DOUBLE) FROM trials GROUP BY state")


def measure(runs: int = 7) -> dict[str, Any]:
    """Wall time of whole commands in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        results = Results(Path(folder))
        for number in range(1000):
            _add_trial(results, number)
        options = ("--results", folder)
        first = [_first_query(results, options) for _ in range(3)]
        again = [_seconds(*_QUERY, *options) for _ in range(runs)]
        after_one_more = []
        for number in range(1000, 1000 + runs):
            _add_trial(results, number)
            after_one_more.append(_seconds(*_QUERY, *options))
    return {
        "unit": "seconds, whole commands",
        "aim": "help 0.3, query 1",
        "help": spread([_seconds("--help") for _ in range(runs)]),
        "query_nothing_changed": spread(again),
        "query_after_one_more_trial": spread(after_one_more),
        "query_store_built_from_nothing": spread(first),
    }


def _seconds(*arguments: str) -> float:
    began = perf_counter()
    subprocess.run([sys.executable, "-m", "ablate", *arguments], check=True, capture_output=True)
    return perf_counter() - began


def _first_query(results: Results, options: tuple[str, ...]) -> float:
    results.database.unlink(missing_ok=True)
    return _seconds(*_QUERY, *options)


def _add_trial(results: Results, number: int) -> None:
    """A finished trial with ten rows of metrics, and a plan for every hundredth."""
    key = f"{number:064x}"
    folder = results.trial(key)
    config = {"seed": number % 5, "data": {"name": "textures"}, "loss": {"temperature": 0.1}}
    write_json(folder.trial, {"key": key, "pretrain_key": key, "config": config})
    writer = AttemptWriter(folder.new_attempt("local"))
    write_json(writer.path / "env.json", {"host": "h", "packages": {"torch": "2"}})
    writer.event("started", host="h", pid=1)
    for epoch in range(10):
        writer.metrics(
            {"phase": "pretrain", "epoch": epoch, "loss": 3.0, "learning_rate": 0.1, "pairs_per_second": 9.0}
        )
    write_json(folder.result, {"key": key, "attempt": writer.path.name, "top1": 50.0, "loss": 3.0, "seconds": 9.0})
    writer.event("ended", state="done")
    writer.close()
    if number % 100 == 0:
        trials = [
            {"key": f"{n:064x}", "seed": n % 5, "axes": {"x": n}, "case": None} for n in range(number, number + 100)
        ]
        axes = [{"name": "x", "values": [trial["axes"]["x"] for trial in trials]}]
        plan = {"profile": "embedded", "design": str(number), "axes": axes, "cases": [], "trials": trials}
        save_record(results, f"study{number}", json.loads(json.dumps(plan)))
