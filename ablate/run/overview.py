"""`ablate studies`: what there is, and how far each is."""

import contextlib
from dataclasses import dataclass

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.plans import current_design, load_plans, planned_trials
from ablate.study.load import known_studies, load_study
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


@dataclass(frozen=True)
class SuiteOverview:
    """One suite at one profile."""

    suite: str
    title: str
    profile: str | None
    """None where none of its studies was ever run."""
    studies: int
    complete: int
    """Studies of which every trial that was asked for is done."""
    done: int
    trials: int
    """Of those that were run; a trial that two studies ask for counts in both."""


def overview(results: Results) -> list[Overview]:
    """All studies that have a file, or a record, by name; one row for each profile at which they were run."""
    files = known_studies()
    recorded = results.root / "studies"
    names = {path.name for path in recorded.iterdir() if path.is_dir()} if recorded.is_dir() else set()
    rows: list[Overview] = []
    suites = known_and_good_suites()
    for name in sorted(files.keys() | names):
        within = tuple(suite.suite.name for suite in suites if name in suite.studies)
        plans = load_plans(results, name)
        file = str(files[name]) if name in files else None
        title = _title(file) or (plans[-1]["title"] if plans else "")
        profiles = list(dict.fromkeys(plan["profile"] for plan in plans))
        for profile in profiles:
            keys = {trial["key"] for trial in planned_trials(current_design(plans, profile))}
            done = sum(results.trial(key).result.exists() for key in keys)
            rows.append(Overview(name, title, file, profile, done, len(keys), within))
        if not profiles:
            rows.append(Overview(name, title, file, None, 0, 0, within))
    return rows


def suites_overview(rows: list[Overview]) -> list[SuiteOverview]:
    """All suites, at each profile at which one of their studies was run."""
    found = []
    for loaded in known_and_good_suites():
        name, title, size = loaded.suite.name, loaded.suite.title, len(loaded.studies)
        own = [row for row in rows if name in row.suites and row.profile]
        for profile in dict.fromkeys(row.profile for row in own):
            at = [row for row in own if row.profile == profile]
            complete = sum(row.done == row.trials for row in at)
            done, trials = sum(row.done for row in at), sum(row.trials for row in at)
            found.append(SuiteOverview(name, title, profile, size, complete, done, trials))
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


def _title(file: str | None) -> str:
    if file is None:
        return ""
    try:
        loaded = load_study(file)
    except UserError:
        return "cannot be read: see ablate check"
    return loaded.study.title if not loaded.problems else "has mistakes: see ablate check"
