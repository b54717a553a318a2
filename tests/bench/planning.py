"""How long a large study takes to expand, and a plan to make over many records; with the memory that it takes."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from ablate.records.files import Results, write_json
from ablate.run.plan import make_plan, record_plan
from tests.bench.common import DIMENSIONS, large_study, spread
from tests.records.by_hand import save_record

_EXPAND = """
import resource, sys, time
began = time.perf_counter()
from ablate.study.expansion.expand import expand
from ablate.study.load import load_profile, load_study
study = load_study(sys.argv[1])
trials = expand(study, load_profile("embedded", study.source.path)).trials
print(len(trials), time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measure(runs: int = 5) -> dict[str, Any]:
    """Seconds of wall time and MiB of memory of whole processes."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "large.toml"
        study.write_text(large_study(DIMENSIONS) + "epochs = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n", encoding="utf-8")
        expanded = [_output([sys.executable, "-c", _EXPAND, str(study)]).split() for _ in range(runs)]
        results = Results(Path(folder) / "results")
        _fill(results, 10_000)
        cells = "first=crop,cutout,color,sobel,noise,blur,rotate"
        plan = [sys.executable, "-m", "ablate", "plan", "augment_pairs", "--only", cells]
        plan += ["--results", str(results.root)]
        planned = [_seconds(plan) for _ in range(runs)]
    return {
        "unit": "seconds, whole processes; MiB of peak memory",
        "aim": "100,000 cells in 5 s and 1,000 MiB; a plan of 49 cells over 10,000 records in 1 s",
        "cells": int(expanded[0][0]),
        "expand": spread([float(run[1]) for run in expanded]),
        "expand_memory": spread([float(run[2]) for run in expanded]),
        "plan_over_10000_records": spread(planned),
    }


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _seconds(command: list[str]) -> float:
    began = perf_counter()
    _output(command)
    return perf_counter() - began


def _fill(results: Results, count: int) -> None:
    """Done trials: the 49 cells of Fig. 5, half of them, and so many of a hundred other studies."""
    plan = make_plan("augment_pairs", "embedded", results)
    record_plan(plan, results, ["bench"])
    config = json.loads(results.trial(plan.to_run[0].key).trial.read_text(encoding="utf-8"))
    for trial in plan.to_run[:25]:
        _finish(results, trial.key, config | {"key": trial.key})
    for number in range(count):
        _finish(results, f"{number:064x}", config | {"key": f"{number:064x}"})
    for first in range(0, count, 100):
        trials = [{"key": f"{n:064x}", "seed": 0, "axes": {"x": n}, "case": None} for n in range(first, first + 100)]
        axes = [{"name": "x", "values": [trial["axes"]["x"] for trial in trials]}]
        other = {"profile": "embedded", "design": str(first), "axes": axes, "cases": [], "trials": trials}
        save_record(results, f"study{first}", other)


def _finish(results: Results, key: str, spec: dict[str, Any]) -> None:
    folder = results.trial(key)
    attempt = folder.new_attempt("local")
    write_json(folder.trial, spec)
    write_json(attempt / "env.json", {"device": "cpu", "processor": "a processor", "packages": {"torch": "2"}})
    write_json(
        folder.result, {"key": key, "attempt": attempt.name, "top1": 50.0, "seconds": 9.0, "evaluate_seconds": 1.0}
    )
