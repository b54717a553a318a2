"""Answer: what a claim asks, asked of what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ablate.errors import nearest
from ablate.judge.cells import AbsentError, Measured
from ablate.judge.comparison import Asked, Hold, Pooling, comparisons
from ablate.judge.formula import Formula, Joint, Leaf, pooled

Wanted = tuple[int, str]
"""Number of a cell, and metric."""


@dataclass(frozen=True)
class Answer:
    """The formula of a claim, over the seeds that all cells have that it compares."""

    formula: Formula
    in_order: int
    """How many of its seeds come first among all that were asked for, without a gap."""
    gap: int | None
    """The seed that is missing before others that are there."""
    missing: tuple[str, ...]
    """What of the measurements is missing, so that it or others are left out, in words."""
    not_asked: tuple[str, ...]
    """Which seeds are left out since some of the cells were not asked for them, in words."""


def answered(asked: Asked, cells: Mapping[int, Measured]) -> Answer:
    """The formula of the seeds that all cells have. Raises AbsentError where results are missing.

    Where not all of some parts have to hold, those without a result are left out, and count as unknown.
    """
    wanted = _wanted(asked)
    if (measured := _measured(asked, cells)) is None:
        absent = [each for each in wanted if not cells[each[0]].values(each[1])]
        raise AbsentError(_missing(absent, [cells[number] for number, _ in wanted]))
    found = {each: set(cells[each[0]].values(each[1])) for each in _wanted(measured)}
    common = sorted(set.intersection(*found.values()))
    if not common:
        raise AbsentError(f"its {len(found)} cells have no seed in common")
    asked_for = sorted(set.union(*found.values(), *(set(cells[number].asked) for number, _ in found)))
    in_order = sum(one == other for one, other in zip(asked_for, common, strict=False))
    gap = asked_for[in_order] if in_order < len(common) else None
    lacking = [each for each in wanted if each not in found]
    left_out, not_asked = (_seeds_left_out(found, set(common), cells, asked=each) for each in (True, False))
    missing = (*_without_result(lacking, cells), *left_out)
    return Answer(_formula(measured, cells, common), in_order, gap, missing, tuple(not_asked))


def _wanted(asked: Asked) -> list[Wanted]:
    return list(dict.fromkeys(each for one in comparisons(asked) for each in one.wanted))


def _measured(asked: Asked, cells: Mapping[int, Measured]) -> Asked | None:
    """What can be asked; None where so many parts are missing that nothing can be said."""
    if not isinstance(asked, Hold):
        return asked if all(cells[number].values(metric) for number, metric in asked.wanted) else None
    parts = tuple(part for each in asked.parts if (part := _measured(each, cells)) is not None)
    count = len(asked.parts) + asked.unknown
    if len(parts) == count:
        return Hold(parts, asked.needed)
    if asked.needed == count or len(parts) < min(asked.needed, count - asked.needed + 1):
        return None
    return Hold(parts, asked.needed, count - len(parts))


def _without_result(lacking: Sequence[Wanted], cells: Mapping[int, Measured]) -> list[str]:
    """That cells have no result, whichever way they would have counted."""
    labels = list(dict.fromkeys(cells[number].label for number, _ in lacking))
    have = f"{_named(labels)} {'has' if len(labels) == 1 else 'have'}"
    return [f"{have} no result: what needs it counts as unknown"] if labels else []


def _seeds_left_out(
    found: Mapping[Wanted, set[int]], common: set[int], cells: Mapping[int, Measured], asked: bool
) -> list[str]:
    """That seeds are left out which only some of the cells have, and which cells lack them.

    asked: of cells that were asked for these seeds, or of those that were not.
    """
    some = set.union(*found.values()) - common
    lacking = {
        number: {seed for seed in some - seeds if (seed in cells[number].asked) == asked}
        for (number, _), seeds in found.items()
    }
    if not (out := sorted(set[int]().union(*lacking.values()))):
        return []
    labels = list(dict.fromkeys(cells[number].label for number, seeds in lacking.items() if seeds))
    told = f"seed {out[0]} is" if len(out) == 1 else f"seeds {', '.join(map(str, out))} are"
    whose, pronoun = _named(labels), "it" if len(out) == 1 else "them"
    if asked:
        return [f"{told} left out: {whose} {'has' if len(labels) == 1 else 'have'} no result of {pronoun}"]
    return [f"{told} left out: {whose} {'was' if len(labels) == 1 else 'were'} not asked for {pronoun}"]


def _named(labels: Sequence[str]) -> str:
    """`'crop, color'`, in quotes as it may have commas of its own; of more than two how many."""
    if len(labels) > 2:
        return f"'{labels[0]}' and {len(labels) - 1} other cells"
    return " and ".join(f"'{label}'" for label in labels)


def _formula(asked: Asked, cells: Mapping[int, Measured], seeds: Sequence[int]) -> Formula:
    if isinstance(asked, Hold):
        parts = tuple(_formula(part, cells, seeds) for part in asked.parts)
        return parts[0] if len(parts) == 1 and not asked.unknown else Joint(parts, asked.needed, asked.unknown)
    values = [cells[number].values(metric) for number, metric in asked.wanted]
    rows = [[each[seed] for each in values] for seed in seeds]
    if isinstance(asked, Pooling):
        return pooled(asked.label, asked.pool(rows), asked.bound)
    return Leaf(asked.label, tuple(map(asked.value, rows)), asked.bound)


def _missing(missing: Sequence[tuple[int, str]], cells: Sequence[Measured]) -> str:
    """That results are missing; a number that no trial returned is told with those that they did."""
    returned = {name for cell in cells for numbers in cell.numbers.values() for name in numbers}
    if returned and (unknown := next((metric for _, metric in missing if metric not in returned), None)):
        return f"no trial returned '{unknown}'{nearest(unknown, sorted(returned))}"
    return f"{len(missing)} of its {len(cells)} cells {'has' if len(missing) == 1 else 'have'} no result"
