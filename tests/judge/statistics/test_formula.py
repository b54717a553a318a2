import pytest

from ablate.judge.statistics.formula import (
    Leaf,
    Seeds,
    binding,
    check_finite,
    excess,
    first,
    holds,
    leaves,
    negated,
    seeds_of,
)
from tests.judge.claimed import every, some

ABOVE = Leaf("above", (1.0, 2.0, 3.0))  # by 2
BARELY = Leaf("barely", (1.0, 1.0, 1.6), bound=1.0)  # by 0.2
BELOW = Leaf("below", (-1.0, 0.0, -2.0))  # by 1


def test_every_holds_when_all_parts_do_and_some_when_one_does() -> None:
    assert holds(every((ABOVE, BARELY)))
    assert not holds(every((ABOVE, BELOW)))
    assert holds(some((BELOW, BARELY)))
    assert not holds(some((BELOW, negated(ABOVE))))


def test_the_least_excess_decides_every_and_the_greatest_decides_some() -> None:
    assert binding(every((ABOVE, BARELY))) is BARELY
    assert binding(some((BELOW, BARELY, ABOVE))) is ABOVE
    assert binding(every((ABOVE, some((BELOW, BARELY))))) is BARELY


def test_an_effect_at_its_bound_holds_neither_way_whatever_the_rounding() -> None:
    at_bound = Leaf("0.1 + 0.2", (0.1 + 0.2,), bound=0.3)
    assert at_bound.differences[0] > at_bound.bound
    assert excess(at_bound) == 0
    assert not holds(at_bound)
    assert not holds(negated(at_bound))


def test_the_opposite_of_all_is_that_one_is_not() -> None:
    opposite = negated(every((ABOVE, BARELY)))
    assert opposite == some((Leaf("above", (-1.0, -2.0, -3.0), -0.0), Leaf("barely", (-1.0, -1.0, -1.6), -1.0)))
    assert negated(opposite) == every((ABOVE, BARELY))


def test_equivalence_fails_on_either_side_of_its_margin() -> None:
    def within(difference: float) -> bool:
        return holds(every((Leaf("a - b", (difference,), -2.0), Leaf("b - a", (-difference,), -2.0))))

    assert [within(difference) for difference in (-2.1, -1.9, 0.0, 1.9, 2.1)] == [False, True, True, True, False]


def test_the_first_seeds_are_kept_in_every_comparison() -> None:
    shorter = first(every((ABOVE, some((BARELY, BELOW)))), 2)
    assert [leaf.differences for leaf in leaves(shorter)] == [(1.0, 2.0), (1.0, 1.0), (-1.0, 0.0)]
    assert [leaf.label for leaf in leaves(shorter)] == ["above", "barely", "below"]


@pytest.mark.parametrize("differences", [(1.0, float("nan")), (1.0, float("inf"))])
def test_a_difference_that_is_not_finite_is_refused_by_its_label(differences: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="crop - blur: a difference or its bound is not finite"):
        check_finite([some((ABOVE, Leaf("crop - blur", differences)))])


def test_a_claim_has_the_seeds_of_the_comparison_with_the_most() -> None:
    assert seeds_of(every((ABOVE, first(BELOW, 2)))) == 3
    assert excess(Leaf("empty", ())) == 0.0


def test_the_first_seeds_are_the_first_of_the_study_and_not_of_a_comparison() -> None:
    gap = Leaf("gap", (1.0, 2.0, 3.0), seeds=Seeds((10, 12, 13), (0, 2, 3), 4))
    assert first(gap, 2).differences == (1.0,)
    assert first(gap, 3).differences == (1.0, 2.0)
    assert first(gap, 9) == gap
