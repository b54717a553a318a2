"""Measured against published."""

from dataclasses import replace
from pathlib import Path

from ablate.report.charts.agreement import agreement_figure
from ablate.report.charts.layout import layout
from ablate.report.figure import Figure
from ablate.report.measured import Measured, measure
from tests.report.charts.studied import rows
from tests.report.test_page import like_the_paper, results_with


def figure_of(measured: Measured) -> Figure | None:
    return agreement_figure(measured, layout({}, [cell.axes for cell in measured.grid]))


def test_the_title_has_spearmans_rank_correlation_and_the_points_both_numbers(tmp_path: Path) -> None:
    upside_down = {cell: 100 - value for cell, value in like_the_paper().items() if value is not None}
    figure = figure_of(measure(results_with(tmp_path, upside_down), "pairs", None))
    assert figure is not None
    chart = figure.chart.to_dict()
    assert chart["title"] == "Rank correlation -1.00 (Spearman), 9 cells"
    drawn = rows(chart)
    assert {row["label"]: (row["value"], row["paper"]) for row in drawn}["crop, color"] == (100 - 56.3, 56.3)
    assert {row["name"] for row in drawn} == {"", "crop, color", "blur, blur"}


def test_there_is_no_such_chart_where_the_paper_has_nothing(tmp_path: Path) -> None:
    measured = measure(results_with(tmp_path, like_the_paper()), "pairs", None)
    bare = replace(measured, cells=tuple(replace(cell, paper=None) for cell in measured.cells))
    assert figure_of(bare) is None
