"""Cells and comparisons as pages call them."""

from itertools import product
from typing import Any

import pytest

from ablate.judge.evidence import Evidence
from ablate.records.plan_file import PlanFile
from ablate.report.render.names import Names, cell_names, in_words
from ablate.study.cells.cell import Cell, short_titles
from tests.judge.claimed import measured


def grid(axes: dict[str, list[Any]]) -> list[Cell]:
    return [Cell(dict(zip(axes, values, strict=True))) for values in product(*axes.values())]


@pytest.mark.parametrize(
    ("axes", "first", "last"),
    [
        ({"first": ["crop", "color"], "second": ["color", "sobel"]}, "crop + color", "color + sobel"),
        ({"k": [12, 3], "m": [5, 4.5]}, "k = 12, m = 5", "k = 3, m = 4.5"),
        ({"head": ["linear", "none"], "dim": [64, 32]}, "linear, dim = 64", "none, dim = 32"),
        ({"batch_size": [4, 8]}, "batch size = 4", "batch size = 8"),
        ({"ema": [True, False], "k": [1, 2]}, "ema, k = 1", "not ema, k = 2"),
        ({"a": ["x, y", "u"], "b": ["z", "v"]}, "a = x, y; b = z", "u + v"),
        ({"a": ["x - y", "u"]}, "x - y", "u"),
    ],
)
def test_a_cell_is_named_by_what_tells_it_apart(axes: dict[str, list[Any]], first: str, last: str) -> None:
    cells = grid(axes)
    names = cell_names(cells, short_titles(cells, [cell.title() for cell in cells]))
    assert (names[0], names[-1]) == (first, last)


def test_cases_and_cells_of_a_design_keep_the_judges_name() -> None:
    cells = [Cell({}, "untrained"), Cell({"a": True, "b": False}), Cell({"a": True, "b": True})]
    assert cell_names(cells, ["untrained", "without b", "full method"]) == ["untrained", "without b", "full method"]


def evidence(axes: dict[str, list[Any]]) -> Evidence:
    cells = grid(axes)
    labels = short_titles(cells, [cell.title() for cell in cells])
    made = [measured(cell.axes, None, label, 1, {}) for cell, label in zip(cells, labels, strict=True)]
    return Evidence(PlanFile("mine", "embedded", "d", (), ()), tuple(made))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("crop, color - color, sobel", "(crop + color) \u2212 (color + sobel)"),
        ("1 of 2 hold; color, sobel - crop, color", "1 of 2 hold; (color + sobel) \u2212 (crop + color)"),
        ("activation == 'cos' - activation == 'relu'", "activation = cos \u2212 activation = relu"),
        ("crop, color at k 2 - color, sobel at k 2", "(crop + color at k 2) \u2212 (color + sobel at k 2)"),
        ("rank correlation with the paper of means by first", "rank correlation with the paper of means by first"),
        ("a - b - c", "a - b - c"),
    ],
)  # fmt: skip
def test_a_comparison_has_the_names_of_its_cells_and_a_minus(text: str, said: str) -> None:
    names = Names(evidence({"first": ["crop", "color"], "second": ["color", "sobel"]}))
    assert names.comparison(text) == said


def test_a_hyphen_in_a_value_is_not_taken_for_the_minus() -> None:
    names = Names(evidence({"a": ["x - y", "u"]}))
    assert names.comparison("x - y - u") == "x - y \u2212 u"
    assert names.comparison("u - x - y") == "u \u2212 x - y"


def test_a_condition_is_written_without_quotes_and_operators() -> None:
    text = "first == 'crop' and second != \"color\" and k in [1, 2] and m >= 3"
    assert in_words(text) == "first = crop, second \u2260 color, k in 1, 2, m \u2265 3"
