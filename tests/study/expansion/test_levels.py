"""Designs against lists written by hand, printed tables, and other libraries."""

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy.stats import qmc

from ablate.study.expansion.levels import (
    aliases,
    fractional,
    one_at_a_time,
    random_levels,
    resolution,
    sobol_levels,
    up_to_two,
    words,
)  # fmt: skip


def test_one_at_a_time_has_the_start_and_each_other_level_alone() -> None:
    assert list(one_at_a_time([2, 3], [0, 1])) == [(0, 1), (1, 1), (0, 0), (0, 2)]
    every = set(itertools.product(range(2), range(3), range(4)))
    near = {each for each in every if sum(a != b for a, b in zip(each, (1, 2, 0), strict=True)) <= 1}
    found = list(one_at_a_time([2, 3, 4], [1, 2, 0]))
    assert set(found) == near
    assert len(found) == len(near)


def test_pairs_are_all_cells_with_at_most_two_parts_off() -> None:
    found = list(up_to_two(5))
    assert set(found) == {each for each in itertools.product((0, 1), repeat=5) if sum(each) <= 2}
    assert len(found) == 1 + 5 + 10
    assert found[0] == (0,) * 5


PRINTED = {
    # Box, Hunter and Hunter, Statistics for Experimenters (2005), table 6.22: runs -> factors -> resolution
    8: {4: 4, 5: 3, 6: 3, 7: 3},
    16: {5: 5, 6: 4, 7: 4, 8: 4, 9: 3, 10: 3, 11: 3},
    32: {6: 6, 7: 4, 8: 4, 9: 4},
}


@pytest.mark.parametrize(("cells", "factors"), [(cells, factors) for cells, row in PRINTED.items() for factors in row])
def test_a_fraction_has_the_resolution_of_the_printed_table(cells: int, factors: int) -> None:
    assert resolution(factors, cells) == PRINTED[cells][factors]
    runs = np.array(list(fractional(factors, cells)))
    assert runs.shape == (cells, factors)
    assert len({tuple(run) for run in runs.tolist()}) == cells
    assert tuple(runs[0]) == (0,) * factors
    signs = 1 - 2 * runs
    assert (signs.T @ signs == cells * np.eye(factors)).all()  # columns are balanced and orthogonal
    for word in words(factors, cells):
        assert (signs[:, sorted(word)].prod(axis=1) == 1).all()


def test_two_to_the_seven_minus_three_has_the_printed_words_and_aliases() -> None:
    # Montgomery, Design and Analysis of Experiments (2012), appendix X: 2^(7-3), resolution IV, 7 words of 4 letters;
    # main effects are clear of two-factor interactions, which are aliased in 7 groups of three.
    assert Counter(map(len, words(7, 16))) == {4: 7}
    groups = aliases(7, 16)
    assert [len(group) for group in groups] == [3] * 7
    assert all(len(effect) == 2 for group in groups for effect in group)


PRINTED_ALIASES = {
    # Montgomery (2012), appendix X, without interactions of three and more factors: factors, runs -> groups
    (4, 8): "AB=CD AC=BD AD=BC",
    (5, 8): "A=BD=CE B=AD C=AE D=AB E=AC BC=DE CD=BE",
    (5, 16): "",
    (6, 16): "AB=CE AC=BE AD=EF AE=BC=DF AF=DE BD=CF BF=CD",
    (7, 8): "A=BD=CE=FG B=AD=CF=EG C=AE=BF=DG D=AB=CG=EF E=AC=BG=DF F=BC=AG=DE G=CD=BE=AF",
}


@pytest.mark.parametrize(("factors", "cells"), PRINTED_ALIASES)
def test_aliases_are_those_of_the_printed_table_with_the_factors_in_some_order(factors: int, cells: int) -> None:
    groups = (group.split("=") for group in PRINTED_ALIASES[factors, cells].split())
    printed = {frozenset(frozenset(map("ABCDEFG".index, effect)) for effect in group) for group in groups}
    found = [[sorted(effect) for effect in group] for group in aliases(factors, cells)]
    assert any(
        printed == {frozenset(frozenset(order[each] for each in effect) for effect in group) for group in found}
        for order in itertools.permutations(range(factors))
    )


def test_aliased_effects_have_the_same_column_and_others_do_not() -> None:
    signs = 1 - 2 * np.array(list(fractional(6, 16)))
    effects = [frozenset(each) for size in (1, 2) for each in itertools.combinations(range(6), size)]
    columns: dict[tuple[int, ...], list[frozenset[int]]] = {}
    for effect in effects:
        columns.setdefault(tuple(signs[:, sorted(effect)].prod(axis=1).tolist()), []).append(effect)
    assert sorted(map(sorted, (map(sorted, group) for group in columns.values() if len(group) > 1))) == sorted(
        map(sorted, (map(sorted, group) for group in aliases(6, 16)))
    )


def test_a_random_sample_has_different_combinations_and_repeats_by_its_seed() -> None:
    sizes = [2, 3, 5]
    found = list(random_levels(sizes, 12, 3))
    assert len(set(found)) == 12
    assert set(found) < set(itertools.product(*map(range, sizes)))
    assert found == list(random_levels(sizes, 12, 3))
    assert found != list(random_levels(sizes, 12, 4))
    assert set(random_levels(sizes, 99, 0)) == set(itertools.product(*map(range, sizes)))


def test_a_random_sample_is_uniform() -> None:
    counts = Counter(next(random_levels([3, 4], 1, seed)) for seed in range(6000))
    expected = 6000 / 12
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 31.3  # chi square, 11 df, p = 0.001
    assert len(counts) == 12


def test_sobol_levels_are_scipys_points() -> None:
    points = qmc.Sobol(3, scramble=True, rng=7).random(16)
    by_hand = list(dict.fromkeys(tuple(int(v) for v in np.floor(row * [4, 4, 4])) for row in points))
    assert list(sobol_levels([4, 4, 4], 16, 7)) == by_hand
    column = Counter(level[0] for level in sobol_levels([16, 16, 16], 16, 7))
    assert column == Counter(range(16))  # one point in each sixteenth
