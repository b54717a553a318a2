"""Claims about a pattern over many cells, and about single numbers."""

import itertools
from collections.abc import Mapping, Sequence
from statistics import fmean

from ablate.judge.cells import AbsentError
from ablate.judge.comparison import AllHold, Asked, Comparison, Numbers, of_cells, pair
from ablate.judge.correlation import spearman
from ablate.judge.scene import Scene
from ablate.judge.setting import Setting
from ablate.study import claims as kinds


def rank_correlation(claim: kinds.RankCorrelation, setting: Setting) -> Asked:
    """The order is like the paper's."""
    scene = setting.scene
    paper = {
        number: setting.published[number][setting.metric].value
        for number in scene.pick()
        if setting.metric in setting.published.get(number, {})
    }
    groups: list[tuple[int, ...]] = [(cell,) for cell in paper]
    if claim.by is not None:
        groups = [scene.inside(level, paper) for level in scene.levels(claim.by, paper)]
    published = [fmean(paper[cell] for cell in group) for group in groups]
    if len(groups) < 3 or len(set(published)) < 2:
        raise AbsentError("the paper has numbers of fewer than three of these")

    def correlation(at: Numbers) -> float:
        return spearman([fmean(at[cell] for cell in group) for group in groups], published) or 0.0

    by = f" of means by {claim.by}" if claim.by else ""
    return of_cells(f"rank correlation with the paper{by}", setting.metric, list(paper), correlation, claim.at_least)


def share(claim: kinds.Share, setting: Setting) -> Asked:
    """So many of the cells are above their rivals."""
    scene = setting.scene
    rivals = {cell: _rivals(scene, cell, claim.rivals) for cell in scene.pick()}
    rivals = {cell: others for cell, others in rivals.items() if others}
    if not rivals:
        raise AbsentError("no cell has a rival here")
    if claim.at_least >= 1:  # all of them, which is a comparison each
        pairs = [(cell, other) for cell, others in rivals.items() for other in others]
        return AllHold(tuple(pair(setting.metric, scene.cells, cell, other, 0.0) for cell, other in pairs))

    def share(at: Numbers) -> float:
        return fmean(all(at[cell] > at[other] for other in others) for cell, others in rivals.items())

    cells = list(dict.fromkeys(itertools.chain(rivals, *rivals.values())))
    return of_cells("share of cells above their rivals", setting.metric, cells, share, claim.at_least)


def _rivals(scene: Scene, number: int, tables: Sequence[Mapping[str, str]]) -> list[int]:
    """The cells with an axis set to the value of another one, itself left out."""
    axes = scene.cells[number].axes
    found = [
        scene.at({**axes, **{axis: axes[other] for axis, other in table.items()}})
        for table in tables
        if all(other in axes for other in table.values())
    ]
    return [other for other in dict.fromkeys(found) if other is not None and other != number]


def symmetric(claim: kinds.Symmetric, setting: Setting) -> Asked:
    """Little changes where two axes change places."""
    scene = setting.scene
    one, two = claim.axes
    rivals = {cell: _rivals(scene, cell, [{one: two, two: one}]) for cell in scene.pick()}
    pairs = sorted({tuple(sorted((cell, other))) for cell, others in rivals.items() for other in others})
    if not pairs:
        raise AbsentError(f"no two cells differ by {one} and {two} having changed places")

    def apart(at: Numbers) -> float:
        return claim.margin - fmean(abs(at[first] - at[second]) for first, second in pairs)

    cells = list(dict.fromkeys(itertools.chain(*pairs)))
    return of_cells(f"{claim.margin:g} - mean change by swapping {one} and {two}", setting.metric, cells, apart)


def beyond(claim: kinds.AtLeast | kinds.AtMost, setting: Setting) -> Asked:
    """Each cell is above, or below, a value."""
    scene, value = setting.scene, claim.value

    def beyond(cell: int) -> Comparison:
        label = scene.cells[cell].label
        if isinstance(claim, kinds.AtLeast):
            return of_cells(f"{label} - {value:g}", setting.metric, [cell], lambda at: at[cell] - value)
        return of_cells(f"{value:g} - {label}", setting.metric, [cell], lambda at: value - at[cell])

    return AllHold(tuple(map(beyond, scene.pick())))


def value(claim: kinds.Value, setting: Setting) -> Asked:
    """Each cell has its published number, about."""
    if not setting.at_paper_scale:
        raise AbsentError("a number of the paper can be met at the paper's scale only")
    scene = setting.scene
    paper = {
        cell: setting.published[cell][setting.metric].value
        for cell in scene.pick()
        if setting.metric in setting.published.get(cell, {})
    }
    if not paper:
        raise AbsentError("the paper has no number of these cells")

    def near(cell: int, sign: int) -> Comparison:
        label, value = scene.cells[cell].label, paper[cell]
        told = f"{label} - published {value:g}" if sign > 0 else f"published {value:g} - {label}"
        return of_cells(told, setting.metric, [cell], lambda at: sign * (at[cell] - value), -claim.margin)

    return AllHold(tuple(near(cell, sign) for cell in paper for sign in (1, -1)))
