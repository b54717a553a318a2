"""`ablate studies`: what there is, and how far each is."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.plans import current_design, load_plans, planned_trials, recorded_studies
from ablate.study.cells import cells, design
from ablate.study.load import LoadedStudy, known_studies, load_study
from ablate.study.schema import ProfileOverrides
from ablate.study.suite import LoadedSuite, known_suites, load_suite


@dataclass(frozen=True)
class Overview:
    """One study at one profile; `profile` is None where it was never run."""

    study: str
    title: str
    file: str | None
    profile: str | None
    done: int
    trials: int
    suites: tuple[str, ...] = ()
    """Those that it is in."""
    whole: bool = False
    """Whether every cell of its file was asked for, with the seeds that the file asks for."""


@dataclass(frozen=True)
class SuiteOverview:
    """One suite at one profile."""

    suite: str
    title: str
    profile: str | None
    """None where none of its studies was ever run."""
    studies: int
    complete: int
    """Studies of which every cell was asked for, and is done."""
    done: int
    trials: int
    """Of those that were run; a trial that two studies ask for counts once."""


def overview(results: Results) -> list[Overview]:
    """All studies that have a file, or a record, by name; one row for each profile at which they were run."""
    files = known_studies()
    rows: list[Overview] = []
    suites = known_and_good_suites()
    for name in sorted({*files, *recorded_studies(results)}):
        within = tuple(suite.suite.name for suite in suites if name in suite.studies)
        plans = load_plans(results, name)
        file = str(files[name]) if name in files else None
        loaded = _loaded(file)
        title = _title(file, loaded) or (plans[-1]["title"] if plans else "")
        profiles = list(dict.fromkeys(plan["profile"] for plan in plans))
        for profile in profiles:
            trials = planned_trials(current_design(plans, profile))
            keys = {trial["key"] for trial in trials}
            done = sum(results.trial(key).result.exists() for key in keys)
            whole = loaded is not None and _is_whole(loaded, profile, trials)
            rows.append(Overview(name, title, file, profile, done, len(keys), within, whole))
        if not profiles:
            rows.append(Overview(name, title, file, None, 0, 0, within))
    return rows


def suites_overview(rows: list[Overview], results: Results) -> list[SuiteOverview]:
    """All suites, at each profile at which one of their studies was run."""
    found = []
    for loaded in known_and_good_suites():
        name, title, size = loaded.suite.name, loaded.suite.title, len(loaded.studies)
        own = [row for row in rows if name in row.suites and row.profile]
        for profile in dict.fromkeys(row.profile for row in own):
            at = [row for row in own if row.profile == profile]
            complete = sum(row.whole and row.done == row.trials for row in at)
            plans = [current_design(load_plans(results, row.study), profile) for row in at if profile]
            keys = {trial["key"] for each in plans for trial in planned_trials(each)}
            done = sum(results.trial(key).result.exists() for key in keys)
            found.append(SuiteOverview(name, title, profile, size, complete, done, len(keys)))
        if not own:
            found.append(SuiteOverview(name, title, None, size, 0, 0, 0))
    return found


def known_and_good_suites() -> list[LoadedSuite]:
    """The suites that can be read: `ablate check` tells of the others."""
    loaded = []
    for path in known_suites().values():
        with contextlib.suppress(UserError):
            loaded.append(load_suite(path))
    return loaded


def suite_members() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Name, title and studies of each suite that can be read, for the index of pages."""
    return tuple((each.suite.name, each.suite.title, tuple(each.studies)) for each in known_and_good_suites())


def _is_whole(loaded: LoadedStudy, scale: str, trials: Sequence[dict[str, Any]]) -> bool:
    """Whether these trials of plan files are all that a study's file asks for now, or more. scale: the plans'."""
    study, profile = loaded.study, scale.partition("+")[0]  # behind it stands what --set changed
    changes = study.profile.get(profile, ProfileOverrides())
    seeds = changes.seeds or study.seeds
    asked = {(_place(trial["case"], trial["axes"]), trial["seed"]) for trial in trials}
    every = cells(study, design(study, changes, profile), loaded.source)
    numbers = range(seeds) if isinstance(seeds, int) else seeds
    return all((_place(cell.case, cell.axes), seed) in asked for cell in every for seed in numbers)


def _place(case: str | None, axes: dict[str, Any]) -> str:
    return json.dumps([case, axes], sort_keys=True)


def _loaded(file: str | None) -> LoadedStudy | None:
    """A study without mistakes; None for any other, or where there is no file."""
    if file is None:
        return None
    try:
        loaded = load_study(file)
    except UserError:
        return None
    return None if loaded.problems else loaded


def _title(file: str | None, loaded: LoadedStudy | None) -> str:
    if file is None:
        return ""
    return loaded.study.title if loaded else "has mistakes: see ablate check"
