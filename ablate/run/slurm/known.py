"""What the records tell of a cluster's trials: which share a pretraining, and what done ones took."""

import json
from collections.abc import Iterable
from statistics import median
from typing import Any

from ablate.records.attempt import read_json_lines
from ablate.records.files import Results
from ablate.run.slurm.shares import Measured

_MOST_READ = 50


def pretrainings(results: Results, keys: Iterable[str]) -> dict[str, str]:
    """Trial key -> pretrain key, from the records; its own key for one that cannot be read."""
    return {key: results.trial(key).pretrain_key for key in keys}


def measured_of(results: Results, keys: Iterable[str]) -> Measured:
    """What done trials took, of the first that are found: at the median, and the greatest part of a GPU's memory."""
    seconds: list[float] = []
    parts: list[float] = []
    for key in keys:
        folder = results.trial(key)
        try:
            result: dict[str, Any] = json.loads(folder.result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        seconds.append(float(result.get("seconds", 0.0)))
        events = read_json_lines(folder.attempts / str(result.get("attempt")) / "events.jsonl")
        memory: dict[str, int]
        memory = next((event.get("memory", {}) for event in events if event.get("event") == "ended"), {})
        if memory.get("gpu") and memory.get("gpu_total"):
            parts.append(memory["gpu"] / memory["gpu_total"])
        if len(seconds) == _MOST_READ:
            break
    return Measured(median(seconds) if seconds else None, max(parts) if parts else None)
