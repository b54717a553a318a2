"""`ablate report`: one HTML file that needs nothing else, and each chart as SVG and PNG."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import vl_convert

from ablate.judge import told
from ablate.records.files import Results, write_bytes, write_text
from ablate.records.flatten import flat
from ablate.report.charts.main import main_figures
from ablate.report.figure import Figure, vegalite_version
from ablate.report.findings import findings
from ablate.report.html import html, page_name
from ablate.report.reading import Reading, read_study


def write_report(results: Results, study: str, profile: str | None, reports: Path) -> Path:
    """Write the page of a study and its charts; returns the page's path.

    `<study>.html`, or `<study>-<profile>.html` at another profile than the default, with the charts in a
    folder of the same name.
    """
    return write_page(results, read_study(results, study, profile), reports)


def write_page(results: Results, reading: Reading, reports: Path, refresh: int | None = None) -> Path:
    """Write the page and the charts of a study that was read.

    refresh: see `html`.
    """
    page = reports / f"{page_name(*reading.place)}.html"
    figures = main_figures(reading.measured)
    for figure in figures:
        write_text(reports / page.stem / f"{figure.name}.svg", figure.svg)
        write_bytes(reports / page.stem / f"{figure.name}.png", figure.png)
    records = Path(os.path.relpath(results.trials, reports)).as_posix()
    write_text(page, render(reading, figures, page.stem, records, refresh))
    return page


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


@functools.cache
def _bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script that sets window.vegaEmbed."""
    bundle: str = vl_convert.javascript_bundle(vl_version=vegalite_version())  # type: ignore[call-arg]
    return bundle
