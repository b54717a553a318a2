"""Main effects: means over all cells with a value of an axis."""

from itertools import product
from typing import Any

import pytest

from ablate.judge.evidence import Evidence
from ablate.records.plan_file import PlanAxis, PlanFile
from ablate.report.charts.effects import effects_figure
from ablate.report.charts.main_effects import main_effects
from tests.judge.claimed import measured

VALUES = {"a": ["p", "q"], "b": ["r", "s", "t"]}


def evidence(numbers: dict[tuple[str, str], list[float]]) -> Evidence:
    cells = [
        measured({"a": a, "b": b}, None, f"{a}, {b}", 2, {seed: {"top1": value} for seed, value in enumerate(values)})
        for (a, b), values in numbers.items()
    ]
    axes: Any = tuple(PlanAxis(name, tuple(values)) for name, values in VALUES.items())
    return Evidence(PlanFile("mine", "embedded", "d", axes, ()), tuple(cells))


def factorial() -> dict[tuple[str, str], list[float]]:
    """10 for p, 40 for q; 0, 1 and 5 more for r, s and t; the second seed of q is 2 higher."""
    return {
        (a, b): [first + more, first + more + (2.0 if a == "q" else 0.0)]
        for (a, first), (b, more) in product((("p", 10.0), ("q", 40.0)), (("r", 0.0), ("s", 1.0), ("t", 5.0)))
    }


def test_an_effect_is_the_mean_over_the_other_axes_with_an_interval_over_seeds() -> None:
    first, second = main_effects(evidence(factorial()))
    assert [each.mean for each in first.effects] == pytest.approx([12.0, 43.0])
    assert [each.mean for each in second.effects] == pytest.approx([25.5, 26.5, 30.5])
    assert [(each.cells, each.seeds) for each in first.effects] == [(3, 2), (3, 2)]
    # Student's t at 97.5 % with 1 degree of freedom is 12.706; the seeds' means are 42 and 44, the standard error is 1
    assert first.effects[1].interval == pytest.approx((43 - 12.706, 43 + 12.706), abs=1e-3)
    assert first.effects[0].interval == pytest.approx((12.0, 12.0))


def test_an_axis_that_is_not_crossed_with_the_others_has_no_effect() -> None:
    numbers = factorial()
    del numbers["q", "t"]
    assert [each.axis for each in main_effects(evidence(numbers))] == []


def test_where_a_seed_is_missing_there_is_no_interval() -> None:
    numbers = factorial()
    numbers["q", "t"] = [45.0]
    first, second = main_effects(evidence(numbers))
    assert first.effects[0].interval is not None
    assert first.effects[1].interval is None
    assert first.effects[1].mean == pytest.approx((41 + 42 + 45) / 3)
    assert second.effects[2].interval is None


def test_the_chart_clips_intervals_to_percent_and_its_table_does_not() -> None:
    numbers = {cell: [value + 55 for value in values] for cell, values in factorial().items()}
    figure = effects_figure(evidence(numbers))
    assert figure is not None
    drawn = [row for rows in figure.chart.to_dict()["datasets"].values() for row in rows if "name" in row]
    assert max(row.get("high", 0.0) for row in drawn) == 100.0
    assert figure.columns == ("axis", "value", "linear top-1 (%)", "95 % interval", "cells")
    assert figure.rows[1] == ("a", "q", "98.0", "85.3 to 110.7", "3")
    assert "Largest difference: 31.0 between values of a; highest: q, 98.0 over 3 cells." in figure.summary
