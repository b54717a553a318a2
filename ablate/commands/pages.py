"""What `ablate report` writes: which studies, in which formats, once or as long as they run."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ablate.records.files import Results
    from ablate.report.reading import Reading

Target = tuple[str, str]
"""A study, its name or its file, and a profile."""


@dataclass(frozen=True)
class Asked:
    """What a command was asked to write."""

    results: "Results"
    reports: Path
    names: Sequence[str]
    """Studies and suites; all studies with records where there are none."""
    profile: str | None
    formats: Sequence[str]
    pictures: bool = True


def write_pages(asked: Asked, targets: Sequence[Target], refresh: int | None = None) -> list[Path]:
    """Write each target, and the index after the pages; returns the files.

    What cannot be written does not stop the rest. Raises UserError for all of it at the end. refresh: see
    `ablate.report.html`.
    """
    from ablate.errors import Problem, UserError
    from ablate.records.store import open_store
    from ablate.report.formats import write_formats
    from ablate.report.index import write_index
    from ablate.report.reading import read_study
    from ablate.run.overview import suite_members

    problems: list[Problem] = []
    written: list[Path] = []
    read: dict[Target, Reading] = {}
    with open_store(asked.results) as store:
        for study, profile in targets:
            try:
                reading = read_study(asked.results, study, profile, store)
                written += write_formats(asked.results, reading, asked.reports, asked.formats, refresh, asked.pictures)
                read[reading.place] = reading
            except UserError as error:
                problems += error.problems
        if "html" in asked.formats and read:
            written.append(write_index(asked.results, asked.reports, suite_members(), read, refresh, store))
    if problems:
        print("\n".join(map(str, written)))
        raise UserError(*problems)
    return written


def targets(asked: Asked) -> list[Target]:
    """The studies that are meant, each with the profile. Raises UserError where nothing, or none such, was run."""
    from ablate.commands.options import scale_in
    from ablate.commands.suites import suite_of
    from ablate.records.plans import newest_plan

    if not asked.names:
        return _all(asked)
    found: list[Target] = []
    for name in asked.names:
        if suite := suite_of(name, recorded=True):
            found += _of_suite(asked, suite.suite.name, suite.studies)
        else:
            scale = scale_in(asked.results, name, asked.profile)
            found.append((name, newest_plan(asked.results, name, scale)["profile"]))
    return list(dict.fromkeys(found))


def _all(asked: Asked) -> list[Target]:
    from ablate.commands.options import scale_in
    from ablate.errors import UserError
    from ablate.records.status import read_status
    from ablate.records.store import open_store

    with open_store(asked.results) as store:
        found = [(each.study, each.profile) for each in read_status(store, asked.results).standings]
    if asked.profile is not None:
        found = [place for place in found if scale_in(asked.results, place[0], asked.profile) == place[1]]
    if not found:
        where = f" at the profile '{asked.profile}'" if asked.profile else ""
        raise UserError(f"no study in {asked.results.root} was run{where}", help="run one: ablate run STUDY")
    return found


def _of_suite(asked: Asked, suite: str, studies: Mapping[str, str]) -> list[Target]:
    """The studies of a suite that were run; the others are told."""
    from ablate.commands.options import scale_in
    from ablate.errors import UserError
    from ablate.records.plans import load_plans, newest_plan

    found: list[Target] = []
    absent = []
    for name, file in studies.items():
        profiles = {plan["profile"] for plan in load_plans(asked.results, name)}
        scale = scale_in(asked.results, file, asked.profile)
        if not profiles or (scale and scale not in profiles):
            absent.append(name)
        else:
            found.append((name, newest_plan(asked.results, name, scale)["profile"]))
    where = f" at the profile {asked.profile}" if asked.profile else ""
    if not found:
        raise UserError(f"no study of the suite '{suite}' was run{where}", help="run it first")
    if absent:
        print(f"not run{where}: {', '.join(absent)}", file=sys.stderr)
    return found
