"""Why a claim is not asked of what was measured: a reason, and never an error."""

from typing import Any

import pytest

from ablate.judge.answer import NotMeasured
from ablate.judge.evidence import MeasuredCell
from ablate.judge.statistics.formula import Joint, leaning
from tests.judge.claimed import Axes, ask, claim, grid, measured, reason

AXES: Axes = {"size": [1, 2, 3]}
CELLS = grid(AXES, {(1,): [10], (2,): [20]})


@pytest.mark.parametrize(
    ("kind", "keys", "told"),
    [
        ("best", {"best": "size == 3"}, "no cell matches size == 3"),
        ("best", {"best": "size < 3"}, "there is no other cell to compare with"),
        ("greater", {"left": "size == 3", "right": "size == 1"}, "no cell matches size == 3"),
        ("monotone", {"along": "size", "cells": "size == 1"}, "there are no two values of size to compare"),
        ("equivalent", {"margin": 1, "cells": "size == 1"}, "there are no two cells to compare"),
        (
            "closing_gap",
            {"left": "size == 1", "right": "size == 2", "along": "size"},
            "there are no two values of size at which there is a gap",
        ),
        ("rank_correlation", {"at_least": 0.5}, "the paper has numbers of fewer than three of these"),
        ("share", {"at_least": 0.5, "rivals": [{"size": "size"}]}, "no cell has a rival"),
        ("value", {"margin": 1}, "the paper has no number of these cells"),
        ("all", {"parts": [{"kind": "best", "is": "size == 3"}]}, "no cell matches size == 3"),
    ],
)
def test_what_a_profile_does_not_have_is_told(kind: str, keys: dict[str, Any], told: str) -> None:
    assert reason(ask(claim(kind, **keys), CELLS, AXES)) == told


def test_cells_without_a_result_are_counted() -> None:
    cells = [*CELLS, measured({"size": 3}, None, "3", 2, {})]
    assert reason(ask(claim("monotone", along="size"), cells, AXES)) == "1 of its 3 cells has no result"


def test_cells_that_nobody_asked_for_are_as_if_they_were_not() -> None:
    cells = [*CELLS, measured({"size": 3}, None, "3", 0, {})]
    assert ask(claim("monotone", along="size"), cells, AXES) == ask(claim("monotone", along="size"), CELLS, AXES)


def of_three(*values: float | None) -> list[MeasuredCell]:
    numbers = [{} if value is None else {0: {"top1": value}, 1: {"top1": value + 1}} for value in values]
    return [measured({"size": size}, None, str(size), 2, each) for size, each in zip((1, 2, 3), numbers, strict=True)]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("best", {"best": "size > 1"}),
        ("any", {"parts": [{"kind": "at_least", "value": 15, "cells": f"size == {size}"} for size in (2, 3)]}),
    ],
)
def test_one_alternative_without_a_result_leaves_the_others_to_support_it(kind: str, keys: dict[str, Any]) -> None:
    formula = ask(claim(kind, **keys), of_three(10, 20, None), AXES)
    assert isinstance(formula, Joint)
    assert (len(formula.parts), formula.unknown) == (1, 1)
    assert leaning(formula) == "supports"
    below = ask(claim(kind, **keys), of_three(10, 8, None), AXES)
    assert not isinstance(below, NotMeasured)
    assert leaning(below) == "neither"


def test_a_share_is_not_measured_where_too_few_of_its_cells_are_to_say_anything() -> None:
    share = claim("greater", left="head == 'a'", right="head == 'b'", each=["size"], at_least=0.5)
    axes: Axes = {"head": ["a", "b"], "size": [1, 2, 3]}
    for with_result, told in (({1, 2}, None), ({1}, "2 of its 6 cells have no result")):
        values = {("b", size): [1.0] for size in (1, 2, 3)} | {("a", size): [2.0] for size in with_result}
        cells = grid(axes, values)
        cells += [measured({"head": "a", "size": size}, None, "a", 1, {}) for size in {1, 2, 3} - with_result]
        formula = ask(share, cells, axes)
        assert (formula.reason if isinstance(formula, NotMeasured) else None) == told


def test_cells_without_a_seed_in_common_are_told() -> None:
    other = measured({"size": 2}, None, "2", 1, {1: {"top1": 20.0}})
    told = reason(ask(claim("monotone", along="size"), [CELLS[0], other], AXES))
    assert told == "its 2 cells have no seed in common"


def test_sides_without_a_counterpart_are_told() -> None:
    axes: Axes = {"head": ["a", "b"], "size": [1, 2]}
    cells = grid(axes, {("a", 1): [1], ("b", 2): [2]})
    told = reason(ask(claim("greater", left="head == 'a'", right="head == 'b'", each=["size"]), cells, axes))
    assert told == "no cell of head == 'a' has a counterpart of head == 'b' with the same size"
