from dataclasses import replace
from pathlib import Path
from typing import Any

from ablate.judge.described import Described
from ablate.judge.statistics.comparisons import Compared
from ablate.judge.statistics.describe import Estimate, Sensitivity
from ablate.report.charts.forest import MOST, forest_figure, forests_of, nearest_to_deciding
from ablate.report.formats import write_report
from tests.judge.test_described import describer, right
from tests.judge.test_verdict import STUDY


def compared(effect: float, decides: bool = False, sd: float | None = 2.0) -> Compared:
    values = (effect - 1, effect, effect + 1)
    limits = (effect - 3, effect + 3)
    return Compared(f"a - {effect:g}", 0.0, (0, 1, 2), (), values, effect, sd, 0.1, 0.9, limits, decides, 1.0)


def test_of_many_comparisons_those_nearest_to_the_deciding_one_are_shown(tmp_path: Path) -> None:
    judged, _ = describer(tmp_path, right())
    decision = judged.verdicts[0].decision
    many = tuple(compared(float(effect), decides=effect == 40) for effect in range(50))
    shown = nearest_to_deciding(replace(decision, comparisons=many))
    assert (len(shown), 40 in shown) == (MOST, True)
    assert max(abs(each - 40) for each in shown) <= 11
    assert nearest_to_deciding(replace(decision, comparisons=many[:5])) == [0, 1, 2, 3, 4]
    signs = tuple(
        replace(compared((-1.0) ** effect * effect, decides=effect == 49), within=True) for effect in range(50)
    )
    assert nearest_to_deciding(replace(decision, comparisons=signs)) == list(range(30, 50))


def test_the_chart_has_every_seed_the_limits_and_the_bound_of_each_comparison(tmp_path: Path) -> None:
    judged, describe = describer(tmp_path, right())
    best, *_ = forests_of(judged, describe)
    spec = best.chart.to_dict()
    (rows,) = spec["datasets"].values()
    described = describe.describe(judged.verdicts[0])
    assert [row["seeds"] for row in rows] == [list(each.compared.values) for each in described]
    assert [(row["low"], row["high"]) for row in rows] == [each.compared.interval for each in described]
    assert {row["bound"] for row in rows} == {0.0}
    assert [row["decides"] for row in rows].count(True) == 1
    low, high = spec["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert all(low < number < high for row in rows for number in (*row["seeds"], row["low"], row["high"], row["bound"]))
    assert "2 of 2 means above their bounds. Decides: " in best.summary
    assert best.opened


def test_the_table_names_what_describes_and_leaves_out_what_nobody_has(tmp_path: Path) -> None:
    judged, describe = describer(tmp_path, right())
    best, *_ = forests_of(judged, describe)
    assert {"P(improvement)", "seed correlation", "test images", "standardized", "pooled p"} <= set(best.columns)
    assert all(len(row) == len(best.columns) for row in best.rows)
    bare = Described(compared(1.0), None, Estimate(1.0, 0.0, 2.0), Sensitivity(None, None))
    figure = forest_figure(judged.verdicts[0], [bare], percent=True)
    assert figure is not None
    assert figure.columns == ("comparison", "effect", "limits", "bound", "seeds", "p above", "p below", "quartile mean")
    assert figure.rows[0][1:5] == ("+1.0", "[-2.0, 4.0]", "0", "3")


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    judged, describe = describer(tmp_path, right())
    verdict = judged.verdicts[0]
    every = tuple(compared(float(effect), decides=effect == 3) for effect in range(24))
    verdict = replace(verdict, decision=replace(verdict.decision, comparisons=every))
    shown = describe.describe(verdict, nearest_to_deciding(verdict.decision))
    figure = forest_figure(verdict, shown, percent=True)
    assert figure is not None
    assert "The 20 nearest to deciding; 4 others left out." in figure.caption
    assert not figure.opened
    one = replace(every[0], seeds=(0, 2), left_out=(1,), values=(1.0, 2.0))
    described: Any = [replace(shown[0], compared=one), *shown[1:]]
    again = forest_figure(verdict, described, percent=True)
    assert again is not None
    assert again.rows[0][4] == "2 (without 1)"


def test_the_page_has_a_forest_plot_of_each_claim_from_three_seeds_on(tmp_path: Path) -> None:
    _, describe = describer(tmp_path, right(3), text=STUDY)
    page = write_report(describe.results, "mine", None, tmp_path / "reports").read_text()
    assert 'id="chart-claim-A1" tabindex="0" role="img" aria-label="2 of 2 means' in page
    assert 'id="spec-claim-A1"' in page
    assert (tmp_path / "reports" / "mine" / "claim-A1.svg").exists()
    (tmp_path / "two").mkdir()
    assert forests_of(*describer(tmp_path / "two", right(2))) == []
