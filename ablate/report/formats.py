"""Output formats of a study: its page, tables for a paper, its charts."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ablate.errors import UserError, nearest, visible
from ablate.records.files import Results, write_bytes, write_text
from ablate.records.store import open_store
from ablate.report.index import Suite, write_index
from ablate.report.macros import as_macros, head
from ablate.report.page import draw_figures, write_page
from ablate.report.pictures import draw_pictures
from ablate.report.reading import Reading, read_study
from ablate.report.render.glyphs import not_drawn
from ablate.report.render.html import page_name
from ablate.report.tables import as_latex, as_markdown, cells_csv, claims_csv, tables

FORMATS = ("html", "md", "latex", "csv", "svg", "png", "pdf")
_CHARTS = ("svg", "png", "pdf")
_SHOWN = 20
"""Characters without a font that a warning names."""


def read_formats(given: Sequence[str]) -> list[str]:
    """The formats of `--format`, repeated or separated by commas. Raises UserError for an unknown one."""
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            help = f"formats are: {', '.join(FORMATS)}"
            raise UserError(f"unknown format '{name}'{nearest(name, FORMATS)}", help=help)
    return list(dict.fromkeys(names)) or ["html"]


def write_formats(
    results: Results,
    reading: Reading,
    reports: Path,
    formats: Sequence[str],
    refresh: int | None = None,
    with_pictures: bool = True,
) -> list[Path]:
    """Write a study in the given formats; returns the files.

    `<study>.html`; in the folder `<study>/`, `tables.md`, `tables.tex`, `numbers.tex`, `cells.csv`, `claims.csv`, and
    each chart as `<chart>.svg`, `.png` or `.pdf`. refresh: see `html`.
    """
    folder = reports / page_name(*reading.study_profile)
    written: list[Path] = []
    if "html" in formats:
        written.append(write_page(results, reading, reports, refresh, with_pictures))
    texts = {}
    if "md" in formats:
        texts["tables.md"] = as_markdown(tables(reading))
    if "latex" in formats:
        records = Path(os.path.relpath(results.published or results.root, folder)).as_posix()
        texts["tables.tex"] = head(reading, records) + as_latex(tables(reading))
    if "csv" in formats:
        texts |= {"cells.csv": cells_csv(reading.measured), "claims.csv": claims_csv(reading)}
    if "latex" in formats:
        texts["numbers.tex"] = as_macros(reading, records)
    for name, text in texts.items():
        write_text(folder / name, text)
    written += [folder / name for name in texts]
    if kinds := [kind for kind in _CHARTS if kind in formats]:
        pictures = draw_pictures(results, reading.shown.judged.evidence).figures if with_pictures else ()
        from ablate.report.charts.forest import forests_of  # imports altair, which is slow

        figures = [*draw_figures(reading), *forests_of(reading.judged, reading.describer)]
        if {"png", "pdf"} & set(kinds) and (boxes := not_drawn(figures)):
            print(f"warning: {_no_font(reading, boxes)}", file=sys.stderr)
        for kind, figure in itertools.product(kinds, [*figures, *pictures]):
            content = figure.svg.encode() if kind == "svg" else figure.png if kind == "png" else figure.pdf
            write_bytes(folder / f"{figure.name}.{kind}", content)
            written.append(folder / f"{figure.name}.{kind}")
    return written


def _no_font(reading: Reading, characters: str) -> str:
    """What is wrong with the PNG and PDF files of a study whose labels need a font that is not there."""
    shown = f"{characters[:_SHOWN]}\u2026" if len(characters) > _SHOWN else characters
    return (
        f"no font on this machine has {visible(shown)}, so the charts of {reading.study_profile[0]} show boxes instead "
        "in PNG and PDF\n  help: install a font with these characters (Chinese, Japanese, Korean: Noto Sans CJK; on "
        "Debian fonts-noto-cjk), and run the command again; HTML pages and SVG use the reader's fonts"
    )


def write_report(
    results: Results, study: str, profile: str | None, reports: Path, suites: Sequence[Suite] = ()
) -> Path:
    """Write the page of a study and its charts, and the index of all pages; returns the page's path.

    `<study>.html`, or `<study>-<profile>.html` at a profile other than the default, with the charts in a folder of the
    same name.
    """
    with open_store(results) as store:
        reading = read_study(results, study, profile, store)
        page = write_page(results, reading, reports)
        write_index(results, reports, suites, {reading.study_profile: reading}, store=store)
    return page
