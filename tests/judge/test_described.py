"""What is shown beside a verdict, from records to numbers."""

import csv
import io
import json
import math
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import polars
import pytest
from scipy.stats import mannwhitneyu, pearsonr, t

from ablate.judge.comparison_rows import numbers_of, rows_of, written
from ablate.judge.described import Describer, weights_of
from ablate.judge.statistics.image_variance import variance_parts
from ablate.judge.study import judge_study
from ablate.records.correct import packed
from ablate.records.files import write_json
from ablate.report.charts.forest import forests_of
from ablate.report.headline import headline
from tests.judge.test_verdict import STUDY, write_results, write_study
from tests.records.by_hand import key_of, write_trial

IMAGES = 80
HEADS = ("none", "linear", "nonlinear")
MORE = """
[[claims]]
id = "A2"
text = "A linear head is like none."
source = "us"
kind = "equivalent"
left = "head == 'linear'"
right = "head == 'none'"
margin = 30

[[claims]]
id = "A3"
text = "The nonlinear head is better than the mean of the others."
source = "us"
kind = "greater"
left = "head == 'nonlinear'"
right = "head != 'nonlinear'"

[[claims]]
id = "A4"
text = "The linear head has at least 20 %."
source = "us"
kind = "at_least"
cells = "head == 'linear'"
value = 20
"""


def right(seeds: int = 4) -> dict[str, np.ndarray]:
    """Head -> which images are right [seed, image]; some images are easier for all."""
    random = np.random.default_rng(8)
    easy = random.normal(0, 1, IMAGES)
    return {
        head: easy + 0.3 * place + 0.2 * random.normal(size=(seeds, 1)) + random.normal(0, 0.5, (seeds, IMAGES)) > 0
        for place, head in enumerate(HEADS)
    }


def describer(
    folder: Path, found: dict[str, np.ndarray], kept: bool = True, text: str = STUDY + MORE
) -> tuple[Any, Any]:
    """The verdicts on a study whose trials have these right images, and what describes them."""
    tops = {head: [100 * float(row.mean()) for row in rows] for head, rows in found.items()}
    results = write_results(folder, write_study(folder, text=text), tops)
    for place, rows in enumerate(found.values()):
        for seed, row in enumerate(rows if kept else ()):
            path = results.trial(key_of(100 * place + seed)).result
            write_json(path, json.loads(path.read_text()) | {"correct": {"top1": packed(row).model_dump()}})
    judged = judge_study(results, str(folder / "mine.toml"))
    return judged, Describer(judged.evidence, results)


def test_a_difference_of_two_cells_is_described_by_the_values_of_both(tmp_path: Path) -> None:
    found = right()
    judged, describe = describer(tmp_path, found)
    of_linear = next(each for each in describe.describe(judged.verdicts[0]) if each.compared.label.endswith("linear"))
    left, other = (100 * found[head].mean(axis=1) for head in ("nonlinear", "linear"))
    apart = left - other
    assert of_linear.compared.values == pytest.approx(apart)
    assert of_linear.improvement.value == pytest.approx(mannwhitneyu(left, other).statistic / 16)
    assert of_linear.correlation == pytest.approx(pearsonr(left, other).statistic)
    assert of_linear.interquartile_mean.value == pytest.approx(np.sort(apart)[1:3].mean())
    scaled = t(3, loc=apart.mean(), scale=apart.std(ddof=1) / 2)
    assert of_linear.posterior == pytest.approx((1.0, scaled.cdf(-1), scaled.cdf(1) - scaled.cdf(-1), scaled.sf(1)))
    assert 0 < of_linear.sensitivity.pooled < 1


