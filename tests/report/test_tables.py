import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.report.formats import read_formats, write_formats
from ablate.report.reading import Reading, read_study
from ablate.report.tables import Column, Table, as_latex, as_markdown, cells_csv, tables
from tests.records.by_hand import key_of, write_plan_of, write_trial
from tests.report.test_measured import study
from tests.report.test_page import HOSTILE, like_the_paper, results_with

CLAIMS = [
    {"id": "A1", "kind": "best", "is": "first == 'crop'", "text": "Crop is the best first.", "source": "section 3.1"},
    {"id": "A_2", "kind": "monotone", "along": "first", "text": "It is so, and not otherwise.", "source": "Fig. 5"},
]


def reading(folder: Path, seeds: int = 1, title: str = "Pairs", claims: Sequence[dict[str, Any]] = ()) -> Reading:
    return read_study(results_with(folder, like_the_paper(), seeds=seeds, title=title, claims=claims), "pairs", None)


def test_a_mean_stands_with_half_of_its_interval_and_the_papers_number_beside_it(tmp_path: Path) -> None:
    text = as_markdown(tables(reading(tmp_path, seeds=2)))
    # two seeds one apart: 12.706 (t of one degree of freedom at 97.5 %) times 0.7071 / sqrt(2)
    assert "| crop | crop | 33.6 \u00b1 6.4 | 2 | 33.1 |" in text
    assert "half-width of its 95 % interval" in text


def test_only_the_highest_mean_is_in_bold_in_the_list_and_in_the_grid(tmp_path: Path) -> None:
    found = tables(reading(tmp_path))
    assert re.findall(r"\*\*([\d.]+)\*\*", as_markdown(found)) == ["56.3", "56.3"]
    assert re.findall(r"\\textbf\{([\d.]+)\}", as_latex(found)) == ["56.3", "56.3"]


def test_a_grid_has_the_first_axis_downwards_and_the_second_across(tmp_path: Path) -> None:
    grid = tables(reading(tmp_path))[1]
    assert [column.name for column in grid.columns] == ["first / second", "crop", "color", "blur"]
    assert grid.rows[1] == ("color", "55.8", "18.8", "16.5")


def test_every_row_of_latex_has_the_columns_that_the_table_declares(tmp_path: Path) -> None:
    text = as_latex(tables(reading(tmp_path, title=HOSTILE + " & \\\\ % _ {", claims=CLAIMS)))
    for kinds, body in re.findall(r"\\begin\{tabular\}\{(.*?)\}\n(.*?)\\end\{tabular\}", text, re.DOTALL):
        columns = re.sub(r">\{\S+?\}p\{\S+?\}", "p", kinds)
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert rows
        assert re.fullmatch("[lrp]+", columns)
        assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(columns)}
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == text.count(r"\toprule") == 3


LONG = Table("tab:long", "Many rows.", (Column("x"), Column("y", right=True)), tuple((str(x), "1") for x in range(120)))

WIDE = Table("tab:wide", "Many columns.", tuple(Column("color", right=True) for _ in range(8)),
             (("cutout", *["63.5 \u00b1 1.5"] * 7),) * 7, best=frozenset({(3, 4)}))  # fmt: skip


def test_a_table_of_several_pages_has_its_head_on_each_and_its_caption_and_label_once() -> None:
    text = as_latex([LONG])
    first, last = text.index(r"\endfirsthead"), text.index(r"\endhead")
    assert text.count(r"\caption{") == text.count(r"\label{") == 1
    assert text.index(r"\label{") < first < last
    assert text[:first].count("x & y") == text[first:last].count("x & y") == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex (Debian: texlive-latex-recommended)")
def test_latex_typesets_every_table_within_the_width_of_the_text(tmp_path: Path) -> None:
    hostile = tables(reading(tmp_path / "hostile", title=HOSTILE + " & \\\\ % _ {", claims=CLAIMS))
    judged = tables(reading(tmp_path / "judged", seeds=3, claims=CLAIMS))
    written = as_latex([*hostile, *(replace(table, label=f"{table.label}-2") for table in judged), LONG, WIDE])
    packages = re.findall(r"^% (\\usepackage.*)$", written, re.MULTILINE)
    around = ("\\documentclass{article}", *packages, "\\begin{document}", written, "\\end{document}")
    (tmp_path / "main.tex").write_text("\n".join(around), encoding="utf-8")
    for _ in range(2):  # the second time with the labels of the first
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
        log = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace").stdout
    assert "Output written on main.pdf" in log, log
    assert not re.findall(r"^(?:LaTeX Warning|Overfull).*$", log, re.MULTILINE), log


