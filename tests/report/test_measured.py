import json
import re
from pathlib import Path
from typing import Any

import pytest

from ablate.records.files import Results
from ablate.records.plans import save_plan
from ablate.report.charts.main import main_figures
from ablate.report.findings import findings
from ablate.report.measured import measure
from ablate.report.page import write_report
from tests.records.by_hand import write_trial

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
    save_plan(results, "mine", plan | {"reference": table})
    return results


def evaluated(metric: str = "top1") -> list[dict[str, Any]]:
    return [
        {"axes": {"first": first, "second": second, "evaluation": evaluation}, "numbers": {metric: 50.0 + place}}
        for place, (first, second) in enumerate(GRID)
        for evaluation in EVALUATIONS
    ]


def test_every_evaluation_of_a_cell_stands_beside_the_papers_number_of_the_cell(tmp_path: Path) -> None:
    results = study(tmp_path, evaluated())
    paper = {tuple(cell.axes.values()): cell.paper for cell in measure(results, "mine", None).cells}
    assert paper["crop", "color", "linear"] == paper["crop", "color", "nearest"] == 56.3
    assert paper["color", "color", "linear"] == 18.8
    assert write_report(results, "mine", None, tmp_path / "reports").is_file()


def test_seeds_are_paired_for_each_cell_and_evaluation(tmp_path: Path) -> None:
    both = [{**trial, "seed": seed} for trial in evaluated() for seed in (0, 1)]
    case = {"case": "untrained", "axes": {"evaluation": "linear"}, "numbers": {"top1": 9.0}}
    other = [{**case, "axes": {"evaluation": "nearest"}, "seed": seed} for seed in (0, 1)]
    cautions = measure(study(tmp_path, [*both, case, *other]), "mine", None).cautions
    assert [told.partition(": ")[2] for told in cautions] == ["untrained, evaluation=linear lacks 1"]


@pytest.mark.parametrize(("metric", "digits"), [("top1", ".1f"), ("error", ".4~g")])
@pytest.mark.parametrize("axes", [1, 2])
def test_charts_write_percent_with_one_decimal_and_other_numbers_with_four_digits(
    tmp_path: Path, metric: str, digits: str, axes: int
) -> None:
    trials = [
        {"axes": dict(list({"first": first, "second": second}.items())[:axes]), "numbers": {metric: 0.0123 + place}}
        for place, (first, second) in enumerate(GRID)
    ]
    measured = measure(study(tmp_path, trials if axes == 2 else trials[::2], metric, reference=False), "mine", None)
    spec = main_figures(measured, measured.plan, {})[0].chart.to_dict()
    assert set(re.findall(r'"format": "([^"]+)"', json.dumps(spec))) <= {digits}
    (rows,) = spec["datasets"].values()
    assert rows[0]["told"] == ("0.0" if metric == "top1" else "0.0123") + ", 1 of 1 seeds"


@pytest.mark.parametrize("done", [1, 3])
def test_a_metric_that_no_trial_returned_is_told_with_what_they_returned(tmp_path: Path, done: int) -> None:
    numbers = [{"error": 0.5, "images": "a", "seconds": 1.0}] * done
    trials = [{"axes": {"size": size}, "numbers": each} for size, each in enumerate([*numbers, None])]
    measured = measure(study(tmp_path, trials, "eror", reference=False), "mine", None)
    told = "1 trial is done, and it did not return" if done == 1 else "3 trials are done, and none returned"
    they = "it" if done == 1 else "they"
    assert findings(measured) == [f"{told} 'eror'; {they} returned error; did you mean 'error'?"]


def test_a_metric_that_is_text_is_told_as_that(tmp_path: Path) -> None:
    trials = [{"axes": {"size": size}, "numbers": {"error": 1.0, "images": "a"}} for size in (1, 2)]
    measured = measure(study(tmp_path, trials, "images", reference=False), "mine", None)
    assert findings(measured) == ["2 trials are done, and none returned 'images' as a number; they returned error."]


def test_a_metric_that_one_trial_returned_is_no_mistake(tmp_path: Path) -> None:
    trials = [{"axes": {"size": size}, "numbers": {name: 1.0}} for size, name in enumerate(("error", "other"))]
    measured = measure(study(tmp_path, trials, "error", reference=False), "mine", None)
    assert findings(measured)[0] == "0: error 1."


@pytest.mark.parametrize("metric", ['er"ror', "it's", "a/b"])
def test_a_metric_may_have_any_name(tmp_path: Path, metric: str) -> None:
    trials = [{"axes": {"size": 1}, "numbers": {metric: 2.0}}]
    (cell,) = measure(study(tmp_path, trials, metric, reference=False), "mine", None).cells
    assert cell.values == (2.0,)
