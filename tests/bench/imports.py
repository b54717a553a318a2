"""What `ablate import` costs for 10,000 runs of 50 epochs each: a CSV and JSON lines.

Measured are whole processes: wall and CPU seconds, and peak memory. The results folder is made and removed with them.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from tests.bench.common import spread

RUNS, EPOCHS, SEEDS = 10_000, 50, 10
_OPTIONS = ["--axis", "lr", "--axis", "model", "--metric", "accuracy", "--run", "run", "--step", "epoch"]


def measure(rounds: int = 3, folder: str | None = None) -> dict[str, Any]:
    """Seconds and MiB. folder: where the sources and the records are made, if not among the temporary files."""
    figures: dict[str, list[float]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            write_sources(Path(place))
            for name in ("first", "again"):
                for kind, value in _import(Path(place)).items():
                    figures.setdefault(f"{name}_{kind}", []).append(value)
            imported = len(list(Path(place, "results/trials").iterdir()))
            files = sum(len(files) + len(folders) for _, folders, files in os.walk(Path(place, "results/trials")))
    return {
        "unit": "seconds of a whole process, wall and of the processor; MiB of peak memory",
        "aim": "at most 10 s of wall time for the first import",
        "runs": imported,
        "epochs": EPOCHS,
        "files_and_folders_a_run": round(files / imported, 2),
        **{name: spread(values) for name, values in figures.items()},
    }


def write_sources(place: Path) -> None:
    """runs.csv and epochs.jsonl, whose runs stand in turn, as those of a sweep do."""
    cells = [(f"{0.01 * (n // 10 + 1):.2f}", f"model{n % 10}") for n in range(RUNS // SEEDS)]
    runs = [(lr, model, seed) for lr, model in cells for seed in range(SEEDS)]
    with (place / "runs.csv").open("w", encoding="utf-8") as file:
        file.write("run,lr,model,seed,batch_size,accuracy\n")
        for n, (lr, model, seed) in enumerate(runs):
            file.write(f"r{n},{lr},{model},{seed},256,{_accuracy(n, EPOCHS)}\n")
    with (place / "epochs.jsonl").open("w", encoding="utf-8") as file:
        for epoch in range(1, EPOCHS + 1):
            for n in range(RUNS):
                row = {"run": f"r{n}", "epoch": epoch, "loss": 3 / epoch + n / 7, "accuracy": _accuracy(n, epoch)}
                file.write(json.dumps(row) + "\n")


def _accuracy(run: int, epoch: int) -> float:
    return run * 7919 % 1000 / 1500 + epoch / 300


def _import(place: Path) -> dict[str, float]:
    """Import the sources in a process of its own."""
    command = [sys.executable, "-m", "ablate", "import", "runs.csv", "epochs.jsonl", "--study", "sweep", *_OPTIONS]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = perf_counter()
    child = os.fork()
    if child == 0:
        os.chdir(place)
        os.execve(sys.executable, command, environment)
    _, code, used = os.wait4(child, 0)
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(code)}")
    wall = perf_counter() - began
    return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss / 1024}
