"""The form that each study has, and what its marks stand for."""

import json
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from ablate.judge.evidence import Evidence
from ablate.paper import published
from ablate.records.plan_file import parse_plan
from ablate.report.charts.encoding import encode
from ablate.report.charts.tuning import tuning_figure
from ablate.study.cells.cell import Cell
from ablate.study.schema.chart import Chart
from tests.report.charts.studied import figures, layers, plan_of, rows, spec

FORMS = {
    "augment_pairs": "rect", "batch_epochs": "bar", "broader_augmentation": "bar", "cifar10": "bar",
    "color_histograms": "bar", "color_strength": "bar", "fixed_batches": "bar", "linear_optimizer": "bar",
    "depth_width": "point", "epochs": "line", "flip_and_blur": "bar", "head_spectrum": "point",
    "linear_evaluation": "point", "loss": "bar", "loss_tuned": "bar", "lr_scaling": "bar", "parts": "point",
    "projection_head": "bar",
    "representation_layer": "point", "semi_supervised": "bar", "temperature": "line", "transfer": "bar",
    "transformation_prediction": "point",
}  # fmt: skip


def marks(chart: dict[str, Any]) -> list[str]:
    return [layer["mark"]["type"] for layer in layers(chart)]


def values(which: str, figures_: Any) -> list[dict[str, Any]]:
    (figure,) = (each for each in figures_ if each.name == which)
    return rows(figure.chart.to_dict())


@pytest.mark.parametrize("study", FORMS)
def test_a_study_has_the_form_of_the_papers_figure(study: str) -> None:
    assert next(mark for mark in marks(spec(study)) if mark != "rule") == FORMS[study]


@pytest.mark.parametrize("study", FORMS)
def test_every_row_has_the_number_of_its_cell_and_that_cells_mean(study: str) -> None:
    drawn = rows(spec(study))
    assert drawn
    assert all(row["value"] == 10.0 + row["cell"] for row in drawn)


@pytest.mark.parametrize("study", sorted(set(FORMS) - {"depth_width", "cifar10", "loss", "loss_tuned"}))
def test_every_cell_is_drawn_where_none_was_tuned(study: str) -> None:
    assert sorted({row["cell"] for row in rows(spec(study))}) == [
        number
        for number, trial in enumerate(plan_of(study)["trials"])
        if trial["case"] is None or FORMS[study] != "rect"
    ]


def test_the_published_chart_has_the_papers_own_axis_and_all_of_its_numbers() -> None:
    table = {(int(row["epochs"]), int(row["batch_size"])): float(row["top1"]) for row in published("fig9_batch_epochs")}
    drawn = {(int(row["x"]), int(row["color"])): row["value"] for row in rows(spec("batch_epochs", "published"))}
    assert drawn == table


def test_a_plan_file_of_old_shows_the_papers_numbers_of_the_measured_cells() -> None:
    plan = plan_of("augment_pairs")
    del plan["paper"], plan["chart"]
    both = figures(plan)
    assert len(values("published", both)) == 49
    assert layers(both[0].chart.to_dict())[0]["mark"]["type"] == "rect"


@pytest.mark.parametrize("study", ["augment_pairs", "batch_epochs", "temperature", "lr_scaling"])
def test_both_charts_have_one_scale_that_spans_the_numbers_of_both(study: str) -> None:
    scales = []
    for which in ("measured", "published"):
        for layer in layers(spec(study, which)):
            for channel in ("y", "color"):
                encoding = layer["encoding"].get(channel, {})
                if encoding.get("type") == "quantitative":
                    scales.append(tuple(encoding["scale"]["domain"]))
    assert len(set(scales)) == 1
    low, high = scales[0]
    shown = [row["value"] for which in ("measured", "published") for row in rows(spec(study, which))]
    assert low <= min(shown)
    assert high >= max(shown)


def test_bars_start_at_zero() -> None:
    (domain,) = {tuple(layers(spec(study))[0]["encoding"]["y"]["scale"]["domain"])[:1] for study in ("loss",)}
    assert domain == (0.0,)


def test_numbers_read_off_a_figure_are_hollow_and_have_their_error() -> None:
    drawn = rows(spec("projection_head", "published"))
    assert all(row["about"] and row["high"] - row["low"] == pytest.approx(0.4) for row in drawn)
    verified = rows(spec("temperature", "published"))
    assert not any(row["about"] or "low" in row for row in verified)


def test_of_tuned_cells_the_one_with_the_highest_mean_is_shown_and_says_so() -> None:
    plan = plan_of("loss")
    best: dict[tuple[str, Any], float] = {}
    for number, trial in enumerate(plan["trials"]):
        place = trial["axes"]["objective"], trial["axes"].get("semi_hard")
        best[place] = max(best.get(place, 0.0), 10.0 + number)
    drawn = rows(spec("loss"))
    assert sorted(row["value"] for row in drawn) == sorted(best.values())
    assert [row["label"].partition("(")[2] for row in drawn if row["x"] == "nt_logistic"] == [
        "best of 4: temperature 1.0, learning_rate 0.02)"
    ] * 2


