"""Studies of this repository as if they had been run: a plan at the embedded profile, with numbers made up."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from ablate.judge.evidence import Evidence, MeasuredCell
from ablate.judge.published import published_numbers
from ablate.records.plan_file import parse_plan
from ablate.report.charts.figures import figures_of
from ablate.report.render.figure import Figure
from ablate.study.cells.cell import short_titles
from ablate.study.declared import declared
from ablate.study.expansion.design import cells, design
from ablate.study.load import load_study

STUDIES = Path(__file__).parents[3] / "studies"


def plan_of(study: str, chart: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a plan file at the embedded profile says of a study, with one trial of each cell."""
    loaded = load_study(str(STUDIES / f"{study}.toml"))
    of = loaded.study
    varied = design(of, "embedded")
    every = [each.cell for each in cells(of, varied, loaded.source)]
    return {
        "study": of.name, "profile": "embedded", "design": "d", "title": of.title,
        "metric": of.metric, "trainer": of.trainer,
        "axes": [{"name": name, "values": axis.names, "label": axis.label} for name, axis in varied.axes.items()],
        "cases": [{"name": case.name, "label": case.label} for case in of.cases],
        **declared(loaded), **({} if chart is None else {"chart": chart}),
        "trials": [{"key": "k", "seed": 0, "axes": cell.axes, "case": cell.case} for cell in every],
    }  # fmt: skip


def figures(
    record: dict[str, Any], seeds: int = 1, done: int | None = None, planned: int | None = None
) -> list[Figure]:
    """The charts of a plan whose cell number n has 10 + n, 11 + n, ... for its seeds.

    done: how many cells have numbers, all by default. planned: seeds asked for.
    """
    plan = parse_plan(record)
    every = [trial.cell for trial in plan.trials]
    titles = [f"cell {number}" for number in range(len(every))]
    published = published_numbers(plan, every, list(plan.axis_values))
    made = []
    for number, label in enumerate(short_titles(every, titles)):
        has = seeds if done is None or number < done else 0
        numbers = {seed: {plan.metric: 10.0 + number + seed} for seed in range(has)}
        asked, paper = tuple(range(planned or seeds)), published.get(every[number], {})
        made.append(MeasuredCell(every[number], titles[number], label, plan.metric, numbers, asked, paper))
    return figures_of(Evidence(plan, tuple(made)), (), {cell.key: 11_000_000 for cell in every})


@cache
def spec(study: str, which: str = "measured") -> dict[str, Any]:
    """The Vega-Lite specification of one chart of a study."""
    (figure,) = (each for each in figures(plan_of(study)) if each.name == which)
    found: dict[str, Any] = figure.chart.to_dict()
    return found


def rows(chart: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that a specification, or the first of its small charts, is drawn from."""
    first = chart["concat"][0] if "concat" in chart else chart
    named = first.get("data") or chart["data"]  # which small charts share is hoisted
    data: Any = chart["datasets"][named["name"]]
    found: list[dict[str, Any]] = json.loads(data) if isinstance(data, str) else data
    return found


def layers(chart: dict[str, Any]) -> list[dict[str, Any]]:
    """The marks of a specification."""
    return [each for layer in chart.get("spec", chart)["layer"] for each in layer.get("layer", [layer])]