def test_the_test_images_part_of_the_variance_is_that_of_the_differences_of_each_image(tmp_path: Path) -> None:
    found = right()
    judged, describe = describer(tmp_path, found)
    best, like, above, (of_one,) = (describe.describe(verdict) for verdict in judged.verdicts)
    by_hand = [[100.0 * (int(a) - int(b)) for a, b in zip(one, two, strict=True)]
               for one, two in zip(found["nonlinear"], found["linear"], strict=True)]  # fmt: skip
    (of_linear,) = (each for each in best if each.compared.label.endswith("linear"))
    assert of_linear.variance == variance_parts(np.array(by_hand))
    assert fmean(map(fmean, by_hand)) == pytest.approx(of_linear.compared.effect)
    mean = 100 * (found["nonlinear"] - (1.0 * found["linear"] + found["none"]) / 2)
    (of_mean,) = above
    assert vars(of_mean.variance) == pytest.approx(vars(variance_parts(mean)))
    assert of_mean.improvement is not None
    assert all(each.variance is not None for each in like)
    assert of_one.variance == variance_parts(100.0 * found["linear"])
    assert of_one.improvement is None


def test_an_equivalence_is_described_with_its_own_margin(tmp_path: Path) -> None:
    judged, describe = describer(tmp_path, right())
    for each in describe.describe(judged.verdicts[1]):
        assert each.improvement is not None
        assert each.compared.within
        assert each.posterior.rope == 30


MIXED = """
[[claims]]
id = "A2"
text = "Nonlinear is better than none by 3, like linear within 30, and linear like none within 20."
kind = "all"

[[claims.parts]]
kind = "greater"
left = "head == 'nonlinear'"
right = "head == 'none'"
margin = 3

[[claims.parts]]
kind = "equivalent"
left = "head == 'nonlinear'"
right = "head == 'linear'"
margin = 30

[[claims.parts]]
kind = "equivalent"
left = "head == 'linear'"
right = "head == 'none'"
margin = 20
"""


def test_each_comparison_of_a_claim_is_described_as_its_own_part_asks(tmp_path: Path) -> None:
    judged, describe = describer(tmp_path, right(), text=STUDY + MIXED)
    above, like, other = map(numbers_of, describe.describe(judged.verdicts[1]))
    assert [each["within"] for each in (above, like, other)] == [False, True, True]
    assert [each["posterior"]["rope"] for each in (above, like, other)] == [1.0, 30.0, 20.0]
    hedges = math.gamma(3 / 2) / math.gamma(1) / math.sqrt(3 / 2)  # with three degrees of freedom
    for each, bound in ((above, above["bound"]), (like, 0.0), (other, 0.0)):
        apart = np.array(each["values"])
        assert each["standardized"] == pytest.approx(hedges * (apart.mean() - bound) / apart.std(ddof=1))
    assert above["sensitivity"]["pooled"] is not None
    assert like["sensitivity"]["pooled"] is None
    _, figure = forests_of(judged, describe)
    place = figure.columns.index("bound")
    assert [row[place] for row in figure.rows] == ["0", "\u00b130", "\u00b120"]  # a lead counts at the paper's scale
    assert "3 of 3 means above or within their bounds" in figure.summary
    (ropes,) = (place for place, name in enumerate(figure.columns) if name == "P(below, within, above \u00b1r)")
    assert [row[ropes].rpartition("(")[2] for row in figure.rows] == ["r = 1)", "r = 30)", "r = 20)"]


def test_comparisons_of_metrics_in_other_units_share_no_variance_and_no_points(tmp_path: Path) -> None:
    heads = ("none", "linear", "nonlinear")
    text = STUDY + 'lowest = true\nmetrics = ["loss", "seconds"]\n'
    random, path = np.random.default_rng(0), write_study(tmp_path, text=text)
    results = write_results(tmp_path, path, {head: [50.0] * 4 for head in heads})
    values = {name: scale * (place - random.normal(size=(3, 4)) / 9) for place, (name, scale) in
              enumerate((("loss", 0.01), ("seconds", 100.0)))}  # fmt: skip
    for cell, seed in np.ndindex(3, 4):
        numbers = {"top1": 50.0} | {name: float(rows[cell, seed]) for name, rows in values.items()}
        write_trial(results, key_of(100 * cell + seed), numbers=numbers)
    judged = judge_study(results, str(path))
    shown = Describer(judged.evidence, results).describe(judged.verdicts[0])
    for metric, scale in (("loss", 0.01), ("seconds", 100.0)):
        rows = [np.array(each.compared.values) for each in shown if each.compared.metrics == {metric}]
        assert len(rows) == 2
        pooled = math.sqrt(sum(row.var(ddof=1) for row in rows) / 2)
        expected = [t.sf(row.mean() * 2 / pooled, 6) for row in rows]
        found = [each.sensitivity.pooled for each in shown if each.compared.metrics == {metric}]
        assert found == pytest.approx(expected), scale
    (figure,) = forests_of(judged, Describer(judged.evidence, results))
    assert "percentage points" not in json.dumps(figure.chart.to_dict())
    assert "points" not in headline(judged.evidence, judged).answer


