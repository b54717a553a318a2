"""What a study may name as its baseline, and the cell to which each other cell is compared."""

import itertools
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ablate.records.plan_file import PlanFile, PlannedTrial, parse_declarations, parse_plan
from ablate.records.plans import as_record
from ablate.study.cells.baseline import baselines_of, read_baseline
from ablate.study.cells.cell import Baseline, Cell, Naming
from ablate.study.declared import declared
from ablate.study.load import load_study

CHOICES: dict[str, list[Any]] = {"color": [True, False], "rate": [0.1, 1], "policy": ["crop, color", "crop"]}
CASES = {"untrained": "untrained encoder"}
FULL = Naming("leave_one_out", {"color": True, "rate": 0.1}, {"color": "color distortion"})


@pytest.mark.parametrize(
    ("text", "axes", "case"),
    [
        ("untrained", {}, "untrained"),
        ("untrained encoder", {}, "untrained"),
        ("full method", {"color": True, "rate": 0.1}, None),
        ("without color distortion", {"color": False, "rate": 0.1}, None),
        ("rate=1e-1", {"rate": 0.1}, None),
        ("color=false rate=1", {"color": False, "rate": 1}, None),
        ("policy=crop, color, rate=1", {"policy": "crop, color", "rate": 1}, None),
    ],
)
def test_a_baseline_is_a_case_or_a_name_of_the_design_or_values_of_axes(
    text: str, axes: dict[str, Any], case: str | None
) -> None:
    assert read_baseline(text, CHOICES, CASES, FULL) == Baseline(axes, case)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ful method", "'ful method' is not a cell; did you mean 'full method'?"),
        ("colour=true", "'colour' is not an axis; did you mean 'color'?"),
        ("policy=crpo", "policy has no value crpo; did you mean 'crop'?"),
    ],
)
def test_another_text_is_an_error_with_the_nearest_name(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        read_baseline(text, CHOICES, CASES, FULL)
    assert str(error.value) == message


def test_a_cell_is_compared_to_the_one_that_has_the_baselines_values_and_is_otherwise_alike() -> None:
    draw = Random(3)
    grid = [Cell(dict(zip("abc", row, strict=True))) for row in itertools.product([0, 1], [True, 1, "x"], [0.5, 2])]
    cells = [*grid, Cell({}, "case"), Cell({"a": 1})]
    draw.shuffle(cells)
    for fixed in ({"a": 0}, {"b": True}, {"a": 1, "c": 2}, {"a": 0, "b": 1, "c": 0.5}):
        expected: list[int | None] = []
        for cell in cells:
            same = [
                number
                for number, other in enumerate(cells)
                if Baseline(fixed).is_of(other)
                and all(
                    Cell({"v": cell.axes[name]}) == Cell({"v": value})
                    for name, value in other.axes.items()
                    if name in cell.axes and name not in fixed
                )
            ]
            expected.append(same[0] if len(same) == 1 and not Baseline(fixed).is_of(cell) else None)
        assert baselines_of(cells, Baseline(fixed)) == expected
        assert sum(each is not None for each in expected) >= 6


def test_a_plan_file_keeps_the_names_and_the_baseline_of_a_design() -> None:
    loaded = load_study(str(Path(__file__).parents[3] / "studies" / "parts.toml"))
    plan = PlanFile(
        "parts", "p", "d", (), (PlannedTrial(Cell({"crop": True}), 0, "k"),), **parse_declarations(declared(loaded))
    )
    read = parse_plan(json.loads(json.dumps(as_record(plan))))
    assert (read.naming, read.baseline, read.rule) == (plan.naming, plan.baseline, {"kind": "leave_one_out"})
    assert read.naming is not None
    assert read.baseline == Baseline(read.naming.start)
