"""On one GPU, within eight minutes: how much of the model's own speed the whole loop keeps, and what surrounds it.

    python -m tests.bench gpu

Each part prints its figures when it ends and writes all so far to gpu.json. On a machine without a GPU the same parts
run at toy size, which shows that they work and nothing else; without OUT its figures are printed only.

Each part has its share of the time (BUDGET): after it, no measurement of the part is repeated; after twice as long, or
when all of the time is over, the part is cut off and the next one begins.

ABLATE_CIFAR10: CIFAR-10 as an image folder, or an archive of it; without it, images are drawn. ABLATE_PHOTOGRAPHS: a
folder with train/<class>/*, or an archive of one, that is packed; ABLATE_PACK: a pack at 256 pixels. ABLATE_MINUTES
(default 8): for all parts together. ABLATE_EPOCHS (default 0): of a long training at the end, without a limit. OUT:
the folder of gpu.json. lightly and kornia are compared where they are installed.
"""

import contextlib
import functools
import json
import math
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from tests.bench.common import RESULTS, facts
from tests.bench.gpu_data import cifar10, pack_of_photographs
from tests.bench.gpu_parts import FULL, TOY, Bench

Part = Callable[[float], dict[str, Any]]
"""Measures until a time by time.perf_counter, and at least once."""
BUDGET = {
    "resnet18": 50.0,
    "lightly": 30.0,
    "augmentation": 20.0,
    "graphs": 30.0,
    "packing": 80.0,
    "resnet50": 90.0,
    "loss": 30.0,
    "study": 70.0,
    "compiled": 80.0,
}
"""Part -> its seconds of ABLATE_MINUTES = 8. Assumed, not measured, on an H200."""


def measure() -> dict[str, Any]:
    """All that can be measured here."""
    asked = os.environ.get("ABLATE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(asked)
    size = FULL if device.type == "cuda" else TOY
    if size is TOY:
        torch.set_num_threads(1)
    figures = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cores": len(os.sched_getaffinity(0)),
        "size": "full" if size is FULL else "toy: shows that the benchmark runs, and no speed",
    }
    with tempfile.TemporaryDirectory(prefix="ablate-bench-") as made:
        bench = functools.partial(Bench, device, size, cifar10(Path(made)))
        parts: dict[str, Part] = {
            "resnet18": lambda until: bench(until).resnet18(),
            "lightly": lambda until: bench(until).lightly(figures["resnet18"]["loop"]["median"]),
            "augmentation": lambda until: bench(until).augmentation(),
            "graphs": lambda until: bench(until).graphs(figures["resnet18"]["loop"]["median"]),
            "packing": lambda until: bench(until).packing(),
            "resnet50": lambda until: bench(until).resnet50(pack_of_photographs(Path(made), size.packed)),
            "loss": lambda until: bench(until).loss(),
            "study": lambda until: bench(until).study(Path(made)),
            "compiled": lambda until: bench(until).compiled(figures["resnet18"]["loop"]["median"]),
        }
        if epochs := int(os.environ.get("ABLATE_EPOCHS", "0")):
            parts["long"] = lambda until: bench(until).long(epochs)
        folder = os.environ.get("OUT") or (RESULTS if size is FULL else made)
        return one_by_one(parts, figures, Path(folder), float(os.environ.get("ABLATE_MINUTES", "8")))


def one_by_one(parts: Mapping[str, Part], figures: dict[str, Any], folder: Path, minutes: float) -> dict[str, Any]:
    """Measure part after part; each prints its figures when it ends, and writes all so far to `folder`/gpu.json.

    A part that fails or takes too long costs only its own figures; a run that is killed keeps those of the parts
    before. Parts that would begin after `minutes` are left out.
    """
    deadline = time.perf_counter() + 60 * minutes
    for name, measure_part in parts.items():
        began = time.perf_counter()
        share = BUDGET.get(name, math.inf) * minutes / 8
        if began > deadline:
            figures[name] = {"left_out": "no time was left: raise ABLATE_MINUTES"}
        else:
            try:
                with _at_most(math.inf if share == math.inf else min(2 * share, deadline - began)):
                    figures[name] = measure_part(min(began + share, deadline))
            except Exception as error:
                figures[name] = {"failed": f"{type(error).__name__}: {error}"}
        figures[name]["part_seconds"] = time.perf_counter() - began
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
        path = folder / "gpu.json"
        path.write_text(json.dumps({"command": "python -m tests.bench gpu", **facts(), **figures}, indent=1) + "\n")
    return figures


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError within if it takes longer, where the system has alarms."""
    if seconds == math.inf or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: Any) -> None:
        raise TimeoutError(f"took longer than {seconds:.1f} s: raise ABLATE_MINUTES")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
