"""Studies of this repository as if they had been run: a plan at the embedded profile, with numbers made up."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from ablate.judge.study import Judged
from ablate.report.charts.figures import figures_of
from ablate.report.figure import Figure
from ablate.report.measured import Cell, Measured
from ablate.report.reading import Reading
from ablate.study.at_paper import drawn
from ablate.study.cells import cells, design
from ablate.study.load import load_study
from ablate.study.schema import ProfileOverrides

STUDIES = Path(__file__).parents[3] / "studies"


def plan_of(study: str, chart: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a plan file at the embedded profile says of a study, but for its trials."""
    loaded = load_study(str(STUDIES / f"{study}.toml"))
    of = loaded.study
    varied = design(of, of.profile.get("embedded", ProfileOverrides()), "embedded")
    references = [reference.model_dump(mode="json", exclude_unset=True) for reference in of.reference]
    return {
        "study": of.name, "profile": "embedded", "title": of.title, "metric": of.metric, "trainer": of.trainer,
        "references": references, "reference": references[0] if references else None,
        "axes": [{"name": name, "values": axis.names, "label": axis.label} for name, axis in varied.axes.items()],
        "cases": [{"name": case.name, "label": case.label} for case in of.cases],
        **drawn(loaded), **({} if chart is None else {"chart": chart}),
        "cells": [(cell.axes, cell.case) for cell in cells(of, varied, loaded.source)],
    }  # fmt: skip


def figures(plan: dict[str, Any], seeds: int = 1, done: int | None = None, planned: int | None = None) -> list[Figure]:
    """The charts of a plan whose cell number n has 10 + n, 11 + n, ... for its seeds.

    done: how many cells have numbers, all by default. planned: seeds asked for.
    """
    made = []
    for number, (axes, case) in enumerate(plan["cells"]):
        has = seeds if done is None or number < done else 0
        values = tuple(10.0 + number + seed for seed in range(has))
        made.append(Cell(axes, case, f"cell {number}", values, planned or seeds, None, None))
    measured = Measured(plan, "embedded", tuple(made), (), (), (), (), (), (), (), None)
    sizes = dict.fromkeys(range(len(made)), 11_000_000)
    judged = Judged(plan, (), (), None, False, (), None)
    return figures_of(Reading(measured, judged, (), sizes))


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
