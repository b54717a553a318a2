"""Claims that compare two groups of cells, or two metrics: greater, equivalent, no_worse."""

import itertools
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ablate.errors import InvalidValue
from ablate.study.claims import Claim, Condition, Each, Finite, Metric, Positive
from ablate.study.claims.comparison import Requirement, Side, all_hold, difference, more_than, within
from ablate.study.claims.scene import AbsentError, Group, Scene

_ALL = "all cells"


def _check_has_left(left: str | None, right_metric: str | None) -> None:
    if left is None and right_metric is None:
        help = "for example left = \"head == 'nonlinear'\", right = \"head == 'linear'\""
        raise InvalidValue("has no left", help)


def _check_sides(left: str | None, right: str | None, right_metric: str | None) -> None:
    if (left is None) != (right is None):
        given, missing = ("left", "right") if right is None else ("right", "left")
        raise InvalidValue(f"has '{given}' but no '{missing}'", "give both, or neither")
    if left is not None and left == right and right_metric is None:
        raise InvalidValue("has the same cells on the left and on the right", "change one of the two conditions")


class Greater(Claim):
    """The mean over the cells of `left` exceeds that over those of `right` by more than `margin`."""

    condition_keys = ("left", "right")
    axis_keys = ("each",)
    leads_by_margin = True
    kind: Literal["greater"]
    left: Condition | None = None
    """A condition: the cells with the higher mean. Required, unless `right_metric` is set."""
    right: Condition | None = None
    """A condition: the cells with the lower mean."""
    right_metric: Metric | None = None
    """The metric of the cells of `right`, if it differs; without conditions, two metrics of all cells are compared."""
    margin: Finite = 0.0
    each: Each = Field([])
    """Axes: the claim must hold at every combination of their values; a cell without one counts at every value."""
    every: bool = False
    """The claim must hold between each cell of `left` and each of `right`, not just between their means."""
    at_least: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The claim must hold in more than this share of the comparisons from `each` and `every` (1 = all)."""

    @model_validator(mode="after")
    def _both_sides(self) -> "Greater":
        _check_has_left(self.left, self.right_metric)
        _check_sides(self.left, self.right, self.right_metric)
        return self

    def compare(self, scene: Scene) -> Requirement:
        """In each group, one difference of means; or, with `every`, one of each pair of cells."""
        bound = scene.lead(self.margin)
        parts: list[Requirement] = []
        for group, left, right in _sides(self, scene):
            if self.every:
                lefts, rights = (scene.alone(side.cells, side.metric) for side in (left, right))
                parts += [difference(one, two, bound) for one, two in itertools.product(lefts, rights) if one != two]
            else:
                parts.append(difference(left, right, bound, group.suffix_of(left, right)))
        return more_than(self.at_least, parts)


class Equivalent(Claim):
    """The means over `left` and `right` (without these: of any two of `cells`) differ by less than `margin`."""

    condition_keys = ("left", "right")
    axis_keys = ("each",)
    kind: Literal["equivalent"]
    margin: Positive
    left: Condition | None = None
    """A condition; requires `right`."""
    right: Condition | None = None
    right_metric: Metric | None = None
    """The metric of the cells of `right`, if it differs; without conditions, two metrics of all cells are compared."""
    each: Each = Field([])
    """Axes: the claim must hold at every combination of their values."""

    @model_validator(mode="after")
    def _both_sides(self) -> "Equivalent":
        _check_sides(self.left, self.right, self.right_metric)
        return self

    def compare(self, scene: Scene) -> Requirement:
        """In each group, both directions of a difference of means, or of any two cells."""
        parts: list[Requirement] = []
        if self.left is not None or self.right_metric is not None:
            for group, left, right in _sides(self, scene):
                parts += within(left, right, self.margin, group.suffix_of(left, right))
            return all_hold(parts)
        cells = scene.pick()
        for group in scene.groups(self.each, cells):
            for one, two in itertools.combinations(scene.alone(scene.inside(group, cells)), 2):
                parts += within(one, two, self.margin)
        if not parts:
            raise AbsentError("there are no two cells to compare")
        return all_hold(parts)


class NoWorse(Claim):
    """The mean over the cells of `left` is at most `margin` below that over those of `right` (non-inferiority)."""

    condition_keys = ("left", "right")
    axis_keys = ("each",)
    kind: Literal["no_worse"]
    margin: Positive
    """The largest drop of the metric that is still acceptable. Unlike a lead, it applies at every profile."""
    left: Condition | None = None
    """A condition: the cells that must be no worse. Required, unless `right_metric` is set."""
    right: Condition | None = None
    """A condition: the cells that they are compared with."""
    right_metric: Metric | None = None
    """The metric of the cells of `right`, if it differs; without conditions, two metrics of all cells are compared."""
    each: Each = Field([])
    """Axes: the claim must hold at every combination of their values; a cell without one counts at every value."""
    lowest: bool = False
    """Lower is better, as for an error: the mean over `left` is at most `margin` above that over `right`."""

    @model_validator(mode="after")
    def _both_sides(self) -> "NoWorse":
        _check_has_left(self.left, self.right_metric)
        _check_sides(self.left, self.right, self.right_metric)
        return self

    def compare(self, scene: Scene) -> Requirement:
        """In each group, one difference of means, which is above -margin."""
        parts: list[Requirement] = []
        for group, left, right in _sides(self, scene):
            better, worse = (right, left) if self.lowest else (left, right)
            parts.append(difference(better, worse, -self.margin, group.suffix_of(left, right)))
        return all_hold(parts)


def _sides(claim: Greater | Equivalent | NoWorse, scene: Scene) -> list[tuple[Group, Side, Side]]:
    """The cells of two conditions, in each group of some axes that has cells of both."""
    other = claim.right_metric or scene.metric
    lefts, rights = scene.pick(claim.left), replace(scene, metric=other).pick(claim.right)
    found = []
    for group in scene.groups(claim.each, (*lefts, *rights)):
        left, right = scene.inside(group, lefts), scene.inside(group, rights)
        if left == right and other == scene.metric:
            raise AbsentError(f"{claim.left} and {claim.right} are the same cells")
        if left and right:
            left_name, right_name = scene.label(left, claim.left or _ALL), scene.label(right, claim.right or _ALL)
            found.append((group, Side(left_name, scene.metric, left), Side(right_name, other, right)))
    if not found:
        message = f"no cell of {claim.left or _ALL} has a counterpart of {claim.right or _ALL}"
        raise AbsentError(f"{message} with the same {', '.join(claim.each)}")
    return found
