"""What commands cost when a results folder has grown to 10,000 and 100,000 done trials of 50 epochs each.

The records are those of one study of the shipped trainer with four axes, written without training and without syncing.
The study has no claims: what their statistics cost depends on the claims, not on the records.
Measured are whole processes: CPU seconds, which a busy machine changes little, and peak memory.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from ablate.records.files import Results, TrialFolder, write_json
from ablate.run.plan import Plan, make_plan, record_plan
from tests.bench.common import DIMENSIONS, large_study

EPOCHS, SEEDS = 50, 10
BARS = {
    1_000: {
        "status_first": {"cpu": 3.0, "memory": 300}, "status_again": {"cpu": 0.4}, "plan": {"cpu": 1.0},
        "report": {"page": 2.5}, "report_after_one_more": {"cpu": 1.5, "page": 2.5},
    },
    10_000: {
        "status_first": {"cpu": 25.0, "memory": 800}, "gc": {"cpu": 20.0}, "report": {"page": 5.0},
    },
}  # fmt: skip
"""Cells -> measure -> its bars: CPU seconds, MB of memory, MB of the page."""


def measure(cells: tuple[int, ...] = tuple(BARS), folder: str | None = None) -> dict[str, Any]:
    """The table for each number of cells; folder: where the records are made and kept, if not in a temporary one."""
    figures: dict[str, Any] = {"unit": "CPU seconds of a process; MB of peak memory and of the page", "epochs": EPOCHS}
    for count in cells:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            _make(Path(place), count)
            rows = measured(Path(place))
        figures[f"{count * SEEDS} trials"] = rows
        _print(count, rows)
    return figures


def _make(place: Path, cells: int) -> None:
    study, results = place / "large.toml", Results(place / "results")
    study.write_text(large_study(DIMENSIONS[: cells // 1000]), encoding="utf-8")
    fill(results, make_plan(str(study), "embedded", results, seeds=range(SEEDS)))


def measured(place: Path) -> dict[str, dict[str, float]]:
    """The table for the records in a folder."""
    results, report = Results(place / "results"), ("report", "large")
    rows = {
        "status_first": _run(place, "status"),
        "status_again": _run(place, "status"),
        "plan": _run(place, "plan", "large.toml", "--seeds", str(SEEDS)),
        "report": _run(place, *report) | _page(place),
        "report_again": _run(place, *report) | _page(place),
    }
    _finish(min(results.trials.iterdir()), 71.5, attempt=2)  # as if it had been trained again
    rows["report_after_one_more"] = _run(place, *report) | _page(place)
    _finish(min(results.trials.iterdir()), 72.5, attempt=3)
    rows["status_after_one_more"] = _run(place, "status")
    rows["gc"] = _run(place, "gc", "--dry-run")
    return rows


def _run(place: Path, *command: str) -> dict[str, float]:
    """Run a command of ablate in a folder to its end; its CPU seconds and peak memory."""
    arguments = [sys.executable, "-I", "-c", _LAUNCH, sys.executable, "-m", "ablate", *command]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])  # compiled modules, as users have
    ran = subprocess.run(arguments, stdout=subprocess.PIPE, env=environment, cwd=place, text=True)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    cpu, memory = map(float, ran.stdout.split())
    return {"cpu": round(cpu, 2), "memory": round(memory / 1024)}


_LAUNCH = """
import os, sys
silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
_, code, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent), 0)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(code))
"""
"""A small process that starts the command: at first, Linux counts the peak memory of whoever started a process."""


def _page(place: Path) -> dict[str, float]:
    return {"page": round((place / "reports/large.html").stat().st_size / 1e6, 2)}


def _print(cells: int, rows: dict[str, dict[str, float]]) -> None:
    print(f"{cells * SEEDS:,} trials of {EPOCHS} epochs")
    for name, row in rows.items():
        bars = BARS.get(cells, {}).get(name, {})
        shown = (f"{kind} {value}{f' (bar {bars[kind]})' if kind in bars else ''}" for kind, value in row.items())
        print(f"  {name:22} {', '.join(shown)}", flush=True)


def fill(results: Results, plan: Plan) -> None:
    """The plan's file, and a done trial for each of its trials."""
    with mock.patch.object(os, "fsync"):
        record_plan(plan, results, ["bench"])
        for number, trial in enumerate(plan.to_run):
            _finish(results.trial(trial.key).path, 50 + number * 7 % 1000 / 50)


def _finish(trial: Path, top1: float, attempt: int = 1) -> None:
    folder = trial / f"attempts/{attempt:03d}-local"
    folder.mkdir(parents=True)
    TrialFolder(trial).claim.touch()
    facts = {"command": ["ablate", "run", "large"], "host": "node1", "device": "cpu", "processor": "a processor"}
    facts |= {"python": "3.11.9", "cores": 8, "threads": 1, "packages": {"torch": "2.7.1", "numpy": "2.3.1"}}
    facts |= {"code": "c0de" * 16, "commit": "c" * 40, "modified": False, "plan": "studies/large/plan-1.json"}
    events = [
        {"event": "started", "time": 1.7e9, "place": "local", "host": "node1", "pid": 1, "device": "cpu"},
        {"event": "environment", "time": 1.7e9, "facts": facts},
        {"event": "ended", "time": 1.7e9 + 60, "state": "done", "memory": {"process": 812_345_678}},
    ]
    rows = (
        {"phase": "pretrain", "epoch": epoch, "loss": 3.0 / epoch + top1 / 1e3, "learning_rate": 0.1 / epoch,
         "pairs_per_second": 900.0 + epoch, "contrastive_top1": top1 / 2 + epoch}
        for epoch in range(1, EPOCHS + 1)
    )  # fmt: skip
    for name, lines in (("events", events), ("metrics", rows)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    metrics = {"top1": top1, "loss": 0.06, "pretrain_seconds": 50.0, "evaluate_seconds": 10.0, "parameters": 175_258}
    metrics |= {"images": "synthetic textures", "precision": "bfloat16", "test_images": 500}
    ours = {"key": trial.name, "attempt": folder.name, "seconds": 60.0}
    with mock.patch.object(os, "fsync"):
        write_json(trial / "result.json", ours | {"metrics": metrics, "warnings": []})
