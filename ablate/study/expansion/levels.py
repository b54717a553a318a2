"""Levels: the combinations of a design, each as the index of a value of every factor; pure functions."""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from random import Random

Levels = tuple[int, ...]
Word = frozenset[int]
"""The factors whose product is constant over a fraction."""


def one_at_a_time(sizes: Sequence[int], start: Sequence[int]) -> Iterator[Levels]:
    """The start, and each other level of each factor alone."""
    yield tuple(start)
    for factor, size in enumerate(sizes):
        for level in range(size):
            if level != start[factor]:
                yield _with(start, {factor: level})


def up_to_two(count: int) -> Iterator[Levels]:
    """Of two-level factors: all at level 0, each at level 1, each two at level 1."""
    for off in range(3):
        for factors in itertools.combinations(range(count), off):
            yield _with([0] * count, dict.fromkeys(factors, 1))


def random_levels(sizes: Sequence[int], cells: int, seed: int) -> Iterator[Levels]:
    """Different combinations drawn uniformly, at most as many as there are; the same on every version of Python."""
    total, draw = math.prod(sizes), Random(seed)
    seen: set[int] = set()
    while len(seen) < min(cells, total):
        number = int(draw.random() * total)  # of the methods of Random, only random() never changes
        if number not in seen:
            seen.add(number)
            yield _mixed(number, sizes)


def sobol_levels(sizes: Sequence[int], cells: int, seed: int) -> Iterator[Levels]:
    """The first points of scipy's scrambled Sobol sequence, each moved to the level below it; equal ones once."""
    from scipy.stats import qmc  # here, since few studies need it

    points = qmc.Sobol(len(sizes), scramble=True, rng=seed).random_base2(math.ceil(math.log2(cells)))[:cells]
    return iter(dict.fromkeys(tuple(int(x * size) for x, size in zip(row, sizes, strict=True)) for row in points))


def fractional(count: int, cells: int) -> Iterator[Levels]:
    """A regular fraction 2^(k-p) of k two-level factors: level 0 is high, and the first combination is all high.

    Each factor beyond the first k - p is a product of these, chosen for the highest resolution and then the fewest
    shortest words (minimum aberration; Box, Hunter and Hunter 2005, section 6).
    """
    basic = cells.bit_length() - 1
    generators = _generators(count, basic)
    for row in itertools.product((0, 1), repeat=basic):
        yield (*row, *(sum(row[factor] for factor in generator) % 2 for generator in generators))


def words(count: int, cells: int) -> list[Word]:
    """The defining relation of `fractional`, without the empty word, shorter words first."""
    basic = cells.bit_length() - 1
    return _words(basic, _generators(count, basic))


def resolution(count: int, cells: int) -> int | None:
    """The length of the shortest word of `fractional`; None for a full factorial."""
    return min(map(len, words(count, cells)), default=None)


def aliases(count: int, cells: int) -> list[list[Word]]:
    """Main effects and two-factor interactions that `fractional` cannot tell apart: groups of two or more."""
    relation = words(count, cells)
    effects = [frozenset(each) for size in (1, 2) for each in itertools.combinations(range(count), size)]
    groups: dict[frozenset[Word], list[Word]] = {}
    for effect in effects:
        groups.setdefault(frozenset({effect, *(effect ^ word for word in relation)}), []).append(effect)
    return [group for group in groups.values() if len(group) > 1]


MOST_WORDS = 4096
"""The most words of the defining relation, the empty one included: 2^p for a fraction 2^(k-p)."""
_MOST_COMPARED = 1_000_000
"""Words of all sets of generators that are compared; beyond, those of the longest products are taken."""


@functools.cache
def _generators(count: int, basic: int) -> tuple[tuple[int, ...], ...]:
    products = [each for size in range(basic, 1, -1) for each in itertools.combinations(range(basic), size)]
    most = max(1, _MOST_COMPARED >> (count - basic))
    sets = itertools.islice(itertools.combinations(products, count - basic), most)

    def aberration(generators: tuple[tuple[int, ...], ...]) -> list[int]:
        lengths = [len(word) for word in _words(basic, generators)]
        return [lengths.count(length) for length in range(1, count + 1)]

    return min(sets, key=aberration)


def _words(basic: int, generators: Sequence[Sequence[int]]) -> list[Word]:
    first = [frozenset({basic + number, *generator}) for number, generator in enumerate(generators)]
    found: list[Word] = [frozenset()]
    for word in first:
        found += [each ^ word for each in found]
    return sorted(found[1:], key=lambda word: (len(word), sorted(word)))


def _mixed(number: int, sizes: Sequence[int]) -> Levels:
    """The digits of a number in a mixed base, the last factor's the fastest."""
    digits = []
    for size in reversed(sizes):
        number, digit = divmod(number, size)
        digits.append(digit)
    return tuple(reversed(digits))


def _with(levels: Sequence[int], changes: dict[int, int]) -> Levels:
    return tuple(changes.get(factor, level) for factor, level in enumerate(levels))
