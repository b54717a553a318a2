"""Claims about order: which cells are above which, and by how much."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from ablate.judge.cells import AbsentError
from ablate.judge.comparison import (
    Asked,
    Comparison,
    Numbers,
    Side,
    all_hold,
    difference,
    more_than,
    of_cells,
    one_holds,
    pair,
    within,
)
from ablate.judge.scene import Group
from ablate.judge.setting import Setting
from ablate.study import claims as kinds

_ALL = "all cells"


def best(claim: kinds.Best, setting: Setting) -> Asked:
    """Some cell of `is` is above, or below, every other cell."""
    scene = setting.scene
    best = scene.pick(claim.best)
    others = [cell for cell in scene.pick() if cell not in best]
    if not others:
        raise AbsentError("there is no other cell here")
    bound = setting.bound(claim.margin)

    def over(one: int, other: int) -> Comparison:
        return pair(setting.metric, scene.cells, *((other, one) if claim.lowest else (one, other)), bound)

    return one_holds([all_hold([over(one, other) for other in others]) for one in best])


def greater(claim: kinds.Greater, setting: Setting) -> Asked:
    """The cells of one condition are above those of another, by their means or each."""
    bound = setting.bound(claim.margin)
    parts: list[Asked] = []
    for group, left, right in _sides(claim, setting):
        if claim.every:
            lefts, rights = _alone(setting, left), _alone(setting, right)
            parts += [difference(one, two, bound) for one in lefts for two in rights if one != two]
        else:
            parts.append(difference(left, right, bound, _suffix(group, left, right)))
    return more_than(claim.at_least, parts)


def _alone(setting: Setting, side: Side) -> list[Side]:
    """Each cell of a side as a side."""
    return [Side(setting.cells[cell].label, side.metric, [cell]) for cell in side.cells]


def _suffix(group: Group, *sides: Side) -> str:
    """Which group a comparison is of, where the labels of its cells do not say it."""
    return group.suffix if any(len(side.cells) > 1 for side in sides) else ""


def _sides(claim: kinds.Greater | kinds.Equivalent, setting: Setting) -> list[tuple[Group, Side, Side]]:
    """The cells of two conditions in each group of some axes that has cells of both."""
    other = claim.right_metric or setting.metric
    lefts, rights = setting.scene.pick(claim.left), replace(setting, metric=other).scene.pick(claim.right)
    scene = replace(setting.scene, cells=setting.cells)
    found = []
    for group in scene.groups(claim.each, (*lefts, *rights)):
        left, right = scene.inside(group, lefts), scene.inside(group, rights)
        if left and right:
            names = (scene.label(cells, text or _ALL) for cells, text in ((left, claim.left), (right, claim.right)))
            found.append((group, Side(next(names), setting.metric, left), Side(next(names), other, right)))
    if not found:
        told = f"no cell of {claim.left or _ALL} has a counterpart of {claim.right or _ALL}"
        raise AbsentError(f"{told} with the same {', '.join(claim.each)}")
    return found


def monotone(claim: kinds.Monotone, setting: Setting) -> Asked:
    """Each step along an axis goes up, or down."""
    scene, bound = setting.scene, setting.bound(claim.margin)
    cells = [cell for cell in scene.pick() if claim.along in scene.cells[cell].axes]
    parts: list[Asked] = []
    for group in scene.groups(claim.each, cells):
        inside = scene.inside(group, cells)
        for low, high in itertools.pairwise(scene.levels(claim.along, inside)):
            ends = scene.matched(claim.along, scene.inside(low, inside), scene.inside(high, inside))
            names = [scene.label(end, level.name) for end, level in zip(ends, (low, high), strict=True)]
            below, above = (Side(name, setting.metric, end) for name, end in zip(names, ends, strict=True))
            left, right = (above, below) if claim.direction == "up" else (below, above)
            parts.append(difference(left, right, bound, _suffix(group, left, right)))
    if not parts:
        raise AbsentError(f"there are no two values of {claim.along} here to compare")
    return all_hold(parts)


def equivalent(claim: kinds.Equivalent, setting: Setting) -> Asked:
    """Means, or any two cells, are less than a margin apart."""
    parts: list[Asked] = []
    if claim.two_sides:
        for group, left, right in _sides(claim, setting):
            parts += within(left, right, claim.margin, _suffix(group, left, right))
        return all_hold(parts)
    scene = setting.scene
    cells = scene.pick()
    for group in scene.groups(claim.each, cells):
        inside = _alone(setting, Side("", setting.metric, scene.inside(group, cells)))
        for one, two in itertools.combinations(inside, 2):
            parts += within(one, two, claim.margin)
    if not parts:
        raise AbsentError("there are no two cells here to compare")
    return all_hold(parts)


def closing_gap(claim: kinds.ClosingGap, setting: Setting) -> Asked:
    """The difference of two sides gets smaller at each step along an axis."""
    scene, bound = setting.scene, setting.bound(claim.margin)
    lefts, rights = scene.pick(claim.left), scene.pick(claim.right)
    parts: list[Asked] = []
    for group in scene.groups(claim.each, (*lefts, *rights)):
        sides = scene.inside(group, lefts), scene.inside(group, rights)
        for early, late in itertools.pairwise(scene.levels(claim.along, *sides)):
            gaps = [[scene.inside(level, side) for side in sides] for level in (early, late)]
            label = f"gap at {early.name} - gap at {late.name}{group.suffix}"
            parts.append(_gap_closes(label, setting.metric, gaps, bound))
    if not parts:
        raise AbsentError(f"there are no two values of {claim.along} here at which there is a gap")
    return all_hold(parts)


def _gap_closes(label: str, metric: str, gaps: Sequence[Sequence[Sequence[int]]], bound: float) -> Comparison:
    def gap(at: Numbers, sides: Sequence[Sequence[int]]) -> float:
        return fmean(at[cell] for cell in sides[0]) - fmean(at[cell] for cell in sides[1])

    cells = list(dict.fromkeys(cell for sides in gaps for side in sides for cell in side))
    return of_cells(label, metric, cells, lambda at: gap(at, gaps[0]) - gap(at, gaps[1]), bound)
