"""`ablate verify`: a page beside the one that its records make now, and what differs."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ablate.errors import UserError
from ablate.records.address import SHORT
from ablate.records.files import Results
from ablate.report.html import page_name
from ablate.report.pieces import MANIFEST, Pieces, data, pieces

_LONGEST = 100
"""Characters of a text that is told whole."""
_HELP = "pages are what `ablate report STUDY` writes; write the study's page again"


@dataclass(frozen=True)
class Difference:
    """One thing on which page and records disagree."""

    where: str
    page: str
    """What the page says; empty where it has nothing."""
    records: str
    """What the records give."""


@dataclass(frozen=True)
class Verified:
    """A page beside its records."""

    study: str
    profile: str
    results: int
    """Of how many trials a result stands on the page."""
    news: tuple[str, ...]
    """What changed since the page was written: records, the study's file, the code that draws."""
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether the page says what the records give."""
        return not (self.news or self.differences)


def verify(page: Path, folder: Path | None) -> Verified:
    """Make the page again from the records, every record read anew, and compare all that stands on it.

    folder: of all records; by default the one that the page's links lead to. Raises UserError for a file that is no
    page of a study, and where there are no records.
    """
    from ablate.report.page import compose
    from ablate.report.pictures.show import draw_pictures
    from ablate.report.reading import read_study

    text = _read(page)
    said = pieces(text).manifest
    if said is None or not {"study", "profile", "records", "trials"} <= said.keys():
        raise UserError(f"{page} is not a page of ablate that says what it was made of", help=_HELP)
    root = folder or (page.parent / str(said["records"])).parent
    if not root.is_dir():
        raise UserError(f"there is no results folder {root}", help="say where the records are: --results DIR")
    with tempfile.TemporaryDirectory() as fresh:  # a store that is behind the records would not be noticed
        results = Results(root, Path(fresh) / "ablate.duckdb")
        reading = read_study(results, str(said["study"]), str(said["profile"]))
        files, refresh = page_name(*reading.place), said.get("refresh")
        pictures = draw_pictures(results, reading.measured) if said.get("pictures") else None
        made, _ = compose(reading, pictures, files, str(said["records"]), refresh if isinstance(refresh, int) else None)
    news, differences = compared(text, made)
    return Verified(
        *reading.place, sum(trial.record is not None for trial in reading.measured.trials), news, differences
    )


def compared(page: str, made: str) -> tuple[tuple[str, ...], tuple[Difference, ...]]:
    """What changed since a page was written, and on what it differs from the one that is made now."""
    found, again = pieces(page), pieces(made)
    news = tuple(_news(found.manifest or {}, again.manifest or {}))
    differences = tuple(_differences(found, again))
    if not (news or differences) and page != made:  # where nothing stands that one could name
        differences = (_first(page, made),)
    return news, differences


def _read(page: Path) -> str:
    try:
        return page.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{page} is not a page of ablate: it is not UTF-8", help=_HELP) from error
    except OSError as error:
        raise UserError(f"{page} cannot be read: {error.strerror or error}", help=_HELP) from error


def _news(said: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What the manifests do not share, in sentences."""
    before, after = said.get("trials", {}), now.get("trials", {})
    for key in dict.fromkeys((*before, *after)):
        name, one, two = f"trial {key[:SHORT]}", before.get(key), after.get(key)
        if two is None:
            yield f"{name} stands on the page, and has no result now"
        elif one is None:
            yield f"{name} was done since"
        elif one != two:
            yield f"the result of {name} is another: the page has attempt and SHA-256 {_told(one)}, now {_told(two)}"
    names = {"plan": "the plan's number", "study_file": "the study's file (SHA-256)", "made_by": "what drew the page"}
    for name in dict.fromkeys((*said, *now)):
        if name != "trials" and said.get(name) != now.get(name):
            yield f"{names.get(name, name)}: the page has {_told(said.get(name))}, now it is {_told(now.get(name))}"


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _differences(page: Pieces, made: Pieces) -> Iterator[Difference]:
    """Place by place; where one has more to say, all that it says there."""
    for place in dict.fromkeys((*made.parts, *page.parts)):
        one, two = page.parts.get(place, []), made.parts.get(place, [])
        where = made.words.get(place) or page.words[place]
        if len(one) == len(two):
            yield from (_narrow(where, *both) for both in zip(one, two, strict=True) if both[0] != both[1])
        else:
            yield _narrow(where, " ".join(one), " ".join(two))
    for name in dict.fromkeys((*made.scripts, *page.scripts)):
        was, now = page.scripts.get(name, ""), made.scripts.get(name, "")
        if was != now and name != MANIFEST:
            yield from _in_script(name, was, now)


def _narrow(where: str, page: str, made: str) -> Difference:
    """A difference; of long texts the part in which they differ."""
    if max(len(page), len(made)) <= _LONGEST:
        return Difference(where, page, made)
    first = _first(page, made)
    return Difference(where, f"... {first.page} ...", f"... {first.records} ...")


def _in_script(name: str, page: str, made: str) -> Iterator[Difference]:
    """What differs in a chart's data or its specification; in other scripts, and the style, where it begins to."""
    if not name.startswith("spec-"):
        yield Difference(f"{name}, {(first := _first(page, made)).where}", first.page, first.records)
        return
    one, two = dict(data(page)), dict(data(made))
    chart = name.removeprefix("spec-")
    for at in dict.fromkeys((*two, *one)):
        if one.get(at) != two.get(at):
            where = f"chart '{chart}', {' > '.join(at)}" if at else f"chart '{chart}'"
            yield Difference(where, one.get(at, ""), two.get(at, ""))
    if one == two:  # written otherwise, with the same value
        yield Difference(f"chart '{chart}', {(first := _first(page, made)).where}", first.page, first.records)


def _first(page: str, made: str) -> Difference:
    """Where two texts begin to differ, and some of what stands there."""
    at = next((n for n, (a, b) in enumerate(zip_longest(page, made)) if a != b), 0)
    line = page.count("\n", 0, at) + 1
    begin = max(0, at - 20)
    return Difference(
        f"line {line}, character {at - page.rfind(chr(10), 0, at)}", page[begin : at + 40], made[begin : at + 40]
    )
