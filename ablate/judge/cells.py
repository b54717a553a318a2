"""A cell with what was measured at it: what claims are judged on."""

from dataclasses import dataclass
from typing import Any


class AbsentError(Exception):
    """Something that a claim speaks of is not there, or was not measured; the message says what."""


@dataclass(frozen=True)
class Measured:
    """One cell of the grid, or a case, with the numbers of each finished seed."""

    axes: dict[str, Any]
    """Its value on each axis that it has."""
    case: str | None
    label: str
    """What people call it: `crop, color`."""
    planned: int
    """How many trials were asked for. A cell with none, and without the number asked for, is as if it were not."""
    numbers: dict[int, dict[str, float]]
    """Seed -> metric -> value; top-1 in percent."""

    def values(self, metric: str) -> dict[int, float]:
        """Seed -> value of a metric, for the seeds that have it."""
        return {seed: numbers[metric] for seed, numbers in sorted(self.numbers.items()) if metric in numbers}