@pytest.mark.parametrize(("metric", "shown"), [("validation_loss", "0.0123"), ("top1", "0.0")])
def test_scores_that_chose_have_the_digits_of_their_own_metric(metric: str, shown: str) -> None:
    scores = [{"values": {"lr": lr}, "score": score} for lr, score in ((0.1, 0.0123), (0.2, 0.0311))]
    plan = parse_plan(plan_of("augment_pairs"))
    cell = {"axes": plan.trials[0].cell.axes, "case": None, "values": {"lr": 0.1}, "scores": scores}
    tuned = {"study": "mine", "metric": metric, "lowest": True, "choose": "best", "seeds": [1000], "cells": [cell]}
    evidence = Evidence(replace(plan, tuned=tuned), ())
    figure = tuning_figure(evidence)
    assert evidence.percent
    assert figure is not None
    assert (figure.rows[0][3], figure.summary.split()[-1]) == (shown, f"{shown}.")


def test_networks_stand_at_their_parameters_in_millions() -> None:
    at = {(row["name"].split(",")[0], row["x"]) for row in rows(spec("depth_width", "published"))}
    assert {round(x, 2) for name, x in at if name == "resnet18"} == {11.18, 44.68, 178.66}


@pytest.mark.parametrize("study", ["augment_pairs", "batch_epochs", "temperature"])
def test_what_has_no_number_yet_is_hatched_and_counted(study: str) -> None:
    chart = figures(plan_of(study), seeds=2, done=3, planned=3)[0].chart.to_dict()
    missing = [row for row in rows(chart) if "value" not in row]
    assert {row["few"] for row in missing} == {"0 of 3"}
    assert {row["few"] for row in rows(chart) if "value" in row} == {"2 of 3"}
    hatches = [
        layer for layer in layers(chart) if layer["mark"]["type"] == "point" and "L" in layer["mark"].get("shape", "")
    ]
    assert [hatch["transform"][-1] for hatch in hatches] == [{"filter": "!isValid(datum.value)"}]


def test_a_cell_of_several_seeds_has_its_interval_and_a_dot_a_seed() -> None:
    drawn = values("measured", figures(plan_of("batch_epochs"), seeds=3))
    assert drawn[0]["seeds"] == [10.0, 11.0, 12.0]
    assert drawn[0]["value"] == 11.0
    # Student's t at 97.5 % with 2 degrees of freedom is 4.3027; the standard error of 10, 11, 12 is 1 / sqrt(3)
    assert (drawn[0]["low"], drawn[0]["high"]) == pytest.approx((11 - 4.3027 / 3**0.5, 11 + 4.3027 / 3**0.5), abs=1e-3)


def test_a_legend_stands_once_where_both_sides_have_the_same_colors() -> None:
    assert '"legend": null' in json.dumps(spec("color_strength", "published"))
    assert '"legend": null' not in json.dumps(layers(spec("color_strength"))[0])
    assert layers(spec("batch_epochs", "published"))[0]["encoding"]["color"].get("legend", {}) is not None


def test_a_case_is_a_line_across() -> None:
    drawn = [row for row in rows(spec("color_strength")) if row.get("across")]
    assert [(row["label"], row["cell"]) for row in drawn] == [("cell 12", 12)]


@pytest.mark.parametrize(
    ("values_", "form", "x"),
    [
        ({"a": ["p", "q"], "b": ["r", "s"]}, "heatmap", "b"),
        ({"a": ["p", "q"], "b": [1, 2, 3]}, "lines", "b"),
        ({"a": ["p", "q"], "b": [1, 2]}, "bars", "a"),
        ({"a": ["p", "q"]}, "dots", "a"),
        ({"a": [1, 2, 3], "b": [1, 2, 3, 4]}, "lines", "b"),
        ({"a": [True, False], "b": ["p"]}, "dots", "a"),
        ({"a": [1, 2, 3, 4, 5], "b": [1, 2, 3, 4, 5]}, "heatmap", "b"),
    ],
)
def test_the_form_follows_the_axes_where_a_study_says_none(values_: dict[str, list[Any]], form: str, x: str) -> None:
    cells = [Cell(dict(zip(values_, each, strict=True))) for each in product(*values_.values())]
    shown = encode(Chart(), cells)
    assert (shown.form, shown.x) == (form, x)


def test_of_more_axes_than_there_are_channels_the_best_is_shown() -> None:
    shown = encode(Chart(), [Cell(dict(zip("abcd", each, strict=True))) for each in product("pq", repeat=4)])
    assert (shown.x, shown.color, shown.facet, shown.best_of) == ("a", ("b",), "c", ("d",))


def test_an_axis_that_moves_with_a_named_one_needs_no_channel() -> None:
    cells = [Cell({"method": method, "optimizer": method, "n": n}) for method in ("s", "t") for n in (1, 2)]
    shown = encode(Chart(form="bars", x="n", color=["optimizer"]), cells)
    assert (shown.facet, shown.best_of) == (None, ())


def test_the_same_plan_is_the_same_specification_twice() -> None:
    twice = [[figure.spec for figure in figures(plan_of(study))] for study in ("lr_scaling", "lr_scaling")]
    assert twice[0] == twice[1]
