"""`ablate verify`: comparing a page with the page that its records give now."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ablate.errors import UserError
from ablate.records.address import SHORT
from ablate.records.files import Results
from ablate.report.page_parts import MANIFEST, PageParts, json_values, parse_page
from ablate.report.render.html import page_name

_LONGEST = 100
"""Longer texts are shortened to the part that differs."""
_HELP = "write the page again with `ablate report STUDY`"


@dataclass(frozen=True)
class Difference:
    """One value in which page and records differ."""

    where: str
    page: str
    """The value on the page; empty if it has none."""
    records: str
    """The value from the records."""


@dataclass(frozen=True)
class Verified:
    """The outcome of comparing a page with its records."""

    study: str
    profile: str
    results: int
    """Number of trials with a result."""
    news: tuple[str, ...]
    """What changed since the page was written: records, the study file, the drawing code, sources of imported runs."""
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether the page agrees with its records."""
        return not (self.news or self.differences)


def verify(page: Path, folder: Path | None) -> Verified:
    """Build the page again from freshly read records, and compare all its content; imported results with their source.

    folder: the results folder, or a file of published records; by default what the page links to. Raises UserError for
    a file that is not a page of a study, and for missing records.
    """
    from ablate.records.import_trace import untraced
    from ablate.report.page import compose, draw_figures
    from ablate.report.pictures import draw_pictures
    from ablate.report.reading import read_study

    text = _read(page)
    said = parse_page(text).manifest
    if said is None or not {"study", "profile", "records", "trials"} <= said.keys():
        raise UserError(f"{page} is not an ablate page with a manifest", help=_HELP)
    linked = page.parent / str(said["records"])  # the trials of a results folder, or published records
    with records_at(folder or (linked if linked.suffix == ".parquet" else linked.parent)) as results:
        reading = read_study(results, str(said["study"]), str(said["profile"]))
        files, refresh = page_name(*reading.study_profile), said.get("refresh")
        pictures = draw_pictures(results, reading.shown.judged.evidence) if said.get("pictures") else None
        again = refresh if isinstance(refresh, int) else None
        made, _ = compose(reading, draw_figures(reading), pictures, files, str(said["records"]), again)
    news, differences = compared(text, made)
    if not results.published:  # the sources of imported runs are not published
        news += tuple(untraced(results, reading.digests))
    return Verified(
        *reading.study_profile,
        sum(trial.key in reading.digests for trial in reading.measured.trials),
        news,
        differences,
    )


@contextmanager
def records_at(root: Path) -> Iterator[Results]:
    """The records of a results folder, or those of a file of published ones. Raises UserError if there are none."""
    from ablate.records.published import restored

    if root.suffix == ".parquet" and not root.is_dir():
        with restored([root]) as found:
            yield from found.values()
        return
    if not root.is_dir():
        raise UserError(f"there is no results folder {root}", help="give the results folder with --results DIR")
    with tempfile.TemporaryDirectory() as fresh:  # an outdated store would go unnoticed
        yield Results(root, Path(fresh) / "ablate.duckdb")


def compared(page: str, made: str) -> tuple[tuple[str, ...], tuple[Difference, ...]]:
    """What changed since a page was written, and its differences from the page that is built now."""
    found, again = parse_page(page), parse_page(made)
    news = tuple(_news(found.manifest or {}, again.manifest or {}))
    differences = tuple(_differences(found, again))
    if not (news or differences) and page != made:  # in text that belongs to no named location
        differences = (_first(page, made),)
    return news, differences


def _read(page: Path) -> str:
    try:
        return page.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{page} is not an ablate page: it is not UTF-8", help=_HELP) from error
    except OSError as error:
        raise UserError(f"{page} cannot be read: {error.strerror or error}", help=_HELP) from error


def _news(said: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The differences between two manifests, in sentences."""
    before, after = said.get("trials", {}), now.get("trials", {})
    for key in dict.fromkeys((*before, *after)):
        name, one, two = f"trial {key[:SHORT]}", before.get(key), after.get(key)
        if two is None:
            yield f"{name} is on the page but no longer has a result"
        elif one is None:
            yield f"{name} has finished since"
        elif one != two:
            yield f"the result of {name} changed: page {_text(one)}, records {_text(two)} (attempt and SHA-256)"
    names = {
        "plan": "plan number",
        "all_results": "results of all trials (SHA-256)",
        "study_file": "study file (SHA-256)",
        "made_by": "drawing code",
    }
    for name in dict.fromkeys((*said, *now)):
        if name != "trials" and said.get(name) != now.get(name):
            yield f"{names.get(name, name)} changed: page {_text(said.get(name))}, now {_text(now.get(name))}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _differences(page: PageParts, made: PageParts) -> Iterator[Difference]:
    """Location by location; if the number of texts differs, the whole content of the location."""
    for location in dict.fromkeys((*made.parts, *page.parts)):
        one, two = page.parts.get(location, []), made.parts.get(location, [])
        where = made.names.get(location) or page.names[location]
        if len(one) == len(two):
            yield from (_narrow(where, *both) for both in zip(one, two, strict=True) if both[0] != both[1])
        else:
            yield _narrow(where, " ".join(one), " ".join(two))
    for name in dict.fromkeys((*made.scripts, *page.scripts)):
        was, now = page.scripts.get(name, ""), made.scripts.get(name, "")
        if was != now and name != MANIFEST:
            yield from _in_script(name, was, now)


def _narrow(where: str, page: str, made: str) -> Difference:
    """A difference; of long texts only the part in which they differ."""
    if max(len(page), len(made)) <= _LONGEST:
        return Difference(where, page, made)
    first = _first(page, made)
    return Difference(where, f"... {first.page} ...", f"... {first.records} ...")


def _in_script(name: str, page: str, made: str) -> Iterator[Difference]:
    """The differing values of a chart's specification; for other scripts and styles, the first difference."""
    if not name.startswith("spec-"):
        yield Difference(f"{name}, {(first := _first(page, made)).where}", first.page, first.records)
        return
    one, two = dict(json_values(page)), dict(json_values(made))
    chart = name.removeprefix("spec-")
    for at in dict.fromkeys((*two, *one)):
        if one.get(at) != two.get(at):
            where = f"chart '{chart}', {' > '.join(at)}" if at else f"chart '{chart}'"
            yield Difference(where, one.get(at, ""), two.get(at, ""))
    if one == two:  # equal values, written differently
        yield Difference(f"chart '{chart}', {(first := _first(page, made)).where}", first.page, first.records)


def _first(page: str, made: str) -> Difference:
    """The position of the first difference between two texts, with an excerpt."""
    at = next((n for n, (a, b) in enumerate(zip_longest(page, made)) if a != b), 0)
    line = page.count("\n", 0, at) + 1
    begin = max(0, at - 20)
    return Difference(
        f"line {line}, character {at - page.rfind(chr(10), 0, at)}", page[begin : at + 40], made[begin : at + 40]
    )
