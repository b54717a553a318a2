"""Claims about the order of cells: best, monotone, closing_gap."""

import itertools
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from pydantic import Field

from ablate.study.claims import Claim, Condition, Each, Finite
from ablate.study.claims.comparison import (
    Comparison,
    Numbers,
    Requirement,
    Side,
    all_hold,
    difference,
    of_cells,
    one_holds,
)
from ablate.study.claims.scene import AbsentError, Scene


class Best(Claim):
    """A cell of `is` exceeds every other cell of `cells` by more than `margin`; with `lowest`, it is below them."""

    condition_keys = ("best",)
    leads_by_margin = True
    kind: Literal["best"]
    best: Condition = Field(alias="is", examples=["first == 'crop' and second == 'color'"])
    """A condition: the cells that include the best one."""
    margin: Finite = 0.0
    lowest: bool = False
    """The best cell is the one with the lowest value, as for an error."""

    def compare(self, scene: Scene) -> Requirement:
        """One of the best cells exceeds each of the others."""
        best = scene.pick(self.best)
        others = [cell for cell in scene.pick() if cell not in best]
        if not others:
            raise AbsentError("there is no other cell to compare with")
        bound = scene.lead(self.margin)

        def over(one: Side, other: Side) -> Comparison:
            return difference(other, one, bound) if self.lowest else difference(one, other, bound)

        return one_holds([all_hold([over(one, other) for other in scene.alone(others)]) for one in scene.alone(best)])


class Monotone(Claim):
    """Each step along an axis changes the metric by more than `margin`; other axes are averaged."""

    axis_keys = ("along", "each")
    leads_by_margin = True
    kind: Literal["monotone"]
    along: str = Field(examples=["temperature"])
    """The axis, with its values in the order of the file."""
    direction: Literal["up", "down"] = "up"
    margin: Finite = 0.0
    each: Each = Field([])
    """Axes: the claim must hold at every combination of their values."""

    def compare(self, scene: Scene) -> Requirement:
        """In each group, a difference of means for each step."""
        bound = scene.lead(self.margin)
        cells = [cell for cell in scene.pick() if self.along in scene.cells[cell].axes]
        parts: list[Requirement] = []
        for group in scene.groups(self.each, cells):
            inside = scene.inside(group, cells)
            for low, high in itertools.pairwise(scene.levels(self.along, inside)):
                ends = scene.matched(self.along, scene.inside(low, inside), scene.inside(high, inside))
                below, above = (
                    Side(scene.label(end, level.name), scene.metric, end)
                    for end, level in zip(ends, (low, high), strict=True)
                )
                left, right = (above, below) if self.direction == "up" else (below, above)
                parts.append(difference(left, right, bound, group.suffix_of(left, right)))
        if not parts:
            raise AbsentError(f"there are no two values of {self.along} to compare")
        return all_hold(parts)


class ClosingGap(Claim):
    """The mean over `left` minus the mean over `right` shrinks by more than `margin` at each step along an axis."""

    condition_keys = ("left", "right")
    axis_keys = ("along", "each")
    leads_by_margin = True
    kind: Literal["closing_gap"]
    left: Condition
    """A condition: the cells with the higher mean."""
    right: Condition
    """A condition: the cells with the lower mean."""
    along: str = Field(examples=["epochs"])
    """The axis, with its values in the order of the file."""
    margin: Finite = 0.0
    each: Each = Field([])
    """Axes: the claim must hold at every combination of their values."""

    def compare(self, scene: Scene) -> Requirement:
        """In each group, the gap at each value less the gap at the next."""
        bound = scene.lead(self.margin)
        lefts, rights = scene.pick(self.left), scene.pick(self.right)
        parts: list[Requirement] = []
        for group in scene.groups(self.each, (*lefts, *rights)):
            sides = scene.inside(group, lefts), scene.inside(group, rights)
            for early, late in itertools.pairwise(scene.levels(self.along, *sides)):
                gaps = [[scene.inside(level, side) for side in sides] for level in (early, late)]
                label = f"gap at {early.name} - gap at {late.name}{group.suffix}"
                parts.append(_gap_closes(label, scene.metric, gaps, bound))
        if not parts:
            raise AbsentError(f"there are no two values of {self.along} at which there is a gap")
        return all_hold(parts)


def _gap_closes(label: str, metric: str, gaps: Sequence[Sequence[Sequence[int]]], bound: float) -> Comparison:
    def closing(at: Numbers) -> float:
        early, late = (fmean(at[cell] for cell in left) - fmean(at[cell] for cell in right) for left, right in gaps)
        return early - late

    cells = list(dict.fromkeys(cell for sides in gaps for side in sides for cell in side))
    return of_cells(label, metric, cells, closing, bound)
