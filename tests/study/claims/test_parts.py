"""What a part contributes and whether two interact, with differences that were computed by hand."""

import pytest

from ablate.judge.evidence import MeasuredCell
from ablate.judge.statistics.formula import Joint, holds
from tests.judge.claimed import Axes, ask, claim, grid, leaves, reason

PARTS: Axes = {"crop": [True, False], "color": [True, False], "width": [1, 2]}
VALUES = {
    (True, True, 1): [70, 72],
    (True, True, 2): [80, 80],
    (True, False, 1): [40, 41],
    (True, False, 2): [50, 51],
    (False, True, 1): [45, 45],
    (False, True, 2): [46, 44],
    (False, False, 1): [30, 33],
    (False, False, 2): [36, 36],
}


def parts() -> list[MeasuredCell]:
    """All combinations of two parts at two widths."""
    return grid(PARTS, VALUES)


def test_a_part_contributes_its_mean_difference_over_all_contexts() -> None:
    at_each_seed = [
        sum((30, 30, 15, 10)) / 4,  # 70 - 40, 80 - 50, 45 - 30, 46 - 36
        sum((31, 29, 12, 8)) / 4,
    ]
    found = leaves(ask(claim("contributes", part="color", margin=2), parts(), PARTS))
    assert found == {"color true - color false": (tuple(at_each_seed), 2.0)}


def test_with_every_a_part_contributes_in_each_context() -> None:
    formula = ask(claim("contributes", part="color", every=True), parts(), PARTS)
    assert [leaf[0] for leaf in leaves(formula).values()] == [(30, 31), (30, 29), (15, 12), (10, 8)]
    assert isinstance(formula, Joint)
    assert formula.needed == 4


def test_a_part_that_lowers_an_error_contributes_with_lowest() -> None:
    formula = ask(claim("contributes", part="color", lowest=True, cells="width == 1 and crop"), parts(), PARTS)
    assert [leaf[0] for leaf in leaves(formula).values()] == [(-30, -31)]
    assert not holds(formula)


def test_contexts_without_both_cells_are_left_out() -> None:
    cells = [cell for cell in parts() if cell.axes != {"crop": False, "color": True, "width": 2}]
    (found,) = leaves(ask(claim("contributes", part="color"), cells, PARTS)).values()
    assert found[0] == (25.0, 24.0)


def test_an_interaction_is_what_both_parts_give_beyond_the_sum_of_each() -> None:
    at_each_seed = (
        ((70 - 40 - 45 + 30) + (80 - 50 - 46 + 36)) / 2,
        ((72 - 41 - 45 + 33) + (80 - 51 - 44 + 36)) / 2,
    )
    found = leaves(ask(claim("interacts", axes=["crop", "color"], margin=3), parts(), PARTS))
    assert found == {"interaction of crop and color": (at_each_seed, 3.0)}
    turned = leaves(ask(claim("interacts", axes=["color", "crop"], direction="less"), parts(), PARTS))
    assert turned == {"- interaction of color and crop": (tuple(-each for each in at_each_seed), 0.0)}


def test_an_interaction_in_either_direction_is_one_of_two() -> None:
    formula = ask(claim("interacts", axes=["crop", "color"], direction="either"), parts(), PARTS)
    assert isinstance(formula, Joint)
    assert (formula.needed, len(formula.parts)) == (1, 2)
    assert holds(formula)


@pytest.mark.parametrize(
    ("kind", "keys", "told"),
    [
        ("contributes", {"part": "color", "cells": "color"}, "color has 1 values among the cells, and this needs two"),
        (
            "interacts",
            {"axes": ["crop", "color"], "cells": "crop or not color"},
            "no cells differ in crop and color alone",
        ),
    ],
)
def test_cells_that_do_not_allow_the_comparison_are_named(kind: str, keys: dict[str, object], told: str) -> None:
    assert reason(ask(claim(kind, **keys), parts(), PARTS)) == told
