"""Why a claim is not asked of what was measured: a reason, and never an error."""

from typing import Any

import pytest

from ablate.judge.cells import Measured
from tests.judge.claimed import Axes, ask, claim, grid, reason

AXES: Axes = {"size": [1, 2, 3]}
CELLS = grid(AXES, {(1,): [10], (2,): [20]})


@pytest.mark.parametrize(
    ("kind", "keys", "told"),
    [
        ("best", {"best": "size == 3"}, "no cell here is like size == 3"),
        ("best", {"best": "size < 3"}, "there is no other cell here"),
        ("greater", {"left": "size == 3", "right": "size == 1"}, "no cell here is like size == 3"),
        ("monotone", {"along": "size", "cells": "size == 1"}, "there are no two values of size here to compare"),
        ("equivalent", {"margin": 1, "cells": "size == 1"}, "there are no two cells here to compare"),
        (
            "closing_gap",
            {"left": "size == 1", "right": "size == 2", "along": "size"},
            "there are no two values of size here at which there is a gap",
        ),
        ("rank_correlation", {"at_least": 0.5}, "the paper has numbers of fewer than three of these"),
        ("share", {"at_least": 0.5, "rivals": [{"size": "size"}]}, "no cell has a rival here"),
        ("value", {"margin": 1}, "the paper has no number of these cells"),
        ("all", {"parts": [{"kind": "best", "is": "size == 3"}]}, "no cell here is like size == 3"),
    ],
)
def test_what_a_profile_does_not_have_is_told(kind: str, keys: dict[str, Any], told: str) -> None:
    assert reason(ask(claim(kind, **keys), CELLS, AXES)) == told


def test_cells_without_a_result_are_counted() -> None:
    cells = [*CELLS, Measured({"size": 3}, None, "3", 2, {})]
    assert reason(ask(claim("monotone", along="size"), cells, AXES)) == "1 of its 3 cells has no result"


def test_cells_that_nobody_asked_for_are_as_if_they_were_not() -> None:
    cells = [*CELLS, Measured({"size": 3}, None, "3", 0, {})]
    assert ask(claim("monotone", along="size"), cells, AXES) == ask(claim("monotone", along="size"), CELLS, AXES)


def test_cells_without_a_seed_in_common_are_told() -> None:
    other = Measured({"size": 2}, None, "2", 1, {1: {"top1": 20.0}})
    told = reason(ask(claim("monotone", along="size"), [CELLS[0], other], AXES))
    assert told == "its 2 cells have no seed in common"


def test_sides_without_a_counterpart_are_told() -> None:
    axes: Axes = {"head": ["a", "b"], "size": [1, 2]}
    cells = grid(axes, {("a", 1): [1], ("b", 2): [2]})
    told = reason(ask(claim("greater", left="head == 'a'", right="head == 'b'", each=["size"]), cells, axes))
    assert told == "no cell of head == 'a' has a counterpart of head == 'b' with the same size"
