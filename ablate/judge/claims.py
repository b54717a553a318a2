"""A claim as a formula over what was measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablate.judge import order, pattern
from ablate.judge.answer import Answer, answered
from ablate.judge.cells import AbsentError, Measured, shortly_named
from ablate.judge.comparison import Asked, all_hold, comparisons, one_holds
from ablate.judge.published import Published
from ablate.judge.setting import Setting
from ablate.study import claims as kinds

_BY_KIND: dict[type[kinds.Claim], Callable[[Any, Setting], Asked]] = {
    kinds.Best: order.best,
    kinds.Greater: order.greater,
    kinds.Monotone: order.monotone,
    kinds.Equivalent: order.equivalent,
    kinds.ClosingGap: order.closing_gap,
    kinds.RankCorrelation: pattern.rank_correlation,
    kinds.Share: pattern.share,
    kinds.Symmetric: pattern.symmetric,
    kinds.AtLeast: pattern.beyond,
    kinds.AtMost: pattern.beyond,
    kinds.Value: pattern.value,
}


@dataclass(frozen=True)
class NotMeasured:
    """Why a claim cannot be asked of what was measured."""

    reason: str


def answer_of(
    claim: kinds.Claim,
    cells: Sequence[Measured],
    *,
    metric: str,
    axes: Mapping[str, Sequence[Any]],
    published: Mapping[int, Mapping[str, Published]],
    at_paper_scale: bool,
    doubting: Callable[[Asked], Asked] | None = None,
) -> Answer | NotMeasured:
    """The formula of a claim over the seeds that all of its cells have, or why there is none.

    metric: the study's. axes: axis -> its values in the order of the file. published: by number of a cell. doubting:
    what to ask instead of what the claim asks.
    """
    numbered = dict(enumerate(shortly_named(cells)))
    try:
        asked = _asked(claim, Setting(numbered, axes, metric, published, at_paper_scale))
        return answered(doubting(asked) if doubting else asked, numbered)
    except AbsentError as error:
        return NotMeasured(str(error))


def cells_of(
    claim: kinds.Claim,
    cells: Sequence[Measured],
    *,
    metric: str,
    axes: Mapping[str, Sequence[Any]],
    published: Mapping[int, Mapping[str, Published]],
    at_paper_scale: bool,
) -> frozenset[int]:
    """The numbers of the cells that a claim compares: those that need more seeds where it is undecided."""
    setting = Setting(dict(enumerate(cells)), axes, metric, published, at_paper_scale)
    try:
        return frozenset(number for each in comparisons(_asked(claim, setting)) for number, _ in each.wanted)
    except AbsentError:
        return frozenset()


def _asked(claim: kinds.Claim, setting: Setting) -> Asked:
    """What a claim asks. Raises AbsentError where what it speaks of is not there."""
    setting = replace(setting, metric=claim.metric or setting.metric, scope=claim.cells or setting.scope)
    if isinstance(claim, (kinds.AllOf, kinds.AnyOf)):
        parts = [_asked(part, setting) for part in claim.parts]
        return all_hold(parts) if isinstance(claim, kinds.AllOf) else one_holds(parts)
    return _BY_KIND[type(claim)](claim, setting)
