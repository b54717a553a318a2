"""Rows of dots: a name is never cut, and every cell has its row."""

import re
from typing import Any

import pytest

from ablate.report.charts.dots_form import row_names, row_step
from ablate.report.charts.layers import lines_of_label, wrapped
from tests.report.charts.studied import figures, layers, plan_of, rows

LONG = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"


def drawn(values: list[str], **more: Any) -> Any:
    plan = plan_of("transformation_prediction") | {"chart": {"form": "dots", "x": "model"}, "references": []}
    trials = [{"key": "k", "seed": 0, "axes": {"model": value}, "case": None} for value in values]
    axes = [{"name": "model", "values": values, "label": None}]
    return figures(plan | {"axes": axes, "trials": trials, "cases": [], "paper": None}, **more)[0]


def test_a_long_name_stands_in_full_on_lines_of_its_own() -> None:
    svg = drawn([LONG, "small"]).svg
    texts = re.findall(r">([^<>]+)<", svg)
    assert {"vit_tiny_patch16_224.", "augreg_in21k_ft_in1k", "small"} <= set(texts)
    assert "\u2026" not in svg


@pytest.mark.parametrize("text", [LONG, "a sentence of several words that is longer than a line", "x" * 70, "", "crop"])
def test_lines_have_all_characters_of_a_name_and_none_is_too_long(text: str) -> None:
    lines = wrapped(text).split("\n")
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert max(map(len, lines)) <= 26
    assert "26" in lines_of_label()


def test_each_cell_has_a_row_with_its_value_beside_it_and_missing_seeds_are_counted() -> None:
    figure = drawn(["a", "b", "c"], seeds=2, done=2, planned=3)
    found = rows(figure.chart.to_dict())
    assert [(row["row"].split("\n")[1], row.get("shown"), row["few"]) for row in found] == [
        ("a", "10.5", "2 of 3"), ("b", "11.5", "2 of 3"), ("c", None, "0 of 3"),
    ]  # fmt: skip


def test_rows_are_as_high_as_their_longest_name() -> None:
    assert row_step(row_names(["a", "b"])) < row_step(row_names(["a", LONG + LONG]))


def test_several_colors_share_a_row() -> None:
    chart = figures(plan_of("color_strength", {"form": "dots"}))[0].chart.to_dict()
    assert all("yOffset" in layer["encoding"] for layer in layers(chart))
