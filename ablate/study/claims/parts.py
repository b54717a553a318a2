"""Claims about parts of a method: what one contributes, and whether two interact."""

import itertools
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from pydantic import Field, field_validator

from ablate.errors import InvalidValue
from ablate.study.claims import Claim, Finite
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


class Contributes(Claim):
    """The part raises the metric by more than `margin` over all contexts: the values of the other axes.

    A cell with the part is compared with the one without it whose other axes have the same values.
    """

    axis_keys = ("part",)
    two_valued = ("part",)
    leads_by_margin = True
    kind: Literal["contributes"]
    part: str = Field(examples=["blur"])
    """An axis with two values among `cells`: first with the part, then without it."""
    margin: Finite = 0.0
    every: bool = False
    """The part must contribute in each context, not just on average."""
    lowest: bool = False
    """The part must lower the metric, as for an error."""

    def compare(self, scene: Scene) -> Requirement:
        """One difference of means over the contexts; or, with `every`, one in each."""
        names, contexts = _contexts(scene, [self.part])
        with_part, without = zip(*contexts, strict=True)
        sides = [([one], [other]) for one, other in contexts] if self.every else [(with_part, without)]
        bound, parts = scene.lead(self.margin), []
        for cells in sides:
            ends = [Side(scene.label(own, name), scene.metric, own) for name, own in zip(names, cells, strict=True)]
            left, right = reversed(ends) if self.lowest else ends
            parts.append(difference(left, right, bound))
        return all_hold(parts)


class Interacts(Claim):
    """Two parts together change the metric by more than the sum of their own changes, on average over all contexts.

    The interaction of the parts is (both - second alone) - (first alone - neither); it is above `margin`.
    """

    axis_keys = ("axes",)
    two_valued = ("axes",)
    leads_by_margin = True
    kind: Literal["interacts"]
    axes: list[str] = Field(examples=[["crop", "color"]])
    """Two axes, each with two values among `cells`: first with the part, then without it."""
    direction: Literal["more", "less", "either"] = "more"
    """`more` than the sum; `less`: the interaction is below `-margin`; `either`: one of these."""
    margin: Finite = 0.0

    @field_validator("axes")
    @classmethod
    def _two(cls, axes: list[str]) -> list[str]:
        if len(set(axes)) != 2 or len(axes) != 2:
            raise InvalidValue("must be two axes", 'for example axes = ["crop", "color"]')
        return axes

    def compare(self, scene: Scene) -> Requirement:
        """The interaction above the margin, below its negative, or one of both."""
        _, contexts = _contexts(scene, self.axes)
        bound = scene.lead(self.margin)
        signs = {"more": [1], "less": [-1], "either": [1, -1]}[self.direction]
        found = [_interaction(" and ".join(self.axes), scene.metric, contexts, sign, bound) for sign in signs]
        return one_holds(found) if len(found) > 1 else all_hold(found)


def _interaction(name: str, metric: str, contexts: Sequence[Sequence[int]], sign: int, bound: float) -> Comparison:
    """The interaction, averaged over contexts of four cells: both parts, the first, the second, neither."""

    def value(at: Numbers) -> float:
        return sign * fmean(
            at[both] - at[first] - at[second] + at[neither] for both, first, second, neither in contexts
        )

    cells = list(dict.fromkeys(itertools.chain(*contexts)))
    return of_cells(f"{'' if sign > 0 else '- '}interaction of {name}", metric, cells, value, bound)


def _contexts(scene: Scene, axes: Sequence[str]) -> tuple[list[str], list[tuple[int, ...]]]:
    """The names of the values of the first axis, and for each context the cells with all combinations of two values.

    Combinations are in the order with both parts, the first alone, the second alone, neither. Raises AbsentError if an
    axis does not have two values, or no context has all combinations.
    """
    cells = [cell for cell in scene.pick() if all(axis in scene.cells[cell].axes for axis in axes)]
    levels = [scene.levels(axis, cells) for axis in axes]
    for axis, found in zip(axes, levels, strict=True):
        if len(found) != 2:
            raise AbsentError(f"{axis} has {len(found)} values among the cells, and this needs two")
    combinations = list(itertools.product(*levels))
    rows: dict[object, list[int]] = {}
    for combination in combinations:
        inside: Sequence[int] = cells
        for level in combination:
            inside = scene.inside(level, inside)
        for cell in inside:
            rows.setdefault(scene.context(axes, cell), []).append(cell)
    whole = [tuple(row) for row in rows.values() if len(row) == len(combinations)]
    if not whole:
        raise AbsentError(f"no cells differ in {' and '.join(axes)} alone")
    return [level.name for level in levels[0]], whole
