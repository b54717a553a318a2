import json
import re
from pathlib import Path
from typing import Any

import pytest

from ablate.records.files import Results
from ablate.report.charts.figures import figures_of
from ablate.report.findings import findings
from ablate.report.formats import write_report
from ablate.report.reading import read_study
from tests.records.by_hand import save_record, write_trial

GRID = [(first, second) for first in ("crop", "color") for second in ("crop", "color")]
EVALUATIONS = ("linear", "nearest")


def study(folder: Path, trials: list[dict[str, Any]], metric: str = "top1", reference: bool = True) -> Results:
    """The records of a study of these trials: axes, case, seed, numbers (None: failed)."""
    results = Results(folder / "results")
    values: dict[str, list[Any]] = {}
    planned = []
    for number, trial in enumerate(trials):
        key, numbers = f"{number:04x}", trial["numbers"]
        write_trial(results, key, state="failed" if numbers is None else "done", numbers=numbers)
        planned.append({"key": key, "seed": trial.get("seed", 0), "axes": trial["axes"], "case": trial.get("case")})
        for name, value in trial["axes"].items():
            values.setdefault(name, []).extend([value] if value not in values.get(name, []) else [])
    plan: dict[str, Any] = {
        "study": "mine",
        "profile": "embedded",
        "design": "d",
        "title": "t",
        "question": "q",
        "metric": metric,
    }
    plan |= {"axes": [{"name": name, "values": each} for name, each in values.items()], "trials": planned}
    plan |= {"cases": [{"name": "untrained", "label": "untrained"}]}
    table = {"table": "fig5_augmentation_composition", "value": "top1", "label": "Fig. 5"} if reference else None
    save_record(results, "mine", plan | {"reference": table})
    return results


def evaluated(metric: str = "top1") -> list[dict[str, Any]]:
    return [
        {"axes": {"first": first, "second": second, "evaluation": evaluation}, "numbers": {metric: 50.0 + place}}
        for place, (first, second) in enumerate(GRID)
        for evaluation in EVALUATIONS
    ]


def test_every_evaluation_of_a_cell_has_the_papers_number_of_the_cell(tmp_path: Path) -> None:
    results = study(tmp_path, evaluated())
    paper = {
        tuple(cell.axes.values()): cell.paper and cell.paper.value
        for cell in read_study(results, "mine", None).measured.cells
    }
    assert paper["crop", "color", "linear"] == paper["crop", "color", "nearest"] == 56.3
    assert paper["color", "color", "linear"] == 18.8
    assert write_report(results, "mine", None, tmp_path / "reports").is_file()


def test_a_switch_is_yes_or_no_in_the_table_of_cells_and_a_phone_names_its_axis(tmp_path: Path) -> None:
    trials = [{"axes": {"head": on}, "numbers": {"top1": 50.0 + on}} for on in (False, True)]
    page = write_report(study(tmp_path, trials, reference=False), "mine", None, tmp_path / "reports").read_text()
    assert re.findall(r'<tr id="cell-.*?<td data-label="head">(\w+)</td>', page, re.DOTALL) == ["no", "yes"]


def test_seeds_are_paired_for_each_cell_and_evaluation(tmp_path: Path) -> None:
    both = [{**trial, "seed": seed} for trial in evaluated() for seed in (0, 1)]
    case = {"case": "untrained", "axes": {"evaluation": "linear"}, "numbers": {"top1": 9.0}}
    other = [{**case, "axes": {"evaluation": "nearest"}, "seed": seed} for seed in (0, 1)]
    cautions = read_study(study(tmp_path, [*both, case, *other]), "mine", None).cautions
    assert [told.partition(": ")[2] for told in cautions] == ["untrained, linear lacks seed 1"]


def test_only_a_text_named_precision_is_a_number_format(tmp_path: Path) -> None:
    numbers = [{"top1": 1.0, "precision": value} for value in (0.87, 0.9, "float32")]
    trials = [{"axes": {"size": size}, "numbers": each} for size, each in enumerate(numbers)]
    reading = read_study(study(tmp_path, trials, reference=False), "mine", None)
    assert reading.precisions == ("float32",)


@pytest.mark.parametrize(("metric", "digits"), [("top1", ".1f"), ("error", ".4~g")])
@pytest.mark.parametrize("axes", [1, 2])
def test_charts_write_percent_with_one_decimal_and_other_numbers_with_four_digits(
    tmp_path: Path, metric: str, digits: str, axes: int
) -> None:
    trials = [
        {"axes": dict(list({"first": first, "second": second}.items())[:axes]), "numbers": {metric: 0.0123 + place}}
        for place, (first, second) in enumerate(GRID)
    ]
    measured = read_study(
        study(tmp_path, trials if axes == 2 else trials[::2], metric, reference=False), "mine", None
    ).measured
    spec = figures_of(measured)[0].chart.to_dict()
    assert set(re.findall(r'"format": "([^"]+)"', json.dumps(spec))) <= {digits}
    (rows,) = spec["datasets"].values()
    assert rows[0]["text"] == ("0.0" if metric == "top1" else "0.0123") + ", 1 of 1 seeds"


@pytest.mark.parametrize("done", [1, 3])
def test_a_metric_that_no_trial_returned_is_reported_with_the_returned_numbers(tmp_path: Path, done: int) -> None:
    numbers = [{"error": 0.5, "images": "a"}] * done
    trials = [{"axes": {"size": size}, "numbers": each} for size, each in enumerate([*numbers, None])]
    measured = read_study(study(tmp_path, trials, "eror", reference=False), "mine", None).measured
    told = f"{done} trial{'s' if done > 1 else ''} finished but did not return"
    they = "it" if done == 1 else "they"
    assert list(findings(measured)) == [f"{told} 'eror'; {they} returned error; did you mean 'error'?"]


def test_a_metric_that_is_text_is_reported(tmp_path: Path) -> None:
    trials = [{"axes": {"size": size}, "numbers": {"error": 1.0, "images": "a"}} for size in (1, 2)]
    measured = read_study(study(tmp_path, trials, "images", reference=False), "mine", None).measured
    assert list(findings(measured)) == [
        "2 trials finished but did not return 'images' as a number; they returned error."
    ]


def test_a_metric_that_one_trial_returned_is_no_error(tmp_path: Path) -> None:
    trials = [{"axes": {"size": size}, "numbers": {name: 1.0}} for size, name in enumerate(("error", "other"))]
    measured = read_study(study(tmp_path, trials, "error", reference=False), "mine", None).measured
    assert next(findings(measured)) == "size = 0: error 1."


@pytest.mark.parametrize(("metric", "told"), [("error", "error: 73.19"), ("top1", "linear top-1: 73.2 %")])
def test_of_cells_that_are_all_the_same_none_is_called_best_or_lowest(tmp_path: Path, metric: str, told: str) -> None:
    trials = [{"axes": {"size": size}, "numbers": {metric: 73.19 + size / 1e5}} for size in range(3)]
    measured = read_study(study(tmp_path, trials, metric, reference=False), "mine", None).measured
    assert next(findings(measured)) == f"All 3 cells have the same {told}."


@pytest.mark.parametrize("metric", ['er"ror', "it's", "a/b"])
def test_a_metric_may_have_any_name(tmp_path: Path, metric: str) -> None:
    trials = [{"axes": {"size": 1}, "numbers": {metric: 2.0}}]
    (cell,) = read_study(study(tmp_path, trials, metric, reference=False), "mine", None).measured.cells
    assert cell.measured == (2.0,)
