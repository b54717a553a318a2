"""`python -m tests.bench [NAME ...]`: measures, prints, and writes tests/bench/results/NAME.json."""

import json
import sys

from tests.bench import (
    augmentation,
    commands,
    dispatch,
    fresh,
    gpu,
    growth,
    imports,
    loader,
    loss,
    packs,
    planning,
    queue,
    report,
    serve,
    step,
    throughput,
)
from tests.bench.common import save

BENCHMARKS = {
    "augmentation": augmentation.measure,
    "throughput": throughput.measure,
    "step": step.measure,
    "commands": commands.measure,
    "planning": planning.measure,
    "report": report.measure,
    "loss": loss.measure,
    "dispatch": dispatch.measure,
    "fresh": fresh.measure,
    "gpu": gpu.measure,
    "growth": growth.measure,
    "import": imports.measure,
    "loader": loader.measure,
    "packs": packs.measure,
    "queue": queue.measure,
    "serve": serve.measure,
}
NEED_DATA = {"dispatch", "gpu", "growth", "import", "loader", "packs", "queue", "serve"}
"""Run by name only: they need images, a GPU, or Slurm's daemons, that their first lines tell of, or many minutes."""

SAVED_BY_PART = {"gpu"}
"""Printed and written while they run."""


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all that need nothing but this machine."""
    if unknown := [name for name in names if name not in BENCHMARKS]:
        print(f"error: unknown benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or sorted(set(BENCHMARKS) - NEED_DATA):
        figures = BENCHMARKS[name]()
        if name not in SAVED_BY_PART:
            print(f"{name}: {json.dumps(figures, indent=1)}\n-> {save(name, figures)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
