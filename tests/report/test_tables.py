import csv
import io
import re
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.report.formats import read_formats, write_formats
from ablate.report.reading import Reading, read_study
from ablate.report.tables import as_latex, as_markdown, cells_csv, tables
from tests.report.test_page import HOSTILE, like_the_paper, results_with


def reading(folder: Path, seeds: int = 1, title: str = "Pairs") -> Reading:
    return read_study(results_with(folder, like_the_paper(), seeds=seeds, title=title), "pairs", None)


def test_a_mean_stands_with_half_of_its_interval_and_the_papers_number_beside_it(tmp_path: Path) -> None:
    text = as_markdown(tables(reading(tmp_path, seeds=2)))
    # two seeds one apart: 12.706 (t of one degree of freedom at 97.5 %) times 0.7071 / sqrt(2)
    assert "| crop | crop | 33.6 \u00b1 6.4 | 2 | 33.1 |" in text
    assert "half the width of the mean's 95 % interval" in text


def test_only_the_highest_mean_is_in_bold_in_the_list_and_in_the_grid(tmp_path: Path) -> None:
    found = tables(reading(tmp_path))
    assert re.findall(r"\*\*([\d.]+)\*\*", as_markdown(found)) == ["56.3", "56.3"]
    assert re.findall(r"\\textbf\{([\d.]+)\}", as_latex(found)) == ["56.3", "56.3"]


def test_a_grid_has_the_first_axis_downwards_and_the_second_across(tmp_path: Path) -> None:
    grid = tables(reading(tmp_path))[1]
    assert [column.name for column in grid.columns] == ["first / second", "crop", "color", "blur"]
    assert grid.rows[1] == ("color", "55.8", "18.8", "16.5")


def test_every_row_of_latex_has_the_columns_that_the_table_declares(tmp_path: Path) -> None:
    text = as_latex(tables(reading(tmp_path, title=HOSTILE + " & \\\\ % _ {")))
    for kinds, body in re.findall(r"\\begin\{tabular\}\{([lrp]+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert rows
        assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(kinds)}
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == text.count(r"\toprule") == 2


def test_hostile_text_is_one_cell_of_markdown(tmp_path: Path) -> None:
    text = as_markdown(tables(reading(tmp_path, title=HOSTILE)))
    assert "<script" not in text.replace(r"\<", "")
    rows = [line for line in text.splitlines() if line.startswith("| crop | crop |")]
    assert [len(re.split(r"(?<!\\)\|", row)) - 2 for row in rows] == [5]


def test_csv_has_every_digit_and_nothing_where_nothing_is_known(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(cells_csv(reading(tmp_path).measured))))
    assert len(rows) == 9
    assert rows[0]["mean"] == "33.1"
    assert rows[0]["low"] == ""


def test_each_format_leaves_its_files(tmp_path: Path) -> None:
    results = results_with(tmp_path, like_the_paper())
    formats = read_formats(["md,latex", "csv", "pdf"])
    written = write_formats(results, read_study(results, "pairs", None), tmp_path / "reports", formats)
    names = [path.relative_to(tmp_path / "reports").as_posix() for path in written]
    assert names[:4] == ["pairs/tables.md", "pairs/tables.tex", "pairs/cells.csv", "pairs/claims.csv"]
    assert (tmp_path / "reports/pairs/measured.pdf").read_bytes().startswith(b"%PDF")
    assert not (tmp_path / "reports/pairs.html").exists()
    assert all(path.is_file() for path in written)


def test_an_unknown_format_is_told_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match="unknown format 'latx'; did you mean 'latex'"):
        read_formats(["md,latx"])
