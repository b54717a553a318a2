"""Claims about a pattern over many cells, and about single numbers."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from ablate.judge import pooled
from ablate.judge.cells import AbsentError
from ablate.judge.comparison import Asked, Comparison, Pooling, Side, all_hold, more_than, of_cells, pair, within
from ablate.judge.formula import Pool
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

    def pool(rows: Sequence[Sequence[float]]) -> Pool:
        values = [dict(zip(paper, row, strict=True)) for row in rows]
        return pooled.rank_correlation(
            [[fmean(at[cell] for cell in group) for group in groups] for at in values], published
        )

    by = f" of means by {claim.by}" if claim.by else ""
    wanted = tuple((cell, setting.metric) for cell in paper)
    return Pooling(f"rank correlation with the paper{by}", wanted, pool, claim.at_least)


def share(claim: kinds.Share, setting: Setting) -> Asked:
    """So many of the cells are above their rivals."""
    scene = setting.scene
    rivals = {cell: _rivals(scene, cell, claim.rivals) for cell in scene.pick()}
    rivals = {cell: others for cell, others in rivals.items() if others}
    if not rivals:
        raise AbsentError("no cell has a rival here")

    def above(cell: int) -> Asked:
        return all_hold([pair(setting.metric, scene.cells, cell, other, 0.0) for other in rivals[cell]])

    return more_than(claim.at_least, [above(cell) for cell in rivals])


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

    if len(pairs) == 1:  # an equivalence, which t tests decide exactly
        first, second = (Side(scene.cells[cell].label, setting.metric, [cell]) for cell in pairs[0])
        return all_hold(within(first, second, claim.margin))
    wanted = tuple((cell, setting.metric) for pair in pairs for cell in pair)

    def pool(rows: Sequence[Sequence[float]]) -> Pool:
        return pooled.asymmetry([[row[at] - row[at + 1] for at in range(0, len(row), 2)] for row in rows], claim.margin)

    return Pooling(f"{claim.margin:g} - change (root mean square) by swapping {one} and {two}", wanted, pool)


def beyond(claim: kinds.AtLeast | kinds.AtMost, setting: Setting) -> Asked:
    """Each cell is above, or below, a value."""
    scene, value = setting.scene, claim.value

    def beyond(cell: int) -> Comparison:
        label = scene.cells[cell].label
        if isinstance(claim, kinds.AtLeast):
            return of_cells(f"{label} - {value:g}", setting.metric, [cell], lambda at: at[cell] - value)
        return of_cells(f"{value:g} - {label}", setting.metric, [cell], lambda at: value - at[cell])

    return all_hold([beyond(cell) for cell in scene.pick()])


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

    return all_hold([near(cell, sign) for cell in paper for sign in (1, -1)])
