"""`ablate report`: one HTML file that needs nothing else, and each chart as SVG and PNG."""

import functools
import json
import os
import re
from importlib import resources
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
import vl_convert

from ablate.judge import told
from ablate.judge.study import Judged, judge_study
from ablate.records.files import Results, write_bytes, write_text
from ablate.records.flatten import flat
from ablate.records.plans import DEFAULT_PROFILE
from ablate.report.charts import charts
from ablate.report.measured import Cell, Measured, measure


def write_report(results: Results, study: str, profile: str | None, reports: Path) -> Path:
    """Write the page of a study and its charts; returns the page's path.

    `<study>.html`, or `<study>-<profile>.html` at another profile than the default, with the charts in a
    folder of the same name.
    """
    measured = measure(results, study, profile)
    scale = re.sub(r"[^\w.+=-]", "_", measured.profile)[:150]
    name = measured.plan["study"] + ("" if measured.profile == DEFAULT_PROFILE else f"-{scale}")
    page, drawn = reports / f"{name}.html", []
    for chart_name, chart in charts(measured).items():
        spec = chart.to_dict()
        svg = _own_ids(vl_convert.vegalite_to_svg(spec, vl_version=_vegalite_version()), chart_name)
        png = vl_convert.vegalite_to_png(spec, vl_version=_vegalite_version(), scale=2)
        write_text(reports / name / f"{chart_name}.svg", svg)
        write_bytes(reports / name / f"{chart_name}.png", png)
        drawn.append({"name": chart_name, "svg": svg, "spec": script_safe(spec), "files": f"{name}/{chart_name}"})
    records = Path(os.path.relpath(results.trials, reports)).as_posix()
    judged = judge_study(results, study, measured.profile)
    write_text(page, render(measured, judged, drawn, records))
    return page


def render(measured: Measured, judged: Judged, drawn: list[dict[str, Any]], records: str) -> str:
    """The page's HTML; `records` is where the trials' folders lie, as seen from the page."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(
            lambda name: (resources.files("ablate.report") / "templates" / name).read_text("utf-8")
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html.j2").render(
        measured=measured,
        judged=judged,
        told=told,
        plan=measured.plan,
        charts=drawn,
        records=records,
        bundle=_bundle(),
        findings=findings(measured),
        settings=flat(measured.config),
        labels={case["name"]: case["label"] for case in measured.plan["cases"]},
    )


def findings(measured: Measured) -> list[str]:
    """What the numbers say, in sentences: best cell, best single one, cases, agreement with the paper."""
    done = [cell for cell in measured.grid if cell.mean is not None]
    others = [
        (cell.label[:1].upper() + cell.label[1:], cell)
        for cell in measured.cells
        if cell.case and cell.mean is not None
    ]
    if measured.lacking:
        return [f"{measured.lacking}{'' if measured.lacking.endswith('?') else '.'}"]
    if not done:
        told = [f"{label}: {_mean(cell):.4g}." for label, cell in others]
        return told or ["No trial is done yet."]
    if "top-1" not in measured.metric:
        return [
            f"{cell.label}: {measured.metric} {_mean(cell):.4g}." for cell in (*done, *(cell for _, cell in others))
        ]
    best = max(done, key=_mean)
    said = [f"Best: {best.label}, with {_mean(best):.1f} % linear top-1."]
    if (single := _diagonal(measured, done)) is not None:
        others.insert(0, (f"Best on the diagonal: {single.label}", single))
    for label, cell in others:
        apart = _mean(best) - _mean(cell)
        where = f"{abs(apart):.1f} points {'below' if apart >= 0 else 'above'} the best"
        said.append(f"{label}: {_mean(cell):.1f} %, {where}{'' if apart >= 0 else ' of the grid'}.")
    if published := [cell for cell in measured.grid if cell.paper is not None]:
        top = max(published, key=lambda cell: cell.paper or 0)
        if top.mean is not None:
            place = 1 + sum(_mean(cell) > top.mean for cell in done)
            reference = measured.plan["reference"]["label"]
            here = f"Here it has {top.mean:.1f} %, place {place} of {len(done)}."
            said.append(f"Best of these cells in {reference}: {top.label}. {here}")
    if (rank := measured.rank_correlation) is not None:
        count = sum(cell.mean is not None and cell.paper is not None for cell in measured.grid)
        said.append(
            f"Rank correlation with {measured.plan['reference']['label']} over {count} cells: {rank:.2f} (Spearman)."
        )
    if max(len(cell.values) for cell in measured.cells) == 1:
        said.append("One seed a cell: this points to an answer, it is no verdict.")
    return said


def _diagonal(measured: Measured, done: list[Cell]) -> Cell | None:
    """The best cell with one value on every axis, where the axes have the same values, as in Fig. 5."""
    values = [axis["values"] for axis in measured.plan["axes"]]
    if len(values) < 2 or any(each != values[0] for each in values):
        return None
    single = [cell for cell in done if len(set(map(str, cell.axes.values()))) == 1]
    return max(single, key=_mean, default=None)


def _mean(cell: Cell) -> float:
    assert cell.mean is not None
    return cell.mean


def _own_ids(svg: str, chart: str) -> str:
    """The SVG with ids that no other chart has, and that do not count the charts drawn before it."""
    ids = dict.fromkeys(re.findall(r' id="([^"]+)"', svg))
    renamed = {old: f"{chart}-{number}" for number, old in enumerate(ids)}
    return re.sub(r'(?<= id=")[^"]+(?=")|(?<=url\(#)[^)]+(?=\))', lambda found: renamed.get(found[0], found[0]), svg)


def script_safe(spec: dict[str, Any]) -> str:
    """JSON that no text in it can break out of a <script> element."""
    text = json.dumps(spec, allow_nan=False, sort_keys=True)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@functools.cache
def _bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script that sets window.vegaEmbed."""
    bundle: str = vl_convert.javascript_bundle(vl_version=_vegalite_version())  # type: ignore[call-arg]
    return bundle


def _vegalite_version() -> str:
    """`6.4` of Altair's `v6.4.1`."""
    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
