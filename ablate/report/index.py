"""The index page: all studies with their progress and verdicts, and every claim across profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from ablate.errors import UserError
from ablate.judge import wording
from ablate.judge.statistics.combine import holm
from ablate.judge.statistics.comparisons import LEVEL
from ablate.records.files import Results, write_text
from ablate.records.plans import DEFAULT_PROFILE
from ablate.records.status import Standing, StudyProfile, read_status
from ablate.records.store import store_of
from ablate.report.headline import Headline, headline
from ablate.report.reading import Reading, read_study
from ablate.report.render.html import INDEX, html, page_name
from ablate.report.render.names import Names
from ablate.report.thumbnail import Tile, thumbnail

if TYPE_CHECKING:
    from ablate.judge.verdict import Verdict

Suite = tuple[str, str, tuple[str, ...]]
"""Name, title, and the names of its studies in the order in which they run."""


@dataclass(frozen=True)
class Entry:
    """One study at one profile."""

    reading: Reading
    standing: Standing
    hours: float
    """Hours of all its attempts, failed ones included; trials that several studies share count in each."""
    page: str | None
    """Link relative to the index; None if the page was not written."""

    @property
    def counts(self) -> dict[str, int]:
        """Verdict -> how many claims have it."""
        return _counted(self.reading.judged.verdicts)

    @cached_property
    def headline(self) -> Headline:
        """The answer to the study's question, in one sentence, and the kind of verdict that gives it."""
        return headline(self.reading.measured, self.reading.judged)

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """A small picture of its results."""
        return thumbnail(self.reading.measured)


@dataclass(frozen=True)
class ClaimRow:
    """One claim, with its verdict at each profile."""

    study: str
    page: str | None
    verdicts: dict[str, Verdict]
    """Profile -> verdict."""

    compared: dict[str, str]
    """Profile -> what was compared, in the names of pages."""

    @property
    def any(self) -> Verdict:
        """Any one verdict: the claim and its result on the paper's numbers are the same at every profile."""
        return next(iter(self.verdicts.values()))

    @property
    def kinds(self) -> str:
        """The kinds of verdicts for the filter: `supported not-measured`."""
        return " ".join(dict.fromkeys(verdict.kind.replace(" ", "-") for verdict in self.verdicts.values()))


@dataclass(frozen=True)
class SuiteProgress:
    """The progress of a suite at a profile."""

    title: str
    profile: str
    complete: int
    """Number of studies with every planned trial done."""
    done: int
    trials: int
    counts: dict[str, int]
    absent: tuple[str, ...]
    """Its studies that were not run at this profile."""
    studies: int


def write_index(
    results: Results,
    reports: Path,
    suites: Sequence[Suite] = (),
    read: Mapping[StudyProfile, Reading] | None = None,
    refresh: int | None = None,
    store: duckdb.DuckDBPyConnection | None = None,
) -> Path:
    """Write `index.html` over all studies that have records; returns its path.

    read: studies that were just read and are not judged again. refresh: see `html`. store: an open store, if any.
    """
    with store_of(results, store) as opened:
        found = read_entries(results, reports, opened, read or {})
    return write_entries(*found, reports, suites, refresh)


def write_entries(
    entries: Sequence[Entry],
    broken: Mapping[StudyProfile, str],
    reports: Path,
    suites: Sequence[Suite] = (),
    refresh: int | None = None,
) -> Path:
    """Write `index.html` over studies that `read_entries` has read; returns its path.

    broken: the studies that cannot be shown, with the reason.
    """
    order = _ordered(suites)
    entries = sorted(entries, key=lambda entry: order(entry.reading.study_profile))
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
        errors=error_over_all([entry.reading.judged.verdicts for entry in entries]),
        kinds={kind: sum(kind.replace(" ", "-") in row.kinds.split() for row in claims) for kind in wording.MARKS},
        published=any(row.any.paper is not None or row.any.claim.with_paper for row in claims),
        wording=wording,
    )
    path = reports / f"{INDEX}.html"
    write_text(path, text)
    return path


