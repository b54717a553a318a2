"""The forms in which a study is written: its page, tables for a paper, its charts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ablate.errors import UserError, nearest
from ablate.records.files import Results, write_bytes, write_text
from ablate.report.charts.figures import figures_of
from ablate.report.figure import Figure
from ablate.report.html import page_name
from ablate.report.page import write_page
from ablate.report.pictures.show import draw_pictures
from ablate.report.reading import Reading
from ablate.report.tables import as_latex, as_markdown, cells_csv, claims_csv, tables

FORMATS = ("html", "md", "latex", "csv", "svg", "png", "pdf")
_CHARTS = ("svg", "png", "pdf")


def read_formats(given: Sequence[str]) -> list[str]:
    """The formats of `--format`, repeated or joined by commas. Raises UserError for one that there is not."""
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            raise UserError(f"unknown format '{name}'{nearest(name, FORMATS)}", help=f"there are: {', '.join(FORMATS)}")
    return list(dict.fromkeys(names)) or ["html"]


def write_formats(
    results: Results,
    reading: Reading,
    reports: Path,
    formats: Sequence[str],
    refresh: int | None = None,
    with_pictures: bool = True,
) -> list[Path]:
    """Write a study in some formats; returns the files.

    `<study>.html`, and in the folder of that name `tables.md`, `tables.tex`, `cells.csv` and `claims.csv`, and a
    `<chart>.svg`, `.png` or `.pdf` a chart. refresh: see `html`.
    """
    folder = reports / page_name(*reading.place)
    written: list[Path] = []
    if "html" in formats:
        written.append(write_page(results, reading, reports, refresh, with_pictures))
    texts = {}
    if "md" in formats:
        texts["tables.md"] = as_markdown(tables(reading))
    if "latex" in formats:
        texts["tables.tex"] = as_latex(tables(reading))
    if "csv" in formats:
        texts |= {"cells.csv": cells_csv(reading.measured), "claims.csv": claims_csv(reading)}
    for name, text in texts.items():
        write_text(folder / name, text)
    written += [folder / name for name in texts]
    figures = _figures(results, reading, with_pictures) if set(formats) & set(_CHARTS) else []
    for kind in (each for each in _CHARTS if each in formats):
        for figure in figures:
            write_bytes(folder / f"{figure.name}.{kind}", _drawn(figure, kind))
            written.append(folder / f"{figure.name}.{kind}")
    return written


def _figures(results: Results, reading: Reading, with_pictures: bool) -> list[Figure]:
    pictures = draw_pictures(results, reading.measured).figures if with_pictures else ()
    return [*figures_of(reading), *pictures]


def _drawn(figure: Figure, kind: str) -> bytes:
    if kind == "svg":
        return figure.svg.encode()
    return figure.png if kind == "png" else figure.pdf
