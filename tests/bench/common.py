"""What every benchmark needs: facts about the machine, rounds in turn, and figures with their spread."""

import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from ablate.records.provenance import provenance

RESULTS = Path(__file__).parent / "results"
LIGHTLY_LIKE = {
    # lightly's SimCLRTransform(input_size=32), by its source: area 0.08 to 1, bilinear, flip 0.5, jitter 0.8 of
    # brightness, contrast, saturation 0.8 and hue 0.2 (brightness multiplies), gray 0.2, blur 0.5 of sigma 0.1 to 2
    "transforms": ("crop", "color", "blur"),
    "crop": {"interpolation": "bilinear", "sampler": "torchvision", "antialias": True},
    "color": {"strength": 1.0, "brightness": "multiplicative", "operations": "torchvision"},
    "blur": {"probability": 0.5, "sigma_of": "image"},
}


def facts() -> dict[str, Any]:
    """Processor, cores, versions and commit; no name of a machine, and no path."""
    surroundings = provenance()
    packages = {
        name: _version(name) for name in ("torch", "torchvision", "lightly", "kornia", "numpy", "pillow", "duckdb")
    }
    kept = {name: surroundings[name] for name in ("processor", "cores", "python", "commit", "modified")}
    return {**kept, "system": platform.system(), "packages": packages, "date": time.strftime("%Y-%m-%d")}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def in_turn(rounds: int, measures: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Each measure once a round, so that a machine whose speed drifts treats them alike."""
    figures: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            figures[name].append(measure())
    return figures


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, least and greatest, with the raw figures."""
    return {"median": median(values), "min": min(values), "max": max(values), "raw": [round(v, 4) for v in values]}


def ratio(first: Sequence[float], second: Sequence[float]) -> dict[str, Any]:
    """The ratio of each round."""
    return spread([a / b for a, b in zip(first, second, strict=True)])


def save(name: str, figures: Mapping[str, Any]) -> Path:
    """Write the figures with the machine's facts to `results/<name>.json`."""
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"command": f"python -m tests.bench {name}", **facts(), **figures}, indent=1) + "\n")
    return path


DIMENSIONS = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192]


def large_study(dimensions: Sequence[int]) -> str:
    """The text of a study file with 1,000 cells for each of the dimensions; axes may be appended."""
    return f"""
name = "large"
title = "Large"
question = "What does a large study cost?"

[axes]
temperature = {{ setting = "loss.temperature", values = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] }}
rate = {{ setting = "optimizer.learning_rate", values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0] }}
strength = {{ setting = "augment.color.strength", values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0] }}
dimension = {{ setting = "head.output_dimension", values = {list(dimensions)} }}
"""
