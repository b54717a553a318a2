"""The differences to a study's baseline: paired by seed, in tables, files, pages and charts."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from ablate.commands.judge import judge
from ablate.judge.baseline import Difference, differences
from ablate.judge.evidence import Evidence, MeasuredCell
from ablate.records.files import Results
from ablate.records.plan_file import PlanAxis, PlanFile
from ablate.report.charts.difference import difference_figure
from ablate.report.findings import findings
from ablate.report.formats import write_report
from ablate.report.page import compose, draw_figures
from ablate.report.reading import read_study
from ablate.report.tables import as_latex, as_markdown, cells_csv, tables
from ablate.study.cells.cell import Baseline, Cell
from tests.records.by_hand import key_of, save_record, write_trial
from tests.report.charts.studied import rows

FULL, COLOR, HEAD = (50.0, 54.0, 55.0, 61.0), (40.0, 45.0, 44.5, 49.0), (51.0, 53.0, 56.5)
"""top-1 by seed; the third cell has no result of the last seed."""
T = {3: 4.302652729911275, 4: 3.182446305284263}
"""Student's t at 97.5 %, by the number of seeds: scipy.stats.t.ppf(0.975, n - 1)."""


def recorded(folder: Path, **declared: Any) -> Results:
    """Three cells of a leave-one-out design with their results."""
    results = Results(folder / "results")
    cells = [{"color": True, "head": True}, {"color": False, "head": True}, {"color": True, "head": False}]
    trials = []
    for number, (axes, values) in enumerate(zip(cells, (FULL, COLOR, HEAD), strict=True)):
        for seed in range(4):
            key = key_of(10 * number + seed)
            trials.append({"key": key, "seed": seed, "axes": axes, "case": None})
            if seed < len(values):
                write_trial(results, key, numbers={"top1": values[seed]})
    axes = [{"name": name, "values": [True, False]} for name in ("color", "head")]
    start = {"color": True, "head": True}
    naming = {"kind": "leave_one_out", "start": start, "labels": {}}
    record = {"study": "mine", "profile": "embedded", "design": "d", "axes": axes, "trials": trials, "cases": []}
    save_record(results, "mine", record | {"naming": naming, "baseline": {"axes": start, "case": None}} | declared)
    return results


def expected(values: tuple[float, ...]) -> tuple[float, float, float]:
    """Mean, half-width and standard deviation of the differences, by hand."""
    paired = [value - full for value, full in zip(values, FULL, strict=False)]
    return fmean(paired), T[len(paired)] * stdev(paired) / math.sqrt(len(paired)), stdev(paired)


def test_a_difference_is_of_the_seeds_that_both_cells_have(tmp_path: Path) -> None:
    reading = read_study(recorded(tmp_path), "mine", None)
    full, head, color = reading.differences
    assert full is None
    for found, values in ((color, COLOR), (head, HEAD)):
        assert found is not None
        assert found.interval is not None
        mean, half, sd = expected(values)
        assert (found.mean, found.sd, len(found.seeds)) == (pytest.approx(mean), pytest.approx(sd), len(values))
        assert found.interval == (pytest.approx(mean - half), pytest.approx(mean + half))


def test_a_page_has_the_verdict_on_a_claim_that_is_decided(tmp_path: Path) -> None:
    claim = {"id": "A1", "text": "Color matters.", "kind": "greater", "left": "color and head", "right": "not color"}
    page = write_report(recorded(tmp_path, claims=[claim]), "mine", None, tmp_path / "reports").read_text()
    card = page[page.index("A1: Color matters.") :]
    assert 'class="pill supported"' in card[: card.index("</article>")]


def test_every_output_has_the_differences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = recorded(tmp_path)
    reading = read_study(results, "mine", None)
    mean, half, sd = expected(COLOR)
    shown = f"{mean:+.1f} \u00b1 {half:.1f} ({sd:.2f}; 4)"
    text = as_markdown(tables(reading))
    assert shown in text
    assert "Difference to full method, paired by seed" in text
    assert shown.replace("\u00b1", r"$\pm$") in as_latex(tables(reading))
    rows = list(csv.DictReader(io.StringIO(cells_csv(reading.measured))))
    assert [row["difference_seeds"] for row in rows] == ["", "3", "4"]
    assert float(rows[2]["difference"]) == pytest.approx(mean)
    assert float(rows[2]["difference_low"]) == pytest.approx(mean - half)
    figures = draw_figures(reading)
    (chart,) = (each for each in figures if each.name == "difference")
    assert chart.rows[0] == (
        "without color",
        f"{mean:+.1f}",
        f"{mean - half:+.1f} to {mean + half:+.1f}",
        f"{sd:.2f}",
        "4",
    )
    page, _ = compose(reading, [chart], None, "files", "records")
    assert "difference to full method" in page
    assert f"{mean - half:+.1f} to {mean + half:+.1f}; sd {sd:.2f}; 4 seeds".replace("-", "\u2212") in page
    judge("mine", json=True, results=results.root)
    printed = json.loads(capsys.readouterr().out)
    assert printed["baseline"] == "full method"
    assert [each["cell"] for each in printed["differences"]] == ["without head", "without color"]
    assert printed["differences"][1]["difference"] == pytest.approx(mean)


