"""Rows of dots: a name is never cut, and every cell has its row."""

import re
from typing import Any

import pytest

from ablate.report.charts.dots_form import row_names, row_step
from ablate.report.charts.layers import ALONE, LINE, wrapped
from tests.report.charts.studied import figures, layers, plan_of, rows

LONG = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
TEXTS = (LONG, "a sentence of several words that is longer than a line", "x" * 70, "crop")


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


@pytest.mark.parametrize("text", [*TEXTS, ""])
def test_lines_have_all_characters_of_a_name_and_none_is_too_long(text: str) -> None:
    lines = wrapped(text).split("\n")
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert max(map(len, lines)) <= 26


@pytest.mark.parametrize(("form", "x", "other"), [
    ("heatmap", "model", {"y": "k"}), ("heatmap", "k", {"y": "model"}), ("bars", "k", {"facet": "model"}),
    ("dots", "k", {"facet": "model"}), ("bars", "model", {"color": "k"}), ("lines", "k", {"color": "model"}),
])  # fmt: skip
def test_every_form_draws_long_names_in_full_on_the_lines_of_python(form: str, x: str, other: dict[str, str]) -> None:
    choices = {"model": [f"{LONG}_with_register_tokens_and_more", *TEXTS], "k": [1, 2, 3]}
    axes = [{"name": axis, "values": values, "label": None} for axis, values in choices.items()]
    trials = [{"key": "k", "seed": 0, "axes": {"model": model, "k": k}, "case": None}
              for model in choices["model"] for k in choices["k"]]  # fmt: skip
    plan = plan_of("transformation_prediction") | {"chart": {"form": form, "x": x, **other}, "references": []}
    svg = figures(plan | {"axes": axes, "trials": trials, "cases": [], "paper": None})[0].svg
    drawn = "\n".join(re.findall(r">([^<>]+)<", svg))
    missing = [name for name in TEXTS if not any(wrapped(name, width) in drawn for width in (LINE, ALONE))]
    assert (missing, "\u2026" in svg) == ([], False)


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
