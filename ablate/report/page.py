"""`ablate report`: one self-contained HTML file, and each chart as SVG and PNG."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from ablate.judge import wording
from ablate.judge.baseline import baseline_title
from ablate.records.files import Results, write_bytes, write_text
from ablate.records.plain import plural
from ablate.report.claim_cards import claim_cards
from ablate.report.findings import findings
from ablate.report.headline import headline
from ablate.report.omissions import omissions
from ablate.report.pictures import Pictures, draw_pictures
from ablate.report.provenance import cost, facts, ran, repeats, settings
from ablate.report.render.figure import Figure, bundle, script_safe
from ablate.report.render.html import html, page_name
from ablate.report.render.kept import KeptFigure, kept_charts
from ablate.report.render.names import Names
from ablate.report.tuning import tuning_of
from ablate.study.cells.cell import Baseline

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence
    from ablate.report.reading import Reading


_OF_ONE_RUN = {"trials", "seen_at", "lower_limits", "path", "text", "created", "command", "number"}
"""The fields of a plan on which no chart depends."""
FOLDED = 20
"""Tables with more rows are folded."""


def write_page(
    results: Results, reading: Reading, reports: Path, refresh: int | None = None, with_pictures: bool = True
) -> Path:
    """Write the page and the charts of a study. refresh: see `html`."""
    page = reports / f"{page_name(*reading.study_profile)}.html"
    records = Path(os.path.relpath(results.published or results.trials, reports)).as_posix()
    pictures = draw_pictures(results, reading.shown.judged.evidence, keep_charts=True) if with_pictures else None
    text, figures = compose(reading, kept_figures(results, reading), pictures, page.stem, records, refresh)
    for figure in figures:
        write_text(reports / page.stem / f"{figure.name}.svg", figure.svg)
        write_bytes(reports / page.stem / f"{figure.name}.png", figure.png)
    write_text(page, text)
    return page


def kept_figures(results: Results, reading: Reading) -> list[KeptFigure]:
    """The charts of a study's values."""
    return kept_charts(results, {"charts": _inputs(reading)}, lambda: draw_figures(reading))


def draw_figures(reading: Reading) -> list[Figure]:
    """The charts of a study's values, drawn now."""
    from ablate.judge.attribution import attribute
    from ablate.report.charts.attribution import attribution_figures, noted
    from ablate.report.charts.difference import difference_figure
    from ablate.report.charts.figures import compares_parts, figures_of  # imports altair, which is slow
    from ablate.report.charts.tuning import tuning_figure

    evidence = reading.shown.judged.evidence
    figures = figures_of(evidence, reading.curves, reading.parameters)
    found = attribute(evidence) if evidence.plan.rule and reading.shown.places is None else None
    alone = found is not None and {each.kind for each in found.effects} <= {"removed", "added"}
    start = evidence.plan.naming and Baseline(evidence.plan.naming.start)
    same = alone and evidence.plan.baseline == start  # else the differences are to another cell
    notes = noted(found) if found and same else ""
    if compared := difference_figure(evidence, reading.shown_differences, notes):
        figures.insert(not compares_parts(evidence), compared)
    if found and not (same and compared):  # else these are the same numbers, of removed parts with the other sign
        figures += attribution_figures(evidence, found)
    curve = tuning_figure(evidence)
    return [*figures, *([curve] if curve else [])]


def _inputs(reading: Reading) -> str:
    """SHA-256 of all that the charts show."""
    evidence = reading.shown.judged.evidence
    plan = {name: value for name, value in vars(evidence.plan).items() if name not in _OF_ONE_RUN}
    cells: Sequence[Any] = [
        [each.cell.axes, each.case, each.title, each.label, each.metric, each.asked, each.numbers, each.published]
        for each in evidence.cells
    ]
    parts = [plan, cells, evidence.config, reading.curves, reading.parameters]
    parts += [each.plain() for each in reading.shown_differences if each]
    return hashlib.sha256(to_json(parts, inf_nan_mode="constants")).hexdigest()


