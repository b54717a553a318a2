"""Writing pages: of a run that has ended, of a cluster's submission, or of any studies with records."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.errors import Problem, TrialsFailed, UserError, nearest, visible

if TYPE_CHECKING:
    from ablate.records.files import Results
    from ablate.report.reading import Reading
    from ablate.workflow.run import FinishedRun


Target = tuple[str, str]
"""A study, by its name or file, and a profile."""


@dataclass(frozen=True)
class PageRequest:
    """Which pages to write, and how."""

    results: Results
    reports: Path
    names: Sequence[str] = ()
    """Studies and suites; empty for all studies with records."""
    profile: str | None = None
    formats: Sequence[str] = ("html",)
    pictures: bool = True

    def targets(self) -> list[Target]:
        """The studies with their profiles. Raises UserError if one of them, or all, have no records."""
        from ablate.records.plans import newest_plan
        from ablate.workflow.overview import recorded_profile, suite_named

        if not self.names:
            return self._all_targets()
        found: list[Target] = []
        for name in self.names:
            if suite := suite_named(name, recorded=True):
                found += self._suite_targets(suite.suite.name, suite.studies)
            else:
                profile = recorded_profile(self.results, name, self.profile)
                found.append((name, newest_plan(self.results, name, profile).profile))
        return list(dict.fromkeys(found))

    def _all_targets(self) -> list[Target]:
        from ablate.records.status import read_status
        from ablate.records.store import open_store
        from ablate.workflow.overview import recorded_profile

        with open_store(self.results) as store:
            found = [(each.study, each.profile) for each in read_status(store, self.results).standings]
        if self.profile is not None:
            found = [each for each in found if recorded_profile(self.results, each[0], self.profile) == each[1]]
        if not found:
            where = f" at the profile '{self.profile}'" if self.profile else ""
            raise UserError(f"{self.results.root} has no records{where}", help="run one: ablate run STUDY")
        return found

    def _suite_targets(self, suite: str, studies: Mapping[str, str]) -> list[Target]:
        """The studies of a suite that were run; prints the others."""
        from ablate.records.plans import load_plans, newest_plan
        from ablate.workflow.overview import recorded_profile

        found: list[Target] = []
        absent = []
        for name, file in studies.items():
            profiles = {plan.profile for plan in load_plans(self.results, name)}
            profile = recorded_profile(self.results, file, self.profile)
            if not profiles or (profile and profile not in profiles):
                absent.append(name)
            else:
                found.append((name, newest_plan(self.results, name, profile).profile))
        where = f" at the profile {self.profile}" if self.profile else ""
        if not found:
            raise UserError(f"no study of the suite '{suite}' was run{where}", help="run it first")
        if absent:
            print(f"not run{where}: {', '.join(absent)}", file=sys.stderr)
        return found


def write_pages(request: PageRequest, targets: Sequence[Target], refresh: int | None = None) -> list[Path]:
    """Write each target, then the index of all pages; returns the files.

    A study that cannot be written does not stop the others: UserError is raised for all of them at the end. refresh:
    see `ablate.report.render.html`.
    """
    return _write_all([(request, targets)], refresh)


def _write_all(requests: Sequence[tuple[PageRequest, Sequence[Target]]], refresh: int | None = None) -> list[Path]:
    """Write the targets of requests for pages in one folder, each with records of its own, and one index."""
    from ablate.records.store import open_store
    from ablate.report.formats import write_formats
    from ablate.report.index import Entry, read_entries, write_entries
    from ablate.report.reading import read_study
    from ablate.workflow.overview import suite_members

    problems: list[Problem] = []
    written: list[Path] = []
    entries: list[Entry] = []
    broken: dict[Target, str] = {}
    with_index = False
    for request, targets in requests:
        results, reports = request.results, request.reports
        read: dict[Target, Reading] = {}
        with open_store(results) as store:
            for study, profile in targets:
                try:
                    reading = read_study(results, study, profile, store)
                    written += write_formats(results, reading, reports, request.formats, refresh, request.pictures)
                    read[reading.study_profile] = reading
                except UserError as error:
                    problems += error.problems
            if "html" in request.formats:
                found, not_shown = read_entries(results, reports, store, read)
                entries += found
                broken |= not_shown
                with_index = with_index or bool(read)
    if with_index:
        written.append(write_entries(entries, broken, reports, suite_members(), refresh))
    if problems:
        print("\n".join(visible(str(path)) for path in written))
        raise UserError(*problems)
    return written


def pages_of_published(
    paths: Sequence[Path], reports: Path, names: Sequence[str], profile: str | None, formats: Sequence[str]
) -> list[Path]:
    """Write the pages of published records and their index; names: only these studies and suites. See `write_pages`."""
    from ablate.records.published import published_files, restored

    with restored(published_files(paths)) as found:
        chosen = _chosen(found, names, profile)
        return _write_all(
            [
                (PageRequest(results, reports, formats=formats, pictures=False), [pair] if pair in chosen else [])
                for pair, results in found.items()
            ]
        )


def _chosen(found: Mapping[Target, Results], names: Sequence[str], profile: str | None) -> set[Target]:
    """The published studies that are meant, at every profile unless one is given.

    Raises UserError without any, and for each name of which the files have none.
    """
    from ablate.run.history import profile_run
    from ablate.workflow.overview import suite_named

    meant: dict[str, dict[str, str]] = {}  # name -> its studies, each with the name or file by which it is meant
    for name in names:
        suite = suite_named(name, recorded=True)
        meant[name] = dict(suite.studies) if suite else {Path(name).stem: name}
    files = {study: file for studies in meant.values() for study, file in studies.items()}
    chosen = {
        (study, its)
        for (study, its), results in found.items()
        if (study in files or not names)
        and (profile is None or profile_run(results, files.get(study, study), profile) == its)
    }
    at = f" at the profile '{profile}'" if profile else ""
    recorded, with_records = {study for study, _ in found}, {study for study, _ in chosen}
    lacking = [
        f" of {name}{at}{'' if recorded & studies.keys() else nearest(Path(name).stem, sorted(recorded))}"
        for name, studies in meant.items()
        if not with_records & studies.keys()
    ]
    if lacking or not chosen:
        help = f"the files have {', '.join(f'{study} at {its}' for study, its in found)}"
        raise UserError(*(Problem(f"no published records{each}", help=help) for each in lacking or [at]))
    return chosen


def check_can_write(reports: Path) -> None:
    """Raise UserError for a folder of pages that cannot be written or made: before hours of training, not after."""
    existing = next((each for each in (reports, *reports.absolute().parents) if os.path.lexists(each)), reports)
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return
    why = f"no permission to write to {existing}" if existing.is_dir() else f"{existing} is not a folder"
    raise UserError(f"cannot write pages in {reports}: {why}", help="choose another folder: --reports DIR")


def finish(finished: FinishedRun, reports: Path | None) -> None:
    """Write the page of a run that has ended, and raise TrialsFailed if a trial failed or has no value.

    reports: None to raise TrialsFailed only.
    """
    from ablate.records.plain import plural

    if reports is None:
        finished.raise_failures()
        return
    plan, results = finished.plan, finished.results
    study = plan.loaded.study
    if finished.detached:
        where = visible(str(reports))
        print(f"You can close this terminal. Progress: ablate status {study.name}. The page will be in {where}.")
        return
    from ablate.report.formats import write_report
    from ablate.workflow.overview import suite_members
    from ablate.workflow.run import RUNNING_ELSEWHERE

    missing = finished.missing()  # before the page is drawn, which has every result that there is by then
    try:
        page = write_report(results, study.name, plan.profile, reports, suite_members())
        print(f"page: {visible(str(page))}")
    except Exception as error:  # failed trials are reported all the same
        try:
            finished.raise_failures()
        except TrialsFailed as failed:
            raise TrialsFailed(f"{failed}\nand the page could not be written:\n{error}") from error
        raise
    if elsewhere := missing[RUNNING_ELSEWHERE]:
        print(
            f"the page lacks {plural(elsewhere, 'trial')} that another process is still training; "
            "run ablate report when they finish"
        )
    finished.raise_failures()
