import pytest

from ablate.judge.combine import sides
from ablate.judge.formula import Leaf, first
from ablate.judge.sequential import look, looks, price, seen, to_next_look


def test_looks_get_rarer() -> None:
    assert [look(number) for number in range(1, 9)] == [3, 5, 8, 12, 17, 23, 30, 38]


@pytest.mark.parametrize(("seeds", "expected"), [(1, []), (3, [3]), (4, [3]), (5, [3, 5]), (29, [3, 5, 8, 12, 17, 23])])
def test_a_look_is_taken_when_its_seeds_are_there(seeds: int, expected: list[int]) -> None:
    assert looks(seeds) == expected


def test_the_next_look_is_told_in_seeds_from_now() -> None:
    assert [to_next_look(seeds) for seeds in (1, 2, 3, 4, 5, 11, 12)] == [2, 1, 2, 1, 3, 1, 5]


def test_all_looks_together_never_cost_more_than_the_level() -> None:
    spent = [sum(1 / price(number) for number in range(1, last + 1)) for last in (1, 2, 10, 10_000)]
    assert spent == pytest.approx([1 / 2, 2 / 3, 10 / 11, 10_000 / 10_001])


def test_a_look_sees_the_first_seeds_only_and_pays_for_looks_and_claims() -> None:
    claim = Leaf("", (1.0, 2.5, 2.0, 1.5, 2.2, -90.0))
    at_three, at_five = seen(claim, 6, claims=4)
    assert (at_three.seeds, at_five.seeds) == (3, 5)
    assert at_five.formula == first(claim, 5)
    assert at_three.adjusted_p == pytest.approx(min(1.0, sides(first(claim, 3)).p * 2 * 4))
    assert at_five.adjusted_p == pytest.approx(sides(first(claim, 5)).p * 6 * 4)


def test_an_earlier_look_is_not_taken_back_by_a_later_one() -> None:
    *_, last = seen(Leaf("", (1.0, 1.1, 0.9, -8.0, 9.0)), 5, claims=1)
    assert last.adjusted_p == pytest.approx(sides(Leaf("", (1.0, 1.1, 0.9))).p * 2)