def test_hostile_text_is_one_cell_of_markdown(tmp_path: Path) -> None:
    text = as_markdown(tables(reading(tmp_path, title=HOSTILE)))
    assert "<script" not in text.replace(r"\<", "")
    rows = [line for line in text.splitlines() if line.startswith("| crop | crop |")]
    assert [len(re.split(r"(?<!\\)\|", row)) - 2 for row in rows] == [5]


def test_csv_has_every_digit_and_empty_fields_for_unknown_values(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(cells_csv(reading(tmp_path).measured))))
    assert len(rows) == 9
    assert rows[0]["mean"] == "33.1"
    assert rows[0]["low"] == ""


def test_an_axis_with_the_name_of_another_column_has_a_column_of_its_own(tmp_path: Path) -> None:
    results = Results(tmp_path)
    names = ("mean", "low", "seeds", "trials", "paper", "size")
    trials = [{"axes": dict.fromkeys(names, 10 + number), "case": None, "seed": 0, "key": key_of(number)}
              for number in range(2)]  # fmt: skip
    for trial, score in zip(trials, (1.5, 2.5), strict=True):
        write_trial(results, trial["key"], numbers={"seeds": score})
    write_plan_of(results, trials, metric="seeds")
    found = read_study(results, "mine", None)
    header, *rows = csv.reader(io.StringIO(cells_csv(found.measured)))
    assert len(header) == len(set(header))
    row = dict(zip(header, rows[0], strict=True))
    assert (row["mean"], row["axis.mean"], row["size"], row["trials"], row["axis.trials"]) == (
        "1.5", "10", "10", "1", "10",
    )  # fmt: skip
    columns = [column.name for column in tables(found)[0].columns]
    assert columns == ["mean", "low", "axis.seeds", "trials", "paper", "size", "metric.seeds", "seeds"]


def test_each_format_writes_its_files(tmp_path: Path) -> None:
    results = results_with(tmp_path, like_the_paper())
    formats = read_formats(["md,latex", "csv", "pdf"])
    written = write_formats(results, read_study(results, "pairs", None), tmp_path / "reports", formats)
    names = [path.relative_to(tmp_path / "reports").as_posix() for path in written]
    assert names[:4] == ["pairs/tables.md", "pairs/tables.tex", "pairs/cells.csv", "pairs/claims.csv"]
    assert (tmp_path / "reports/pairs/measured.pdf").read_bytes().startswith(b"%PDF")
    assert not (tmp_path / "reports/pairs.html").exists()
    assert all(path.is_file() for path in written)


def test_an_unknown_format_is_an_error_that_names_the_nearest_one() -> None:
    with pytest.raises(UserError, match="unknown format 'latx'; did you mean 'latex'"):
        read_formats(["md,latx"])


def test_the_highest_value_of_a_metric_that_may_be_an_error_is_not_in_bold(tmp_path: Path) -> None:
    trials = [{"axes": {"head": head}, "numbers": {"error (%)": value}} for head, value in (("a", 3.21), ("b", 12.9))]
    text = as_markdown(tables(read_study(study(tmp_path, trials, metric="error (%)", reference=False), "mine", None)))
    assert "| a | 3.21 | 1 |" in text
    assert "bold" not in text
    assert "**" not in text


@pytest.mark.parametrize(("values", "shown"), [((0.712, 0.768), "| a | 0.712 | 1 |"), ((71.2, 0.8), "| b | 0.8 | 1 |")])
def test_a_top1_of_another_trainer_is_in_percent_only_if_it_can_be(
    tmp_path: Path, values: tuple[float, float], shown: str
) -> None:
    trials = [{"axes": {"head": head}, "numbers": {"top1": value}} for head, value in zip("ab", values, strict=True)]
    results = study(tmp_path, trials, reference=False)
    (path,) = (results.root / "studies").rglob("plan-*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"trainer": "imported"}))
    text = as_markdown(tables(read_study(results, "mine", None)))
    assert shown in text
    assert ("top-1 (%)" in text) == (values[0] > 1)
    assert "linear" not in text
