"""Learning curves: what is read of them, and how little of that is drawn."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from ablate.judge.evidence import Evidence
from ablate.records.address import find_trial
from ablate.records.detail import read_detail
from ablate.records.files import Results
from ablate.records.plan_file import PlanFile
from ablate.records.store import open_store
from ablate.report.charts.curves import LONGEST, compact, curves_figure
from ablate.report.charts.logged import Curve, read_curves
from ablate.report.reading import read_study
from tests.judge.claimed import measured
from tests.records.by_hand import key_of, write_plan_of, write_trial
from tests.report.charts.studied import rows
from tests.report.test_page import like_the_paper, results_with

OWN = PlanFile("mine", "embedded", "d", (), (), trainer="mine:train")


def measured_of(count: int) -> Evidence:
    cells = tuple(
        measured({"a": number}, None, str(number), 1, {0: {"top1": float(number)}}) for number in range(count)
    )
    return Evidence(PlanFile("mine", "embedded", "d", (), ()), cells)


@pytest.mark.parametrize("count", [1, 2, 49, 50, 51, 100, 1000])
def test_a_curve_keeps_its_first_and_last_point_and_at_most_fifty_in_all(count: int) -> None:
    curve = Curve(0, "loss", tuple(range(1, count + 1)), tuple(1.0 / epoch for epoch in range(1, count + 1)))
    epochs, values = compact(curve)
    assert (epochs[0], epochs[-1]) == (1, count)
    assert len(epochs) == len(set(epochs)) == min(count, LONGEST)
    for epoch, value in zip(epochs, values, strict=True):  # a plain look-up in the whole curve
        assert value == pytest.approx(curve.values[curve.at.index(epoch)], rel=1e-3)
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
        (curve,) = read_curves(store, read_study(results, "pairs", None, store).measured)
    assert curve == Curve(0, "loss", (1, 2, 3), (7.0, 3.0, 2.0))


EPOCHS = [{"epoch": number / 4, "loss": 1 / number} for number in range(1, 5)]
STEPS = [{"step": 10 * number, "loss": 1 / number} for number in range(1, 5)]
ROWS = [{"loss": 1 / number} for number in range(1, 5)]
LOSSES = (1.0, 1 / 2, 1 / 3, 1 / 4)


@pytest.mark.parametrize(
    ("logged", "along", "at", "values"),
    [
        (EPOCHS, "epoch", (0.25, 0.5, 0.75, 1.0), LOSSES),
        (STEPS, "step", (10, 20, 30, 40), LOSSES),
        (ROWS, "row", (1, 2, 3, 4), LOSSES),
        ([row | {"epoch": 1} for row in STEPS], "step", (10, 20, 30, 40), LOSSES),
        ([row | {"epoch": 1} for row in ROWS], "row", (1, 2, 3, 4), LOSSES),
        ([STEPS[0], EPOCHS[1], ROWS[2], STEPS[3]], "row", (1, 2, 3, 4), LOSSES),
        ([EPOCHS[0], {"epoch": 0.5, "loss": None}, EPOCHS[2]], "epoch", (0.25, 0.75), (1.0, 1 / 3)),
        ([{"epoch": 1, "loss": 2}, {"epoch": 2, "loss": "0.75"}, {"epoch": 2, "loss": True}], "epoch", (1,), (2.0,)),
    ],
    ids=range(8),
)
def test_every_logged_row_is_a_point_of_the_curve(
    tmp_path: Path, logged: list[dict[str, object]], along: str, at: tuple[float, ...], values: tuple[float, ...]
) -> None:
    results = Results(tmp_path)
    attempt = write_trial(results, key_of(1), losses=())
    (attempt / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in logged))
    write_plan_of(results, [{"key": key_of(1), "axes": {"a": 1}, "case": None, "seed": 0}])
    with open_store(results) as store:
        evidence = replace(read_study(results, "mine", None, store).measured, plan=OWN)
        (curve,) = read_curves(store, evidence)
        detail = read_detail(store, find_trial(store, key_of(1)))
    assert curve == Curve(0, "loss", at, values, along)
    shown = [
        (place, loss) for place, loss in zip(detail.curve.at, detail.curve.losses, strict=True) if loss is not None
    ]
    assert (shown, detail.curve.along) == (list(zip(at, values, strict=True)), along)
    figure = curves_figure(evidence, [curve])
    assert figure is not None
    assert figure.rows[0][-1] == f"{values[-1]:.4g}"


def test_a_loss_that_grew_beyond_all_bounds_is_a_gap_and_the_page_is_written(tmp_path: Path) -> None:
    results = Results(tmp_path)
    trials = [{"key": key_of(number), "axes": {"a": 1}, "case": None, "seed": number} for number in (0, 1)]
    for number in (0, 1):
        attempt = write_trial(results, key_of(number), losses=())
        logged = [{"epoch": 1, "loss": 2}, {"epoch": 2, "loss": -1e308}, {"epoch": 10**90, "loss": 3}]
        (attempt / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in logged))
    write_plan_of(results, trials)
    with open_store(results) as store:
        evidence = replace(read_study(results, "mine", None, store).measured, plan=OWN)
        curves = read_curves(store, evidence)
    assert curves == (Curve(0, "loss", (1,), (2.0,)),)
    figure = curves_figure(evidence, curves)
    assert figure is not None
    assert figure.spec


def test_phases_of_a_trainer_of_ones_own_have_curves_of_their_own(tmp_path: Path) -> None:
    results = Results(tmp_path)
    attempt = write_trial(results, key_of(1), losses=())
    logged = [{"phase": phase, "epoch": epoch, "loss": loss} for phase, epoch, loss in
              (("fit", 1, 4.0), ("valid", 1, 5.0), ("fit", 2, 3.0), ("valid", 2, 6.0))]  # fmt: skip
    (attempt / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in logged))
    write_plan_of(results, [{"key": key_of(1), "axes": {"a": 1}, "case": None, "seed": 0}])
    with open_store(results) as store:
        curves = read_curves(store, replace(read_study(results, "mine", None, store).measured, plan=OWN))
    assert curves == (Curve(0, "loss (fit)", (1, 2), (4.0, 3.0)), Curve(0, "loss (valid)", (1, 2), (5.0, 6.0)))


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
