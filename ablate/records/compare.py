"""Two trials side by side: where their settings, numbers and surroundings differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ablate.records.detail import Detail
from ablate.records.flatten import flat

SURROUNDINGS = (
    "host", "device", "driver", "cuda", "processor", "cores", "threads", "platform", "python", "commit", "modified",
    "code", "packages", "slurm",
)  # fmt: skip
"""What of env.json says with what a trial was computed; not when, or by which command."""


@dataclass(frozen=True)
class Difference:
    """A value that is not the same on both sides; None where a side is without it."""

    name: str
    left: Any
    right: Any


@dataclass(frozen=True)
class Comparison:
    """Two trials."""

    settings: tuple[Difference, ...]
    """Those that differ; also the trainer and its recipe version, where those do."""
    numbers: tuple[Difference, ...]
    """All that either has, also where both have the same."""
    surroundings: tuple[Difference, ...]
    """Those that differ."""
    same_pretraining: bool


def compare(left: Detail, right: Detail) -> Comparison:
    """Compare two trials."""
    identities = [
        {"trainer": each.trainer, "recipe_version": each.recipe_version, **each.config} for each in (left, right)
    ]
    surroundings = [
        {name: each.environment[name] for name in SURROUNDINGS if name in each.environment} for each in (left, right)
    ]
    shared = left.pretrain_key is not None and left.pretrain_key == right.pretrain_key
    return Comparison(
        settings=tuple(_differing(*identities)),
        numbers=tuple(_both(left.numbers, right.numbers)),
        surroundings=tuple(_differing(*surroundings)),
        same_pretraining=shared,
    )


def _both(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Difference]:
    before, after = flat(left), flat(right)
    return [Difference(name, before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])]


def _differing(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Difference]:
    return [each for each in _both(left, right) if each.left != each.right]
