"""Claims about order: which cells are above which, and by how much."""

import itertools
from collections.abc import Sequence
from statistics import fmean

from ablate.judge.cells import AbsentError
from ablate.judge.comparison import AllHold, Asked, Comparison, Numbers, OneHolds, difference, pair
from ablate.judge.scene import Group, Scene
from ablate.judge.setting import Setting
from ablate.study import claims as kinds


def best(claim: kinds.Best, setting: Setting) -> Asked:
    """Some cell of `is` is above every other cell."""
    scene = setting.scene
    best = scene.pick(claim.best)
    others = [cell for cell in scene.pick() if cell not in best]
    if not others:
        raise AbsentError("there is no other cell here")
    bound = setting.bound(claim.margin)
    return OneHolds(
        tuple(AllHold(tuple(pair(setting.metric, scene.cells, one, other, bound) for other in others)) for one in best)
    )


def greater(claim: kinds.Greater, setting: Setting) -> Asked:
    """The cells of one condition are above those of another, by their means or each."""
    scene, bound = setting.scene, setting.bound(claim.margin)
    parts: list[Asked] = []
    for group, left, right in _sides(scene, claim.left, claim.right, claim.each):
        if claim.every:
            parts += [pair(setting.metric, scene.cells, one, two, bound) for one in left for two in right if one != two]
            continue
        label = f"{scene.label(left, claim.left)} - {scene.label(right, claim.right)}"
        suffix = group.suffix if len(left) > 1 or len(right) > 1 else ""
        parts.append(difference(label + suffix, setting.metric, left, right, bound))
    return AllHold(tuple(parts))


def _sides(
    scene: Scene, left: str, right: str, each: Sequence[str]
) -> list[tuple[Group, tuple[int, ...], tuple[int, ...]]]:
    """The cells of two conditions in each group of some axes that has cells of both."""
    lefts, rights = scene.pick(left), scene.pick(right)
    found = [
        (group, scene.inside(group, lefts), scene.inside(group, rights))
        for group in scene.groups(each, (*lefts, *rights))
    ]
    found = [each for each in found if each[1] and each[2]]
    if not found:
        raise AbsentError(f"no cell of {left} has a counterpart of {right} with the same {', '.join(each)}")
    return found


def monotone(claim: kinds.Monotone, setting: Setting) -> Asked:
    """Each step along an axis goes up, or down."""
    scene, bound = setting.scene, setting.bound(claim.margin)
    cells = [cell for cell in scene.pick() if claim.along in scene.cells[cell].axes]
    parts: list[Asked] = []
    for group in scene.groups(claim.each, cells):
        inside = scene.inside(group, cells)
        for low, high in itertools.pairwise(scene.levels(claim.along, inside)):
            below, above = scene.matched(claim.along, scene.inside(low, inside), scene.inside(high, inside))
            names = [scene.label(each, level.name) for each, level in ((below, low), (above, high))]
            suffix = group.suffix if len(below) > 1 or len(above) > 1 else ""
            if claim.direction == "up":
                below, above, names = above, below, names[::-1]
            parts.append(difference(f"{names[0]} - {names[1]}{suffix}", setting.metric, below, above, bound))
    if not parts:
        raise AbsentError(f"there are no two values of {claim.along} here to compare")
    return AllHold(tuple(parts))


def equivalent(claim: kinds.Equivalent, setting: Setting) -> Asked:
    """Means, or any two cells, are less than a margin apart."""
    scene = setting.scene
    parts: list[Asked] = []
    if claim.left is not None and claim.right is not None:
        for group, left, right in _sides(scene, claim.left, claim.right, claim.each):
            names = scene.label(left, claim.left), scene.label(right, claim.right)
            suffix = group.suffix if len(left) > 1 or len(right) > 1 else ""
            parts += _within(setting, (f"{names[0]}", left), (f"{names[1]}", right), claim.margin, suffix)
        return AllHold(tuple(parts))
    cells = scene.pick()
    for group in scene.groups(claim.each, cells):
        for one, two in itertools.combinations(scene.inside(group, cells), 2):
            labels = scene.cells[one].label, scene.cells[two].label
            parts += _within(setting, (labels[0], (one,)), (labels[1], (two,)), claim.margin)
    if not parts:
        raise AbsentError("there are no two cells here to compare")
    return AllHold(tuple(parts))


def _within(
    setting: Setting,
    one: tuple[str, Sequence[int]],
    two: tuple[str, Sequence[int]],
    margin: float,
    suffix: str = "",
) -> list[Comparison]:
    """That two means are less than a margin apart, either way."""
    return [
        difference(f"{left[0]} - {right[0]}{suffix}", setting.metric, left[1], right[1], -margin)
        for left, right in ((one, two), (two, one))
    ]


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
    return AllHold(tuple(parts))


def _gap_closes(label: str, metric: str, gaps: Sequence[Sequence[Sequence[int]]], bound: float) -> Comparison:
    def gap(at: Numbers, sides: Sequence[Sequence[int]]) -> float:
        return fmean(at[cell] for cell in sides[0]) - fmean(at[cell] for cell in sides[1])

    cells = tuple(dict.fromkeys(cell for sides in gaps for side in sides for cell in side))
    return Comparison(label, metric, cells, lambda at: gap(at, gaps[0]) - gap(at, gaps[1]), bound)
