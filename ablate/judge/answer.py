"""Answer: the comparisons of a claim, filled with the values that were measured, or with the paper's own numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ablate.errors import nearest
from ablate.judge.statistics.formula import Formula, Joint, Leaf, Seeds, pooled, unit_of
from ablate.judge.statistics.pooled import STATISTICS, undefined
from ablate.study.claims import Claim
from ablate.study.claims.comparison import Comparison, Hold, Pooling, Requirement, comparisons, mean_of
from ablate.study.claims.scene import AbsentError, PublishedNumber, Scene

if TYPE_CHECKING:
    from ablate.judge.evidence import MeasuredCell

Wanted = tuple[int, str]
"""Number of a cell, and metric."""
Run = tuple[int, int]
"""Number of a cell, and seed."""


@dataclass(frozen=True)
class Answer:
    """The formula of a claim. A comparison uses the seeds for which every cell in it has a value."""

    formula: Formula
    missing: tuple[str, ...]
    """Sentences on missing results, and the seeds left out because of them."""
    not_asked: tuple[str, ...]
    """Sentences on seeds left out because they were not requested for some of the cells."""


@dataclass(frozen=True)
class NotMeasured:
    """Why a claim cannot be judged by what was measured."""

    reason: str


def answer_of(
    claim: Claim,
    cells: Sequence[MeasuredCell],
    *,
    metric: str,
    axes: Mapping[str, Sequence[Any]],
    at_paper_scale: bool,
    doubting: Callable[[Requirement], Requirement] | None = None,
    without: frozenset[Run] = frozenset(),
) -> Answer | NotMeasured:
    """The formula of a claim, or why there is none.

    metric: the study's. axes: axis -> its values in the order of the file. doubting: changes the claim's comparisons.
    without: runs to leave out.
    """
    numbered = dict(enumerate(cells))
    try:
        asked = claim.asked(_scene(cells, axes, metric, at_paper_scale))
        return _answered(doubting(asked) if doubting else asked, numbered, without)
    except AbsentError as error:
        return NotMeasured(str(error))


def comparisons_of(
    claim: Claim, cells: Sequence[MeasuredCell], *, metric: str, axes: Mapping[str, Sequence[Any]], at_paper_scale: bool
) -> tuple[Comparison | Pooling, ...]:
    """The comparisons of a claim in its order; none if some cells that it needs are absent."""
    try:
        return tuple(comparisons(claim.asked(_scene(cells, axes, metric, at_paper_scale))))
    except AbsentError:
        return ()


def wanted_by(claim: Claim, cells: Sequence[MeasuredCell], **around: Any) -> frozenset[Wanted]:
    """The cells that a claim compares, with the metrics; around: as in `comparisons_of`."""
    return frozenset(wanted for each in comparisons_of(claim, cells, **around) for wanted in each.wanted)


def _scene(
    cells: Sequence[MeasuredCell], axes: Mapping[str, Sequence[Any]], metric: str, at_paper_scale: bool
) -> Scene:
    published = {
        number: {metric: PublishedNumber(each.value, each.err or 0.0) for metric, each in cell.published.items()}
        for number, cell in enumerate(cells)
    }
    return Scene(dict(enumerate(cells)), axes, metric, at_paper_scale, published)


@dataclass(frozen=True)
class _Value:
    """What the runs of a cell returned for a metric."""

    by_seed: Mapping[int, float]
    asked: frozenset[int]
    ended: frozenset[int]
    """The seeds of the runs that ended, with a value or without."""

    @property
    def all_failed(self) -> bool:
        """Whether all of its runs ended without a value: waiting for them is useless."""
        return not self.by_seed and bool(self.asked) and self.asked <= self.ended


def _values(
    wanted: Iterable[Wanted], cells: Mapping[int, MeasuredCell], without: frozenset[Run]
) -> dict[Wanted, _Value]:
    out: dict[int, set[int]] = {}
    for number, seed in without:
        out.setdefault(number, set()).add(seed)
    found = {}
    for number, metric in wanted:
        cell, left_out = cells[number], out.get(number, set())
        by_seed = {seed: value for seed, value in cell.values(metric).items() if seed not in left_out}
        found[number, metric] = _Value(by_seed, frozenset(cell.asked), frozenset({*by_seed, *left_out, *cell.failed}))
    return found


def _answered(asked: Requirement, cells: Mapping[int, MeasuredCell], without: frozenset[Run]) -> Answer:
    """The formula over the seeds of each comparison. Raises AbsentError if too many results are missing.

    Parts without a result are left out and count as unknown, if not all parts have to hold.
    """
    wanted = _wanted(asked)
    values = _values(wanted, cells, without)
    if (measured := _measured(asked, values)) is None:
        absent = [each for each in wanted if not values[each].by_seed]
        if not absent:
            raise AbsentError(f"its {len(wanted)} cells have no seed in common")
        raise AbsentError(_missing(absent, [cells[number] for number, _ in wanted]))
    found = _wanted(measured)
    order = sorted(set[int]().union(*(values[each].asked.union(values[each].by_seed) for each in found)))
    left_out, not_asked = (_seeds_left_out(found, order, values, cells, asked=each) for each in (True, False))
    missing = (*_without_result([each for each in wanted if each not in found], cells), *left_out)
    formula = _formula(measured, values, order)
    if isinstance(formula, Leaf) and formula.pool and (why := undefined(formula.pool)):
        raise AbsentError(f"the {formula.label} is not defined: {why}")
    return Answer(formula, missing, tuple(not_asked))


def _wanted(asked: Requirement) -> list[Wanted]:
    return list(dict.fromkeys(each for one in comparisons(asked) for each in one.wanted))


def _measured(asked: Requirement, values: Mapping[Wanted, _Value]) -> Requirement | None:
    """The measured parts; None if so many are missing that the result is open."""
    if not isinstance(asked, Hold):
        return asked if _common(asked.wanted, values) else None
    parts = tuple(part for each in asked.parts if (part := _measured(each, values)) is not None)
    count = len(asked.parts) + asked.unknown
    if len(parts) == count:
        return Hold(parts, asked.needed)
    failed = all(
        values[each].all_failed
        for part in asked.parts
        for one in comparisons(part)
        for each in one.wanted
        if not values[each].by_seed
    )
    if not parts or not (failed or asked.needed < count) or len(parts) < min(asked.needed, count - asked.needed + 1):
        return None
    return Hold(parts, asked.needed, count - len(parts))


def _common(wanted: Sequence[Wanted], values: Mapping[Wanted, _Value]) -> list[int]:
    """The seeds for which all of these have a value, in ascending order."""
    return sorted(set.intersection(*({*values[each].by_seed} for each in wanted)))


def _without_result(lacking: Sequence[Wanted], cells: Mapping[int, MeasuredCell]) -> list[str]:
    labels = list(dict.fromkeys(cells[number].label for number, _ in lacking))
    have, them = ("has", "it") if len(labels) == 1 else ("have", "them")
    return [f"{_named(labels)} {have} no result: comparisons with {them} count as unknown"] if labels else []


def _seeds_left_out(
    found: Sequence[Wanted],
    order: Sequence[int],
    values: Mapping[Wanted, _Value],
    cells: Mapping[int, MeasuredCell],
    asked: bool,
) -> list[str]:
    """Which seeds some cells lack, so that the comparisons with these cells do without.

    asked: considers cells for which these seeds were requested, or the others.
    """
    some = set[int]().union(*(values[each].by_seed for each in found))
    lacking: dict[int, list[int]] = {}
    for each in found:
        own = values[each]
        seeds = [seed for seed in order if seed in some - own.by_seed.keys() and (seed in own.asked) == asked]
        if seeds:
            lacking[each[0]] = seeds
    if not lacking:
        return []
    out = sorted({seed for seeds in lacking.values() for seed in seeds})
    labels = list(dict.fromkeys(cells[number].label for number in lacking))
    text = f"seed {out[0]} is" if len(out) == 1 else f"seeds {', '.join(map(str, out))} are"
    if asked:
        why = f"which {'has' if len(labels) == 1 else 'have'} no result for {'it' if len(out) == 1 else 'them'}"
    else:
        why = f"for which {'it was' if len(out) == 1 else 'they were'} not requested"
    return [f"{text} left out of comparisons with {_named(labels)}, {why}"]


def _named(labels: Sequence[str]) -> str:
    """`'crop, color'`, quoted because it may contain commas; of more than two labels, their number."""
    if len(labels) > 2:
        return f"'{labels[0]}' and {len(labels) - 1} other cells"
    return " and ".join(f"'{label}'" for label in labels)


def _formula(asked: Requirement, values: Mapping[Wanted, _Value], order: Sequence[int]) -> Formula:
    if isinstance(asked, Hold):
        parts = tuple(_formula(part, values, order) for part in asked.parts)
        if len(parts) == 1 and not asked.unknown:
            return parts[0]
        contrast = _leaf(mean, values, order) if (mean := mean_of(asked)) and _common(mean.wanted, values) else None
        return Joint(parts, asked.needed, asked.unknown, contrast)
    return _leaf(asked, values, order)


def _leaf(asked: Comparison | Pooling, values: Mapping[Wanted, _Value], order: Sequence[int]) -> Leaf:
    """A comparison with its values at the seeds that all of its cells have."""
    common, own = _common(asked.wanted, values), [values[each] for each in asked.wanted]
    settled = next((at for at, seed in enumerate(order) if not all(seed in each.ended for each in own)), len(order))
    left_out = frozenset.intersection(*(each.asked for each in own)) - {*common}
    places = tuple(map(order.index, common))
    waiting = order[settled] if places and places[-1] > settled else None
    seeds = Seeds(tuple(common), places, settled, tuple(sorted(left_out)), waiting)
    wanted = frozenset(asked.wanted)
    rows = [[each.by_seed[seed] for each in own] for seed in common]
    if isinstance(asked, Pooling):
        return replace(pooled_leaf(asked, rows), seeds=seeds, wanted=wanted)
    return Leaf(
        asked.label,
        tuple(map(asked.value, rows)),
        asked.bound,
        seeds=seeds,
        turned=asked.turned,
        within=asked.within,
        single_runs=asked.single_runs,
        wanted=wanted,
        unit=unit_of(rows),
    )


def pooled_leaf(asked: Pooling, rows: Sequence[Sequence[float]]) -> Leaf:
    """A comparison of what all seeds give together, from the wanted values at each seed."""
    pool = STATISTICS[asked.statistic]([asked.values(row) for row in rows], **asked.options)
    return pooled(asked.label, pool, asked.bound, unit_of(rows))


def _missing(missing: Sequence[Wanted], cells: Sequence[MeasuredCell]) -> str:
    """That results are missing, or that no trial returned a metric."""
    returned = {name for cell in cells for numbers in cell.numbers.values() for name in numbers}
    if returned and (unknown := next((metric for _, metric in missing if metric not in returned), None)):
        return f"no trial returned '{unknown}'{nearest(unknown, sorted(returned))}"
    return f"{len(missing)} of its {len(cells)} cells {'has' if len(missing) == 1 else 'have'} no result"