def test_the_differences_are_the_main_chart_largest_first_unless_the_study_has_a_chart_of_its_own(
    tmp_path: Path,
) -> None:
    figures = draw_figures(read_study(recorded(tmp_path / "a"), "mine", None))
    assert [figure.name for figure in figures] == ["difference", "measured"]
    drawn = rows(figures[0].chart.to_dict())
    assert [(row["label"], row["shown"], row["about"]) for row in drawn] == [
        ("without color", f"\u2212{-expected(COLOR)[0]:.1f}", False),
        ("without head", f"{expected(HEAD)[0]:+.1f}", True),
    ]
    assert "Largest difference to full method:" in figures[0].chart.title.text[0]
    own = draw_figures(read_study(recorded(tmp_path / "b", chart={"form": "bars", "x": "color"}), "mine", None))
    assert [figure.name for figure in own] == ["measured", "difference"]


def test_the_chart_of_differences_says_what_a_design_cannot_show_in_place_of_a_second_chart(tmp_path: Path) -> None:
    declared = {"rule": {"kind": "leave_one_out"}}
    figures = draw_figures(read_study(recorded(tmp_path, **declared), "mine", None))
    assert [figure.name for figure in figures] == ["difference", "measured"]
    assert "Removing a part from the full method shows its effect only in that context" in figures[0].caption


def test_a_baseline_of_ones_own_leaves_the_chart_of_what_parts_contribute(tmp_path: Path) -> None:
    own = {"axes": {"color": False, "head": True}, "case": None}
    figures = draw_figures(read_study(recorded(tmp_path, rule={"kind": "leave_one_out"}, baseline=own), "mine", None))
    assert [figure.name for figure in figures] == ["difference", "measured", "attribution"]
    assert "Removing a part" not in figures[0].caption
    assert "Removing a part" in figures[2].caption


def test_the_chart_of_differences_explains_the_looks_that_it_has(tmp_path: Path) -> None:
    reading = read_study(recorded(tmp_path), "mine", None)
    color, head = (each for each in reading.differences if each and each.values)

    def caption(*shown: Difference) -> str:
        found = [*shown, *[None] * (3 - len(shown))]
        figure = difference_figure(reading.measured, found)
        assert figure is not None
        return figure.caption

    if color.mean and color.mean > -5:
        color, head = head, color
    one = replace(color, seeds=color.seeds[:1], values=color.values[:1])
    gain = replace(color, values=tuple(-value for value in color.values))
    assert caption(color, head).endswith("Hollow: the interval includes 0; orange: below the baseline.")
    assert caption(one).endswith("Hollow: there is no interval.")
    assert caption(one, head).endswith("Hollow: the interval includes 0, or there is no interval.")
    assert caption(color, gain).endswith("Orange: below the baseline; blue: above the baseline.")


def test_one_seed_in_common_gives_differences_without_intervals_and_none_gives_dashes() -> None:
    for own, shown in ((COLOR[:1], ["-10.0", "\u2013", "\u2013", "1"]), ((), None)):
        cells = tuple(
            MeasuredCell(
                cell, cell.label, cell.label, "top1", {seed: {"top1": value} for seed, value in enumerate(values)}
            )
            for cell, values in ((Cell({"color": True}), FULL[:1]), (Cell({"color": False}), own))
        )
        axes = (PlanAxis("color", (True, False)),)
        plan = PlanFile("mine", "embedded", "d", axes, (), baseline=Baseline({"color": True}))
        evidence = Evidence(plan, cells)
        full, color = found = differences(plan, cells)
        assert full is None
        assert color is not None
        assert color.interval is color.sd is None
        figure = difference_figure(evidence, found)
        assert (figure and [*figure.rows[0][1:]]) == shown
        if figure:
            assert "Intervals need two seeds that a cell and its baseline share; no cell has them." in figure.summary
        else:
            assert color.texts(evidence) == ("\u2013", "\u2013")


def test_a_study_without_a_baseline_has_the_columns_that_it_had(tmp_path: Path) -> None:
    reading = read_study(recorded(tmp_path, naming=None, baseline=None), "mine", None)
    assert differences(reading.judged.plan, reading.measured.cells) == (None, None, None)
    assert "ifference" not in as_markdown(tables(reading))
    assert "difference" not in cells_csv(reading.measured)


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        ({"color": False, "head": True}, "without color: +10.4 points (95 % interval +8.4 to +12.4)"),
        (
            {"color": True, "head": False},
            "without head: -0.5 points (95 % interval -3.8 to +2.8, which includes 0)",
        ),
        ({"color": True, "head": True}, None),
    ],
)
def test_the_best_cell_is_compared_with_the_baseline(
    tmp_path: Path, baseline: dict[str, bool], said: str | None
) -> None:
    """By hand, with Student's t: FULL - COLOR is 10, 9, 10.5, 12; FULL - HEAD is -1, 1, -1.5."""
    results = recorded(tmp_path, baseline={"axes": baseline, "case": None})
    found = [each for each in findings(read_study(results, "mine", None).measured) if "compared with" in each]
    assert found == ([f"Best compared with {said}."] if said else [])
