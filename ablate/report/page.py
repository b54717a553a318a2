"""`ablate report`: one HTML file that needs nothing else, and each chart as SVG and PNG."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablate.judge import told
from ablate.records.files import Results, write_bytes, write_text
from ablate.records.plans import newest_plan
from ablate.records.store import open_store
from ablate.report.bundle import bundle
from ablate.report.charts.figures import figures_of
from ablate.report.charts.sides import labels_of
from ablate.report.figure import Figure, script_safe
from ablate.report.findings import answer, findings, lead, told_count
from ablate.report.html import html, page_name
from ablate.report.index import Suite, write_index
from ablate.report.left_out import left_out
from ablate.report.manifest import manifest
from ablate.report.measured import Measured
from ablate.report.origin import facts, ran, repeats, settings
from ablate.report.pictures.show import Pictures, draw_pictures
from ablate.report.reading import Reading, read_study
from ablate.report.spent import spent


def write_report(
    results: Results, study: str, profile: str | None, reports: Path, suites: Sequence[Suite] = ()
) -> Path:
    """Write the page of a study and its charts, and the index of all pages; returns the page's path.

    `<study>.html`, or `<study>-<profile>.html` at another profile than the default, with the charts in a
    folder of the same name.
    """
    profile = newest_plan(results, study, profile)["profile"]
    with open_store(results) as store:
        reading = read_study(results, study, profile, store)
        page = write_page(results, reading, reports)
        write_index(results, reports, suites, {reading.place: reading}, store=store)
    return page


def write_page(
    results: Results, reading: Reading, reports: Path, refresh: int | None = None, with_pictures: bool = True
) -> Path:
    """Write the page and the charts of a study that was read.

    refresh: see `html`.
    """
    page = reports / f"{page_name(*reading.place)}.html"
    records = Path(os.path.relpath(results.trials, reports)).as_posix()
    pictures = draw_pictures(results, reading.measured) if with_pictures else None
    text, figures = compose(reading, pictures, page.stem, records, refresh)
    for figure in figures:
        write_text(reports / page.stem / f"{figure.name}.svg", figure.svg)
        write_bytes(reports / page.stem / f"{figure.name}.png", figure.png)
    write_text(page, text)
    return page


def compose(
    reading: Reading, pictures: Pictures | None, files: str, records: str, refresh: int | None = None
) -> tuple[str, Sequence[Figure]]:
    """The page's HTML, which is the same for the same records, and its figures.

    pictures: None for a page without. files: the folder of the charts, and records: that of the trials, both as seen
    from the page. refresh: see `html`.
    """
    measured, judged = reading.measured, reading.judged
    figures = figures_of(reading)
    text = html(
        "page.html.j2",
        refresh=refresh,
        told=told,
        figures=figures,
        pictures=pictures or Pictures(),
        cell_labels=labels_of(measured),
        files=files,
        records=records,
        bundle=bundle(),
        manifest=script_safe(manifest(measured, judged, records, refresh, pictures is not None)),
        **_said(reading),
    )
    return text, [*figures, *(pictures.figures if pictures else ())]


def _said(reading: Reading) -> dict[str, Any]:
    """What the sections of a page are about."""
    measured, judged = reading.measured, reading.judged
    return {
        "measured": measured,
        "judged": judged,
        "plan": measured.plan,
        "answer": answer(measured, judged),
        "lead": lead(judged),
        "findings": findings(measured),
        "progress": _progress(measured),
        "spent": spent(measured),
        "left_out": left_out(measured),
        "origin": facts(measured),
        "repeats": repeats(measured),
        "ran": ran(measured.plan),
        "settings": settings(measured),
        "labels": {case["name"]: case["label"] for case in measured.plan["cases"]},
        "first_trials": {trial.cell: number for number, trial in reversed(list(enumerate(measured.trials)))},
    }


def _progress(measured: Measured) -> str:
    """How far the study is: `12 of 50 trials are done; 2 running, 36 not begun`."""
    states = Counter({trial.key: trial.state for trial in measured.trials}.values())
    rest = [f"{count} {'not begun' if state == 'new' else state}" for state, count in states.items() if state != "done"]
    trials = f"{measured.done} of {told_count(measured.asked, 'trial')} {'is' if measured.asked == 1 else 'are'} done"
    return f"{trials}{'; ' if rest else ''}{', '.join(rest)}."
