"""`ablate report`: one HTML file that needs nothing else, and each chart as SVG and PNG."""

import functools
import os
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import vl_convert

from ablate.judge import told
from ablate.judge.study import Judged, judge_study
from ablate.records.files import Results, write_bytes, write_text
from ablate.records.flatten import flat
from ablate.records.plans import DEFAULT_PROFILE
from ablate.report.charts.main import main_figures
from ablate.report.figure import Figure, vegalite_version
from ablate.report.findings import findings
from ablate.report.measured import Measured, measure


def write_report(results: Results, study: str, profile: str | None, reports: Path) -> Path:
    """Write the page of a study and its charts; returns the page's path.

    `<study>.html`, or `<study>-<profile>.html` at another profile than the default, with the charts in a
    folder of the same name.
    """
    measured = measure(results, study, profile)
    page = reports / f"{page_name(measured.plan['study'], measured.profile)}.html"
    figures = main_figures(measured)
    for figure in figures:
        write_text(reports / page.stem / f"{figure.name}.svg", figure.svg)
        write_bytes(reports / page.stem / f"{figure.name}.png", figure.png)
    records = Path(os.path.relpath(results.trials, reports)).as_posix()
    judged = judge_study(results, study, measured.profile)
    write_text(page, render(measured, judged, figures, page.stem, records))
    return page


def page_name(study: str, profile: str) -> str:
    """The name of a study's page, and of the folder of its charts."""
    scale = re.sub(r"[^\w.+=-]", "_", profile)[:150]
    return study + ("" if profile == DEFAULT_PROFILE else f"-{scale}")


def render(measured: Measured, judged: Judged, figures: Sequence[Figure], files: str, records: str) -> str:
    """The page's HTML.

    files: the folder of the charts, and records: that of the trials, both as seen from the page.
    """
    return html(
        "page.html.j2",
        measured=measured,
        judged=judged,
        told=told,
        plan=measured.plan,
        figures=figures,
        files=files,
        records=records,
        bundle=_bundle(),
        findings=findings(measured),
        settings=flat(measured.config),
        labels={case["name"]: case["label"] for case in measured.plan["cases"]},
    )


def html(template: str, **values: Any) -> str:
    """A page of one of the templates."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(
        style=_template("style.css"), script=_template("page.js"), **values
    )


def _template(name: str) -> str:
    return (resources.files("ablate.report") / "templates" / name).read_text("utf-8")


@functools.cache
def _bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script that sets window.vegaEmbed."""
    bundle: str = vl_convert.javascript_bundle(vl_version=vegalite_version())  # type: ignore[call-arg]
    return bundle
