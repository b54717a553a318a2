"""Training throughput, augmentation included, on two cores: ours as two trials at once, lightly's as it comes."""

import subprocess
import sys
import time
from typing import Any

from tests.bench.common import in_turn, ratio, spread

_START_UP, _SECONDS = 20, 20


def measure(rounds: int = 3) -> dict[str, Any]:
    """Both in turn; each process warms up before its window."""
    runs = {"ours": ("ours", 2, 1), "lightly": ("lightly", 1, 2), "lightly_twice": ("lightly", 2, 1)}
    figures = in_turn(rounds, {name: lambda run=run: _run(*run) for name, run in runs.items()})
    return {
        "unit": "pairs a second, whole training steps on two cores, ResNet-8 (strided stem), 32 px, batch 256",
        "aim": "at least 4 times lightly",
        "ours_is": "two trials at once, one process and one thread each, as `ablate run` trains on two cores",
        "lightly_is": "its SimCLRTransform, a DataLoader with 2 processes, NTXentLoss and SimCLRProjectionHead, "
        "two torch threads, our encoder",
        "lightly_twice_is": "the same as two trainings at once, one loader process and one torch thread each",
        **{name: spread(values) for name, values in figures.items()},
        "ratio": ratio(figures["ours"], figures["lightly"]),
        "ratio_twice": ratio(figures["ours"], figures["lightly_twice"]),
    }


def _run(name: str, processes: int, threads: int) -> float:
    """Pairs a second of all processes together, in the same window of time."""
    arguments = (name, str(time.time() + _START_UP), str(_SECONDS), str(threads))
    command = [sys.executable, "-m", "tests.bench.trainers", *arguments]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return sum(float(process.communicate()[0].split()[-1]) for process in running)