def compose(
    reading: Reading,
    figures: Sequence[Figure | KeptFigure],
    pictures: Pictures | None,
    files: str,
    records: str,
    refresh: int | None = None,
) -> tuple[str, Sequence[Figure | KeptFigure]]:
    """The page's HTML, identical for identical records, and its figures.

    figures: the charts of the study's values. pictures: None for a page without pictures. files, records: the folders
    of the charts and of the trials, relative to the page; records may be a file of published records. refresh: see
    `html`.
    """
    shown = reading.shown.judged.evidence
    forests = _forests(reading)
    lone = shown.cells[0] if len(shown.cells) == 1 and shown.cells[0].measured else None
    drawn = [figure for figure in figures if lone is None or figure.name != "measured"]
    text = html(
        "page.html.j2",
        refresh=refresh,
        wording=wording,
        figures=drawn,
        lone=lone,
        forests=forests,
        pictures=pictures or Pictures(),
        hero=2 if [each.name for each in drawn[:2]] == ["measured", "published"] else int(lone is None),
        names=Names(shown).cells,
        files=files,
        records=records,
        published=records.endswith(".parquet"),
        bundle=bundle(),
        manifest=script_safe(manifest(reading, records, refresh, pictures is not None)),
        **_sections(reading),
    )
    return text, [*figures, *forests, *(pictures.figures if pictures else ())]


def _forests(reading: Reading) -> list[Figure]:
    """The charts of the claims. Without claims, altair is not imported, which is slow."""
    if not reading.judged.verdicts:
        return []
    from ablate.report.charts.forest import forests_of

    return forests_of(reading.judged, reading.describer)


def _sections(reading: Reading) -> dict[str, Any]:
    """The values that the sections of a page show."""
    measured, judged, shown = reading.measured, reading.judged, reading.shown
    return {
        "reading": reading,
        "measured": shown.judged.evidence,
        "judged": shown.judged,
        "claims": claim_cards(shown.judged),
        "thinned": shown,
        "plan": measured.plan,
        "baseline": baseline_title(measured.plan),
        "differences": reading.shown_differences,
        "headline": headline(measured, judged),
        "findings": list(findings(measured)),
        "folded": FOLDED,
        "tuning": tuning_of(measured),
        "progress": _progress(measured),
        "cost": cost(reading),
        "omissions": shown.of(omissions(measured)),
        "origin": facts(reading),
        "repeats": repeats(measured),
        "ran": ran(measured.plan),
        "settings": settings(measured),
        "labels": measured.plan.cases,
        "first_trials": {
            trial.cell: number for number, trial in reversed(list(enumerate(shown.judged.evidence.trials)))
        },
    }


def _progress(measured: Evidence) -> str:
    """The progress of the study: `12 of 50 trials done; 2 running, 36 not started`."""
    states = Counter({trial.key: trial.state for trial in measured.trials}.values())
    rest = [
        f"{count} {'not started' if state == 'new' else state}" for state, count in states.items() if state != "done"
    ]
    trials = f"{measured.done} of {plural(measured.asked, 'trial')} done"
    return f"{trials}{'; ' if rest else ''}{', '.join(rest)}."


def manifest(reading: Reading, records: str, refresh: int | None, pictures: bool) -> dict[str, Any]:
    """What a page was made from: study, plan number, versions of the drawing code, digest of each trial's result.json.

    Of a thinned page it names the shown trials, and has one digest over those of all trials.
    records: the folder of the trials, relative to the page. refresh: see `html`. pictures: whether the page has them.
    """
    text, plan = reading.judged.text, reading.judged.plan
    whole, shown = reading.shown.places is None, reading.shown.judged.evidence.trials
    every = json.dumps(sorted(reading.digests.items()))
    return {
        "study": plan.study,
        "profile": plan.profile,
        "plan": plan.number,
        "study_file": hashlib.sha256(text.encode()).hexdigest() if text is not None else None,
        "made_by": {name: version(name) for name in ("ablate-study", "altair", "vl-convert-python")},
        "records": records,
        "refresh": refresh,
        "pictures": pictures,
        "trials": {
            trial.key: [trial.attempt, reading.digests[trial.key]] for trial in shown if trial.key in reading.digests
        },
        **({} if whole else {"all_results": hashlib.sha256(every.encode()).hexdigest()}),
    }
