"""Which of the paper's numbers stand beside which cell."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ablate.errors import UserError
from ablate.judge.evidence import published_cells
from ablate.judge.on_paper import as_measured
from ablate.judge.published import published_numbers
from ablate.records.plan_file import PaperCells, PlanAxis, PlanFile, parse_plan
from ablate.records.plan_reference import PlanReference
from ablate.study.cells.cell import Cell

FIG_8 = {"table": "fig8_projection_head", "label": "Fig. 8"}
TABLE_1 = {"table": "table1_color_distortion", "label": "Table 1"}


def cell(case: str | None = None, **axes: Any) -> Cell:
    return Cell(axes, case)


def plan_of(references: Sequence[dict[str, Any]], metric: str = "top1") -> PlanFile:
    return PlanFile(
        "mine", "embedded", "d", (), (), metric=metric, references=tuple(PlanReference(**each) for each in references)
    )


def numbers(cells: list[Cell], *of: dict[str, Any], metric: str = "top1") -> list[dict[str, float]]:
    """Metric -> published value of each cell."""
    names = list(dict.fromkeys(name for each in cells for name in each.axes))
    found = published_numbers(plan_of(of, metric), cells, names)
    return [{name: one.value for name, one in found.get(each, {}).items()} for each in cells]


def test_a_row_is_about_the_cell_with_its_values() -> None:
    cells = [cell(head="linear", out_dim=128), cell(head="nonlinear", out_dim="2048"), cell(head="linear", out_dim=3)]
    assert numbers(cells, FIG_8) == [{"top1": 60.9}, {"top1": 64.6}, {}]


def test_an_axis_may_have_another_name_than_its_column_and_none_at_all() -> None:
    cells = [cell(head="linear", dimension=32, seeded=True), cell(head="linear", dimension=32.0, seeded=False)]
    reference = {**FIG_8, "columns": {"dimension": "out_dim", "seeded": False}}
    assert numbers(cells, reference) == [{"top1": 59.9}, {"top1": 59.9}]


def test_rows_are_chosen_by_where_with_a_value_or_one_of_several() -> None:
    cells = [cell(strength=1.0), cell(strength=0.125)]
    for blur in (0, "0", False, [0, 2]):
        reference = {**TABLE_1, "where": {"method": "simclr", "blur": blur}}
        assert numbers(cells, reference) == [{"top1": 63.2}, {"top1": 59.6}]


def test_values_of_cells_may_have_other_names_in_the_table() -> None:
    cells = [cell(policy="strong"), cell(policy="autoaugment")]
    reference = {
        **TABLE_1,
        "where": {"method": "supervised", "blur": False},
        "columns": {"policy": "column"},
        "values": {"policy": {"strong": "1", "autoaugment": "AutoAug"}},
    }
    assert numbers(cells, reference) == [{"top1": 75.7}, {"top1": 77.1}]


def test_a_condition_says_which_cells_a_reference_is_about() -> None:
    cells = [cell(out_dim=2048, head=head) for head in ("none", "linear")]
    assert numbers(cells, {**FIG_8, "cells": "head == 'none'"}) == [{"top1": 50.0}, {}]


def test_cases_have_rows_of_their_own() -> None:
    cells = [cell("no_flip"), cell("other"), cell("no_blur")]
    reference = {"table": "text_numbers", "value": "value", "label": "App. A"}
    items = {"no_flip": {"item": "no_random_flip_top1"}, "no_blur": {"item": "no_blur_top1"}}
    assert numbers(cells, {**reference, "cases": items}) == [{"top1": 63.4}, {}, {"top1": 63.2}]


def test_a_case_is_about_its_own_rows_where_the_others_are_chosen_by_where() -> None:
    cells = [cell(strength=1.0), cell("supervised")]
    cases = {"supervised": {"method": "supervised", "column": "1"}}
    reference = {**TABLE_1, "where": {"method": "simclr", "blur": 0}, "cases": cases}
    assert numbers(cells, reference) == [{"top1": 63.2}, {"top1": 75.7}]


def test_every_evaluation_of_a_cell_has_its_number_unless_a_condition_says_which() -> None:
    cells = [cell(head="none", out_dim=2048, evaluation=each) for each in ("linear", "nearest")]
    assert numbers(cells, FIG_8) == [{"top1": 50.0}, {"top1": 50.0}]
    assert numbers(cells, {**FIG_8, "cells": "evaluation == 'linear'"}) == [{"top1": 50.0}, {}]
    cases = [cell("none", evaluation=each) for each in ("linear", "nearest")]
    of_case = {**FIG_8, "cells": "evaluation == 'linear'", "cases": {"none": {"head": "none"}}}
    assert numbers(cases, of_case) == [{"top1": 50.0}, {}]


def test_an_axis_that_a_cell_lacks_is_not_looked_at() -> None:
    cells = [cell(head="linear", out_dim=32), cell(head="none")]
    assert numbers(cells, FIG_8) == [{"top1": 59.9}, {"top1": 50.0}]


def test_a_cell_that_lacks_an_axis_and_is_like_several_rows_has_no_number() -> None:
    assert numbers([cell(head="linear", out_dim=32), cell(head="linear")], FIG_8) == [{"top1": 59.9}, {}]


def test_several_references_may_be_about_several_numbers_of_a_cell() -> None:
    table = {"table": "table5_norm_temperature", "label": "Table 5"}
    accuracy = {**table, "value": "contrastive_acc", "metric": "contrastive_accuracy", "scale": 0.01}
    cells = [cell(l2_norm=True, temperature=0.05)]
    assert numbers(cells, table, accuracy) == [{"top1": 59.7, "contrastive_accuracy": pytest.approx(0.905)}]
    assert numbers(cells, table, metric="error") == [{"error": 59.7}]


def test_of_several_references_with_a_number_of_a_cell_the_first_one_wins() -> None:
    other = {"table": "table1_color_distortion", "label": "Table 1", "where": {"blur": True, "method": "simclr"}}
    other |= {"columns": {"head": False, "out_dim": False}}
    cells = [cell(head="none", out_dim=2048)]
    assert numbers(cells, FIG_8, other) == [{"top1": 50.0}]
    assert numbers(cells, other, FIG_8) == [{"top1": 64.5}]


def test_a_number_read_off_a_figure_is_shown_as_approximate() -> None:
    none = cell(head="none")
    one = published_numbers(plan_of([{**FIG_8, "scale": 2.0}]), [none], ["head"])[none]["top1"]
    assert one.approximate
    assert (one.shown(), one.err, one.label) == ("about 100.0", 0.4, "Fig. 8")
    weak = cell(column="1/8", method="simclr")
    verified = published_numbers(plan_of([TABLE_1]), [weak], ["column", "method"])[weak]["top1"]
    assert (verified.shown(), verified.approximate, verified.err) == ("59.6", False, None)


def test_several_numbers_for_one_cell_are_a_mistake_that_names_it() -> None:
    with pytest.raises(UserError, match="'table1_color_distortion' has 2 numbers for the cell") as caught:
        numbers([cell(column="1/8")], TABLE_1)
    assert "where = { COLUMN = VALUE }" in str(caught.value)


def test_a_column_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(UserError, match="has no column dimension, methd"):
        numbers([cell(head="none", dimension=3)], {**FIG_8, "where": {"methd": "simclr"}})


def test_rows_without_a_number_are_passed_over() -> None:
    table = {"table": "table7_semi_supervised_top5", "label": "Table 7", "value": "top5_1pct"}
    cells = [cell(method=method, architecture="ResNet-50") for method in ("UDA (w. RandAug)", "Pseudo-label")]
    assert numbers(cells, table) == [{}, {"top1": 51.6}]


def test_an_old_plan_file_has_one_reference_or_none() -> None:
    record: dict[str, Any] = {"study": "s", "profile": "p", "design": "d", "axes": [], "cases": [], "trials": []}
    assert parse_plan({**record, "reference": FIG_8}).references == (PlanReference(**FIG_8),)
    assert parse_plan({**record, "reference": None}).references == parse_plan(record).references == ()
    assert parse_plan({**record, "references": [FIG_8, TABLE_1], "reference": None}).references == (
        PlanReference(**FIG_8),
        PlanReference(**TABLE_1),
    )


def test_the_papers_numbers_stand_in_for_measurements_of_one_seed() -> None:
    axes = (PlanAxis("head", ()), PlanAxis("out_dim", ()))
    paper = PaperCells(axes, (cell(head="none", out_dim=2048), cell("other")))
    one, other = as_measured(published_cells(replace(plan_of([FIG_8]), paper=paper)))
    assert (one.numbers, other.numbers, other.planned) == ({0: {"top1": 50.0}}, {}, 0)
