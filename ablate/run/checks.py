"""What a look at a machine or a cluster found: a line of `ablate doctor`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "warning", "problem"]
    told: str
    help: str | None = None
