"""Combinations: which axes `[design]` combines, and how."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ablate.study.cells.cell import Scalar, value_key
from ablate.study.expansion.levels import (
    Levels,
    aliases,
    fractional,
    one_at_a_time,
    random_levels,
    resolution,
    sobol_levels,
    up_to_two,
)  # fmt: skip
from ablate.study.schema.design import SAMPLED, DesignTable

Factor = Mapping[str, Sequence[Scalar]]
"""Axes that vary together: axis -> its values."""
_ROMAN = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII", 8: "VIII"}


def combines(rule: DesignTable | None, axes: Iterable[str]) -> bool:
    """Whether a design combines these axes, which vary together; other factors are combined with all its cells."""
    return rule is not None and (rule.axes is None or not set(rule.axes).isdisjoint(axes))


def levels_of(rule: DesignTable, factors: Sequence[Factor]) -> Iterator[Levels]:
    """The combinations: of each factor, the index of a row of values."""
    sizes, cells, seed = sizes_of(factors), rule.cells or 1, rule.seed or 0
    match rule.kind:
        case "leave_one_out" | "add_one_in" | "one_at_a_time":
            return one_at_a_time(sizes, start_of(rule, factors))
        case "pairs":
            return up_to_two(len(sizes))
        case "fractional":
            return fractional(len(sizes), cells)
        case "random":
            return random_levels(sizes, cells, seed)
        case "sobol":
            return sobol_levels(sizes, cells, seed)
        case "factorial":
            return itertools.product(*map(range, sizes))


def most_levels(rule: DesignTable, factors: Sequence[Factor]) -> int:
    """The number of combinations; for `sobol` the most."""
    sizes = sizes_of(factors)
    if rule.kind in SAMPLED:
        return min(rule.cells or 1, math.prod(sizes))
    if rule.kind == "factorial":
        return math.prod(sizes)
    return 1 + sum(size - 1 for size in sizes) + (math.comb(len(sizes), 2) if rule.kind == "pairs" else 0)


def start_of(rule: DesignTable, factors: Iterable[Factor]) -> list[int]:
    """The cell from which the others differ: of each factor, a row. Without a baseline the first values."""
    if rule.kind == "add_one_in":
        return [1 for _ in factors]
    return [_row(factor, {name: rule.baseline[name] for name in factor if name in rule.baseline}) for factor in factors]


def sizes_of(factors: Iterable[Factor]) -> list[int]:
    """The number of rows of each factor; unequal lengths are reported by `checks`."""
    return [min(map(len, factor.values())) for factor in factors if factor]


def in_words(rule: DesignTable, factors: Sequence[Factor]) -> str | None:
    """What a sample of all combinations is, and which effects a fraction cannot tell apart; None for other designs."""
    if rule.kind not in SAMPLED or rule.cells is None:
        return None
    total = math.prod(sizes_of(factors))
    if rule.kind != "fractional":
        return f"{rule.kind}: {rule.cells} of {total:,} combinations, drawn by seed {rule.seed or 0}"
    names = ["+".join(factor) for factor in factors]
    found = f"fractional: {rule.cells} of {total:,} combinations"
    if (shortest := resolution(len(names), rule.cells)) is None:
        return found
    groups = [
        " = ".join(" x ".join(names[factor] for factor in sorted(effect)) for effect in group)
        for group in aliases(len(names), rule.cells)
    ]
    confounded = f"; effects that it cannot tell apart: {', '.join(groups)}" if groups else ""
    return f"{found}, resolution {_ROMAN.get(shortest, str(shortest))}{confounded}"


def _row(factor: Factor, wanted: Mapping[str, Scalar]) -> int:
    """The first row with these values; 0 if none has them, which `checks` reports."""
    texts = {name: value_key(value) for name, value in wanted.items()}
    for number, row in enumerate(zip(*factor.values(), strict=False)):
        if texts.items() <= {name: value_key(value) for name, value in zip(factor, row, strict=True)}.items():
            return number
    return 0