def read_entries(
    results: Results,
    reports: Path,
    store: duckdb.DuckDBPyConnection,
    read: Mapping[StudyProfile, Reading],
) -> tuple[list[Entry], dict[StudyProfile, str]]:
    """All studies with records; and the studies that cannot be shown, with the reason."""
    entries, broken = [], {}
    hours = _hours(store)
    standings = {(each.study, each.profile): each for each in read_status(store, results).standings}
    for pair in sorted(standings):
        page = f"{page_name(*pair)}.html"
        try:
            reading = read.get(pair) or read_study(results, *pair, store)
        except UserError as error:
            broken[pair] = str(error)
            continue
        written = page if (reports / page).is_file() else None
        entries.append(Entry(reading, standings[pair], hours.get(pair, 0.0), written))
    return entries, broken


def claim_rows(entries: Iterable[Entry]) -> list[ClaimRow]:
    """One row per claim, in the order of the studies and of their claims."""
    rows: dict[tuple[str, str], ClaimRow] = {}
    for entry in entries:
        study, profile = entry.reading.study_profile
        names = Names(entry.reading.measured)
        for verdict in entry.reading.judged.verdicts:
            row = rows.setdefault((study, verdict.claim.id), ClaimRow(study, entry.page, {}, {}))
            row.verdicts[profile] = verdict
            row.compared[profile] = names.comparison(verdict.decision.compared) if verdict.decision else ""
    return list(rows.values())


def error_over_all(tables: Iterable[Sequence[Verdict]]) -> str | None:
    """A sentence on the error rate over the verdicts of all studies together; None if fewer than two have a test."""
    tested = [
        [(each.state, each.decision.p) for each in table if each.decision is not None and each.decision.p is not None]
        for table in tables
    ]
    count = sum(bool(each) for each in tested)
    if count < 2:
        return None
    decided = [state in ("supported", "refuted") for table in tested for state, _ in table]
    adjusted = holm([p for table in tested for _, p in table])
    verdicts = sum(decided)
    stand = sum(bool(p <= LEVEL) for p, own in zip(adjusted, decided, strict=True) if own)
    return (
        f"The error rate of 5 % is each study's. Over these {count} tables, the probability of any false verdict "
        f"may be up to {100 * min(1.0, 1 - 0.95**count):.0f} %; if all claims share 5 % (Holm), {stand} of the "
        f"{verdicts} verdicts stand."
    )


def progress(entries: Sequence[Entry], suites: Sequence[Suite]) -> list[SuiteProgress]:
    """Each suite at each profile at which at least one of its studies was run."""
    found = []
    for _, title, names in suites:
        of_suite = [entry for entry in entries if entry.reading.study_profile[0] in names]
        for profile in _profiles(of_suite):
            pairs = ((*entry.reading.study_profile, entry) for entry in of_suite)
            at = {study: entry for study, at_profile, entry in pairs if at_profile == profile}
            standings = [entry.standing for entry in at.values()]
            found.append(
                SuiteProgress(
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
    return {kind: kinds.count(kind) for kind in wording.MARKS if kind in kinds}


def _ordered(suites: Sequence[Suite]) -> Callable[[StudyProfile], tuple[int, str, bool, str]]:
    """The order of studies: by suite, then by name; the default profile first."""
    positions = {name: number for number, name in enumerate(name for _, _, names in suites for name in names)}

    def order(pair: StudyProfile) -> tuple[int, str, bool, str]:
        study, profile = pair
        return (positions.get(study, len(positions)), study, profile != DEFAULT_PROFILE, profile)

    return order


def _profiles(entries: Iterable[Entry]) -> list[str]:
    profiles = {entry.reading.study_profile[1] for entry in entries}
    return sorted(profiles, key=lambda profile: (profile != DEFAULT_PROFILE, profile))


def _hours(store: duckdb.DuckDBPyConnection) -> dict[StudyProfile, float]:
    """Hours of the attempts of each study, except running and killed ones, which record no end."""
    rows = store.execute(
        """SELECT study, profile, coalesce(sum(ended - started), 0) / 3600
        FROM (SELECT DISTINCT study, profile, key FROM cells) JOIN attempts USING (key) GROUP BY ALL"""
    ).fetchall()
    return {(study, profile): hours for study, profile, hours in rows}
