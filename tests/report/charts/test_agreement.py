"""Evidence against published."""

from dataclasses import replace
from pathlib import Path

from ablate.judge.evidence import Evidence
from ablate.report.charts.agreement import agreement_figure
from ablate.report.charts.figures import encoding_of
from ablate.report.reading import read_study
from ablate.report.render.figure import Figure
from tests.report.test_page import like_the_paper, results_with


def figure_of(measured: Evidence) -> Figure | None:
    return agreement_figure(measured, encoding_of(measured))


def test_the_title_has_spearmans_rank_correlation_and_the_points_both_numbers(tmp_path: Path) -> None:
    upside_down = {cell: 100 - value for cell, value in like_the_paper().items() if value is not None}
    figure = figure_of(read_study(results_with(tmp_path, upside_down), "pairs", None).measured)
    assert figure is not None
    chart = figure.chart.to_dict()
    assert chart["title"]["text"] == ["The order of the cells is reversed"]
    assert chart["title"]["subtitle"] == ["Rank correlation \u22121.00 (Spearman), 9 cells"]
    (drawn,) = (each for each in chart["datasets"].values() if len(each) == 9)
    assert {row["label"]: (row["value"], row["paper"]) for row in drawn}["crop + color"] == (100 - 56.3, 56.3)
    assert {row["name"] for row in drawn} == {"", "crop + color", "blur + blur"}


def test_the_title_finds_no_order_in_fewer_than_five_cells(tmp_path: Path) -> None:
    measured = read_study(results_with(tmp_path, like_the_paper()), "pairs", None).measured
    titles = []
    for count in (4, 5):
        figure = figure_of(replace(measured, cells=measured.grid[:count]))
        assert figure is not None
        titles.append(figure.chart.to_dict()["title"]["text"])
    assert titles == [["Measured against published values"], ["The cells rank similarly to the published ones"]]


def test_there_is_no_such_chart_where_the_paper_has_nothing(tmp_path: Path) -> None:
    measured = read_study(results_with(tmp_path, like_the_paper()), "pairs", None).measured
    bare = replace(measured, cells=tuple(replace(cell, published={}) for cell in measured.cells))
    assert figure_of(bare) is None


def test_of_long_names_that_would_cover_one_another_one_is_shown(tmp_path: Path) -> None:
    """Of the same numbers; short names have room."""
    numbers = {cell: 50.0 + (value or 0.0) / 100 for cell, value in like_the_paper().items()}
    numbers[min(numbers, key=lambda cell: numbers[cell])] = 90.0  # so that the others have almost the same height
    measured = read_study(results_with(tmp_path, numbers), "pairs", None).measured
    long = tuple(replace(cell, label=f"{cell.label} {'of a long name ' * 2}") for cell in measured.cells)
    shown = []
    for each in (measured, replace(measured, cells=long)):
        figure = figure_of(each)
        assert figure is not None
        (drawn,) = (each for each in figure.chart.to_dict()["datasets"].values() if len(each) == 9)
        shown.append(sum(bool(row["name"]) for row in drawn))
    assert shown[0] > shown[1] >= 1
