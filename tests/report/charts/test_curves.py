"""Learning curves: what is read of them, and how little of that is drawn."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from ablate.records.files import Results
from ablate.records.store import open_store
from ablate.report.charts.curves import curves_figure
from ablate.report.curves import LONGEST, Curve, compact, read_curves
from ablate.report.measured import Cell, Measured, measure
from tests.report.charts.studied import rows
from tests.report.test_page import like_the_paper, results_with


def measured_of(count: int) -> Measured:
    cells = tuple(Cell({"a": number}, None, str(number), (float(number),), 1, None, None) for number in range(count))
    return Measured({"axes": [], "reference": None}, "embedded", cells, (), (), (), (), (), (), (), None)


@pytest.mark.parametrize("count", [1, 2, 49, 50, 51, 100, 1000])
def test_a_curve_keeps_its_first_and_last_point_and_at_most_fifty_in_all(count: int) -> None:
    curve = Curve(0, "loss", tuple(range(1, count + 1)), tuple(1.0 / epoch for epoch in range(1, count + 1)))
    epochs, values = compact(curve)
    assert (epochs[0], epochs[-1]) == (1, count)
    assert len(epochs) == len(set(epochs)) == min(count, LONGEST)
    for epoch, value in zip(epochs, values, strict=True):  # a plain look-up in the whole curve
        assert value == pytest.approx(curve.values[curve.epochs.index(epoch)], rel=1e-3)
    gaps = [after - before for before, after in pairwise(epochs)]
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


def metrics(results: Results, key: str, attempt: str, losses: dict[int, float]) -> None:
    folder = results.trial(key).attempts / attempt
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"phase": "pretrain", "epoch": epoch, "loss": loss}) for epoch, loss in losses.items()]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def test_a_curve_is_the_mean_over_the_seeds_and_an_epoch_trained_again_counts_once(tmp_path: Path) -> None:
    results = results_with(tmp_path, like_the_paper(), seeds=2)
    metrics(results, "cropcrop0", "000-local", {1: 8.0, 2: 7.0})
    metrics(results, "cropcrop0", "001-local", {2: 4.0, 3: 3.0})
    metrics(results, "cropcrop1", "001-local", {1: 6.0, 2: 2.0, 3: 1.0})
    with open_store(results) as store:
        (curve,) = read_curves(store, measure(results, "pairs", None, store))
    assert curve == Curve(0, "loss", (1, 2, 3), (7.0, 3.0, 2.0))


def test_all_cells_are_in_the_chart_and_the_highest_median_and_lowest_are_called_so() -> None:
    curves = [Curve(number, "loss", (1, 2), (2.0, 1.0)) for number in range(101)]
    figure = curves_figure(measured_of(101), curves)
    assert figure is not None
    drawn = rows(figure.chart.to_dict())
    assert sorted(row["cell"] for row in drawn) == list(range(101))
    assert {row["cell"]: row["role"].split(":")[0] for row in drawn if "role" in row} == {
        100: "highest",
        50: "median",
        0: "lowest",
    }


def test_a_thousand_curves_of_a_hundred_epochs_take_less_than_a_megabyte() -> None:
    epochs = tuple(range(1, 101))
    values = [tuple(5.123456 / (epoch + number) for epoch in epochs) for number in range(1000)]
    curves = [Curve(number, "loss", epochs, each) for number, each in enumerate(values)]
    figure = curves_figure(measured_of(1000), curves)
    assert figure is not None
    assert len(figure.spec) < 1_000_000
    assert len(rows(figure.still.to_dict())) < 70
