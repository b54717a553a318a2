"""On one GPU, within eight minutes: how much of the model's own speed the whole loop keeps, and what surrounds it.

    python -m tests.bench gpu

Each part prints its figures when it ends and writes all so far to gpu.json. On a machine without a GPU the same parts
run at toy size, which shows that they work and nothing else; without OUT its figures are printed only.

ABLATE_CIFAR10: CIFAR-10 as an image folder, or an archive of it; without it, images are drawn. ABLATE_PHOTOGRAPHS: a
folder with train/<class>/*, or an archive of one, that is packed; ABLATE_PACK: a pack at 256 pixels. ABLATE_MINUTES
(default 8): no part begins, and no measurement is repeated, after that. ABLATE_EPOCHS (default 0): of a long training
at the end. OUT: the folder of gpu.json. lightly and kornia are compared where they are installed.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tests.bench.common import RESULTS, facts
from tests.bench.gpu_data import cifar10, pack_of_photographs
from tests.bench.gpu_parts import FULL, TOY, Bench

Part = Callable[[], dict[str, Any]]


def measure() -> dict[str, Any]:
    """All that can be measured here."""
    asked = os.environ.get("ABLATE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(asked)
    deadline = time.perf_counter() + 60 * float(os.environ.get("ABLATE_MINUTES", "8"))
    size = FULL if device.type == "cuda" else TOY
    if size is TOY:
        torch.set_num_threads(1)
    figures = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cores": len(os.sched_getaffinity(0)),
        "size": "full" if size is FULL else "toy: shows that the benchmark runs, and no speed",
    }
    with tempfile.TemporaryDirectory(prefix="ablate-bench-") as made:
        bench = Bench(device, size, cifar10(Path(made)), deadline)
        parts: dict[str, Part] = {
            "resnet18": bench.resnet18,
            "lightly": lambda: bench.lightly(figures["resnet18"]["loop"]["median"]),
            "augmentation": bench.augmentation,
            "packing": bench.packing,
            "resnet50": lambda: bench.resnet50(pack_of_photographs(Path(made), size.copies)),
            "loss": bench.loss,
            "study": lambda: bench.study(Path(made)),
        }
        if epochs := int(os.environ.get("ABLATE_EPOCHS", "0")):
            parts["long"] = lambda: bench.long(epochs)
        folder = os.environ.get("OUT") or (RESULTS if size is FULL else made)
        return one_by_one(parts, figures, Path(folder), deadline)


def one_by_one(
    parts: Mapping[str, Part], figures: dict[str, Any], folder: Path, deadline: float = float("inf")
) -> dict[str, Any]:
    """Measure part after part; each prints its figures when it ends, and writes all so far to `folder`/gpu.json.

    A part that fails costs only its own figures; a run that is killed keeps those of the parts before. Parts that
    would begin after the deadline, by time.perf_counter, are left out.
    """
    for name, measure_part in parts.items():
        began = time.perf_counter()
        if began > deadline:
            figures[name] = {"left_out": "no time was left: raise ABLATE_MINUTES"}
        else:
            try:
                figures[name] = measure_part()
            except Exception as error:
                figures[name] = {"failed": f"{type(error).__name__}: {error}"}
        figures[name]["part_seconds"] = time.perf_counter() - began
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
        path = folder / "gpu.json"
        path.write_text(json.dumps({"command": "python -m tests.bench gpu", **facts(), **figures}, indent=1) + "\n")
    return figures
