"""What a claim is asked of: the cells, the number, the paper's, and the scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablate.judge.cells import Measured
from ablate.judge.published import Published
from ablate.judge.scene import Scene


@dataclass(frozen=True)
class Setting:
    """What a claim is asked of."""

    cells: Mapping[int, Measured]
    axes: Mapping[str, Sequence[Any]]
    metric: str
    published: Mapping[int, Mapping[str, Published]]
    at_paper_scale: bool
    scope: str | None = None
    """The condition of the claim's `cells`, or of the claim that it is a part of."""

    @property
    def scene(self) -> Scene:
        """The cells that are there: those with trials, or with the number."""
        there = {number: cell for number, cell in self.cells.items() if cell.planned or cell.values(self.metric)}
        return Scene(there, self.axes, self.scope)

    def bound(self, margin: float) -> float:
        """What counts of a margin: at another scale than the paper's order and sign only."""
        return margin if self.at_paper_scale else min(margin, 0.0)
