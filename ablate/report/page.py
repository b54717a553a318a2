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
from ablate.records.files import Results, write_bytes, write_text
from ablate.records.flatten import flat
from ablate.records.plans import DEFAULT_PROFILE
from ablate.report.charts.main import main_figures
from ablate.report.figure import Figure, vegalite_version
from ablate.report.findings import findings
from ablate.report.reading import Reading, read_study


def write_report(results: Results, study: str, profile: str | None, reports: Path) -> Path:
    """Write the page of a study and its charts; returns the page's path.

    `<study>.html`, or `<study>-<profile>.html` at another profile than the default, with the charts in a
    folder of the same name.
    """
    return write_page(results, read_study(results, study, profile), reports)


def write_page(results: Results, reading: Reading, reports: Path, refresh: int | None = None) -> Path:
    """Write the page and the charts of a study that was read.

    refresh: after so many seconds the open page loads itself again, where its records still change.
    """
    page = reports / f"{page_name(*reading.place)}.html"
    figures = main_figures(reading.measured)
    for figure in figures:
        write_text(reports / page.stem / f"{figure.name}.svg", figure.svg)
        write_bytes(reports / page.stem / f"{figure.name}.png", figure.png)
    records = Path(os.path.relpath(results.trials, reports)).as_posix()
    write_text(page, render(reading, figures, page.stem, records, refresh))
    return page


def page_name(study: str, profile: str) -> str:
    """The name of a study's page, and of the folder of its charts."""
    scale = re.sub(r"[^\w.+=-]", "_", profile)[:150]
    return study + ("" if profile == DEFAULT_PROFILE else f"-{scale}")


def render(reading: Reading, figures: Sequence[Figure], files: str, records: str, refresh: int | None = None) -> str:
    """The page's HTML.

    files: the folder of the charts, and records: that of the trials, both as seen from the page.
    """
    measured, judged = reading.measured, reading.judged
    return html(
        "page.html.j2",
        refresh=refresh,
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


def html(template: str, script: str = "page.js", refresh: int | None = None, **values: Any) -> str:
    """A page of one of the templates, with one of the scripts beside them.

    refresh: see `write_page`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(
        style=_template("style.css"), script=_template(script), refresh=refresh, reload=_template("reload.js"), **values
    )


def _template(name: str) -> str:
    return (resources.files("ablate.report") / "templates" / name).read_text("utf-8")


@functools.cache
def _bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script that sets window.vegaEmbed."""
    bundle: str = vl_convert.javascript_bundle(vl_version=vegalite_version())  # type: ignore[call-arg]
    return bundle