@pytest.mark.parametrize("change", ["not kept", "other data", "other count", "one lacks it"])
def test_without_one_test_set_of_all_trials_nothing_is_said_of_test_images(tmp_path: Path, change: str) -> None:
    found = right()
    if change == "other count":
        found["none"] = found["none"][:, :40]
    judged, describe = describer(tmp_path, found, kept=change != "not kept")
    trial = describe.results.trial(key_of(0))
    if change == "other data":
        record = json.loads(trial.trial.read_text())
        write_json(trial.trial, record | {"config": record["config"] | {"data": {"name": "others"}}})
        judged = judge_study(describe.results, str(tmp_path / "mine.toml"))
        describe = Describer(judged.evidence, describe.results)
    if change == "one lacks it":
        record = json.loads(trial.result.read_text())
        write_json(trial.result, {name: value for name, value in record.items() if name != "correct"})
    by_label = {each.compared.label.split()[-1]: each.variance for each in describe.describe(judged.verdicts[0])}
    assert by_label["none"] is None
    assert (by_label["linear"] is None) == (change == "not kept")


def test_rows_hold_every_comparison_with_its_numbers_in_each_format(tmp_path: Path) -> None:
    judged, describe = describer(tmp_path, right())
    rows = rows_of(judged, describe)
    assert [row["claim"] for row in rows if row["claim"] != "A2"] == ["A1", "A1", "A3", "A4"]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert all(row["n"] == 4 and row["sd"] > 0 and 0 < row["p_supports"] < 1 for row in rows)
    assert (rows[0]["seeds"], rows[0]["left_out"]) == ([0, 1, 2, 3], [])
    assert rows[0]["variance_count"] == IMAGES
    assert json.loads(written(rows, "json")) == rows
    read = list(csv.DictReader(io.StringIO(written(rows, "csv").decode())))
    assert [float(row["effect"]) for row in read] == [row["effect"] for row in rows]
    assert read[0]["seeds"] == "0 1 2 3"
    frame = polars.read_parquet(io.BytesIO(written(rows, "parquet")))
    assert frame["values"].to_list() == [row["values"] for row in rows]


def test_a_claim_without_results_has_no_comparisons(tmp_path: Path) -> None:
    results = write_results(tmp_path, write_study(tmp_path), {"none": [40.0], "nonlinear": []})
    judged = judge_study(results, str(tmp_path / "mine.toml"))
    assert Describer(judged.evidence, results).describe(judged.verdicts[0]) == ()
    assert rows_of(judged, Describer(judged.evidence, results)) == []


def test_one_seed_is_described_by_its_values_alone(tmp_path: Path) -> None:
    judged, describe = describer(tmp_path, right(seeds=1))
    found = numbers_of(describe.describe(judged.verdicts[0])[0])
    assert (found["n"], found["sd"], found["standardized"], found["posterior"], found["variance"]) == (1, *[None] * 4)


def test_only_a_weighted_sum_has_weights() -> None:
    weights, constant = weights_of(lambda at: at[0] - (at[1] + at[2]) / 2, 3) or ([], 1.0)
    assert (weights, constant) == (pytest.approx([1, -0.5, -0.5]), 0.0)
    assert weights_of(lambda at: at[0] - max(at[1:]), 3) is None
    assert weights_of(lambda at: abs(at[0] - at[1]), 2) is None
    assert weights_of(lambda at: 5.0 - at[0], 1) == ([-1.0], 5.0)
    assert weights_of(lambda at: at[0] * at[1], 2) is None
