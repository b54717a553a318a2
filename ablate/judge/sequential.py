"""Sequential: when to look at a claim while its seeds arrive, and what each look costs.

Whoever adds seeds until a claim is decided looks many times, and a p that is good for one look is not for all of them
(Armitage, McPherson and Rowe 1969). Here the k-th look may spend level / (k (k + 1)), which sums to the level over
all looks that will ever be: a false verdict comes at most at the level, however long one goes on, by Bonferroni alone
(alpha spending: Lan and DeMets 1983). Looks get rarer, so that the price of the next one is met by the seeds it
brings. It needs no state: what was seen at a look is computed again from the first so many seeds, and seeds between
looks change no verdict. It is valid as long as the seeds are taken in a fixed order, none skipped by its result:
ascending, and those behind one that is missing wait for it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ablate.judge.combine import Sides, sides
from ablate.judge.formula import Formula, first


class Seen(NamedTuple):
    """What a look saw."""

    seeds: int  # the look is after so many
    formula: Formula  # the claim with these
    sides: Sides
    adjusted_p: Any  # for all looks and claims: the least so far


def look(number: int) -> int:
    """After how many seeds the first, second, ... look is: 3, 5, 8, 12, 17, 23, 30, 38, ..."""
    return number * (number + 1) // 2 + 2


def looks(seeds: int) -> list[int]:
    """All looks up to so many seeds."""
    found: list[int] = []
    while look(len(found) + 1) <= seeds:
        found.append(look(len(found) + 1))
    return found


def to_next_look(seeds: int) -> int:
    """How many seeds are missing to the look after so many."""
    return look(len(looks(seeds)) + 1) - seeds


def price(number: int) -> int:
    """What p is multiplied with at a look: the level is split into 1/2 + 1/6 + 1/12 + ..."""
    return number * (number + 1)


def seen(formula: Formula, seeds: int, claims: int) -> Iterator[Seen]:
    """What each look up to so many seeds saw, for one of so many claims that are watched together."""
    adjusted_p = np.asarray(1.0)
    for number, count in enumerate(looks(seeds), start=1):
        judged = first(formula, count)
        both = sides(judged)
        adjusted_p = np.minimum(adjusted_p, both.p * price(number) * claims)
        yield Seen(count, judged, both, adjusted_p)
