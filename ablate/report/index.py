"""Index: all studies on one page, with how far each is, its verdicts, and every claim across profiles."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from ablate.errors import UserError
from ablate.judge import told
from ablate.records.files import Results, write_text
from ablate.records.plans import DEFAULT_PROFILE
from ablate.records.status import Standing, read_status
from ablate.records.store import store_of
from ablate.report.findings import answer
from ablate.report.html import INDEX, html, page_name
from ablate.report.reading import Reading, read_study

if TYPE_CHECKING:
    from ablate.judge.verdict import Verdict

Suite = tuple[str, str, tuple[str, ...]]
"""Name, title, and the names of its studies in the order in which they run."""
Place = tuple[str, str]
"""Study and profile."""


@dataclass(frozen=True)
class Entry:
    """One study at one profile."""

    reading: Reading
    standing: Standing
    hours: float
    """Of all its attempts, whatever became of them; what several studies share counts in each."""
    page: str | None
    """As seen from the index; None where it was not written."""

    @property
    def counts(self) -> dict[str, int]:
        """Verdict -> how many claims have it."""
        return _counted(self.reading.judged.verdicts)

    @property
    def answer(self) -> str:
        """Of the answer to its question, the first sentence."""
        return re.split(r"(?<=[.!?]) ", answer(self.reading.measured, self.reading.judged))[0]


@dataclass(frozen=True)
class ClaimRow:
    """One claim, with its verdict at each profile."""

    study: str
    page: str | None
    verdicts: dict[str, Verdict]
    """By profile."""

    @property
    def any(self) -> Verdict:
        """The first of them: what is claimed, and what the paper's numbers say, is the same in all."""
        return next(iter(self.verdicts.values()))

    @property
    def kinds(self) -> str:
        """The verdicts, for the filter: `supported not-measured`."""
        return " ".join(dict.fromkeys(verdict.kind.replace(" ", "-") for verdict in self.verdicts.values()))


@dataclass(frozen=True)
class Progress:
    """A suite at a profile."""

    title: str
    profile: str
    complete: int
    """Studies of which every trial that was asked for is done."""
    done: int
    trials: int
    counts: dict[str, int]
    absent: tuple[str, ...]
    """Its studies that were not run there."""
    studies: int


def write_index(
    results: Results,
    reports: Path,
    suites: Sequence[Suite] = (),
    read: Mapping[Place, Reading] | None = None,
    refresh: int | None = None,
    store: duckdb.DuckDBPyConnection | None = None,
) -> Path:
    """Write `index.html` over all studies that have records; returns its path.

    read: studies that were read just now, which are not judged again. refresh: see `html`. store: where it is open.
    """
    with store_of(results, store) as opened:
        entries, broken = read_entries(results, reports, opened, _ordered(suites), read or {})
    claims = claim_rows(entries)
    text = html(
        "index.html.j2",
        script="index.js",
        refresh=refresh,
        entries=entries,
        broken=broken,
        claims=claims,
        profiles=_profiles(entries),
        suites=progress(entries, suites),
        kinds={kind: sum(kind.replace(" ", "-") in row.kinds.split() for row in claims) for kind in told.MARKS},
        told=told,
    )
    path = reports / f"{INDEX}.html"
    write_text(path, text)
    return path


def read_entries(
    results: Results,
    reports: Path,
    store: duckdb.DuckDBPyConnection,
    order: Callable[[Place], object],
    read: Mapping[Place, Reading],
) -> tuple[list[Entry], dict[Place, str]]:
    """All studies with records, and those that cannot be shown with the reason."""
    entries, broken = [], {}
    hours = _hours(store)
    standings = {(each.study, each.profile): each for each in read_status(store, results).standings}
    for place in sorted(standings, key=order):  # type: ignore[arg-type]
        page = f"{page_name(*place)}.html"
        try:
            reading = read.get(place) or read_study(results, *place, store)
        except UserError as error:
            broken[place] = str(error)
            continue
        written = page if (reports / page).is_file() else None
        entries.append(Entry(reading, standings[place], hours.get(place, 0.0), written))
    return entries, broken


def claim_rows(entries: Iterable[Entry]) -> list[ClaimRow]:
    """A row a claim, in the order of the studies and of the claims in each."""
    rows: dict[tuple[str, str], ClaimRow] = {}
    for entry in entries:
        study, profile = entry.reading.place
        for verdict in entry.reading.judged.verdicts:
            row = rows.setdefault((study, verdict.claim.id), ClaimRow(study, entry.page, {}))
            row.verdicts[profile] = verdict
    return list(rows.values())


def progress(entries: Sequence[Entry], suites: Sequence[Suite]) -> list[Progress]:
    """Each suite at each profile at which one of its studies was run."""
    found = []
    for _, title, names in suites:
        of_suite = [entry for entry in entries if entry.reading.place[0] in names]
        for profile in _profiles(of_suite):
            at = {entry.reading.place[0]: entry for entry in of_suite if entry.reading.place[1] == profile}
            standings = [entry.standing for entry in at.values()]
            found.append(
                Progress(
                    title=title,
                    profile=profile,
                    complete=sum(each.counts["done"] == each.trials for each in standings),
                    done=sum(each.counts["done"] for each in standings),
                    trials=sum(each.trials for each in standings),
                    counts=_counted([verdict for each in at.values() for verdict in each.reading.judged.verdicts]),
                    absent=tuple(name for name in names if name not in at),
                    studies=len(names),
                )
            )
    return found


def _counted(verdicts: Sequence[Verdict]) -> dict[str, int]:
    kinds = [verdict.kind for verdict in verdicts]
    return {kind: kinds.count(kind) for kind in told.MARKS if kind in kinds}


def _ordered(suites: Sequence[Suite]) -> Callable[[Place], object]:
    """Studies as the suites have them, the others after them by name; the default profile first."""
    places = {name: number for number, name in enumerate(name for _, _, names in suites for name in names)}

    def order(place: Place) -> object:
        study, profile = place
        return (places.get(study, len(places)), study, profile != DEFAULT_PROFILE, profile)

    return order


def _profiles(entries: Iterable[Entry]) -> list[str]:
    profiles = {entry.reading.place[1] for entry in entries}
    return sorted(profiles, key=lambda profile: (profile != DEFAULT_PROFILE, profile))


def _hours(store: duckdb.DuckDBPyConnection) -> dict[Place, float]:
    """Of the attempts of each study; those that are under way, or were killed, do not say how long they took."""
    rows = store.execute(
        """SELECT study, profile, coalesce(sum(ended - started), 0) / 3600
        FROM (SELECT DISTINCT study, profile, key FROM cells) JOIN attempts USING (key) GROUP BY ALL"""
    ).fetchall()
    return {(study, profile): hours for study, profile, hours in rows}
