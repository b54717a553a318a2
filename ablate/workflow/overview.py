"""Studies and suites: finding them by name, and how far each has come."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.errors import UserError, nearest
from ablate.records.attempt import is_done
from ablate.records.files import Results
from ablate.records.plan_file import PlannedTrial
from ablate.records.plans import (
    current_design,
    current_keys,
    load_plans,
    planned_profiles,
    planned_trials,
    recorded_studies,
)
from ablate.run.history import profile_run
from ablate.study.expansion.design import cells, design
from ablate.study.load import find_study, known_studies, load_study
from ablate.study.schema.study import LoadedStudy
from ablate.study.suite import LoadedSuite, check_no_suite_is_meant, find_suite, known_suites, load_suite


@dataclass(frozen=True)
class StudyOverview:
    """One study at one profile; `profile` is None if it was never run."""

    study: str
    title: str
    file: str | None
    profile: str | None
    done: int
    trials: int
    suites: tuple[str, ...] = ()
    """The suites that contain it."""
    whole: bool = False
    """Whether its runs planned every cell and every seed of its file."""


@dataclass(frozen=True)
class SuiteOverview:
    """One suite at one profile."""

    suite: str
    title: str
    profile: str | None
    """None if none of its studies was ever run."""
    studies: int
    complete: int
    """Studies of which every cell is done."""
    done: int
    trials: int
    """Of the studies that were run; a trial that two of them share counts once."""


def studies_overview(results: Results) -> list[StudyOverview]:
    """All studies with a file or records, by name: a row for each profile at which they were run."""
    files = known_studies()
    rows: list[StudyOverview] = []
    suites = readable_suites()
    for name in sorted({*files, *recorded_studies(results)}):
        within = tuple(suite.suite.name for suite in suites if name in suite.studies)
        plans = load_plans(results, name)
        file = str(files[name]) if name in files else None
        loaded = readable_study(file)
        title = _title(file, loaded) or (plans[-1].title if plans else "")
        profiles = planned_profiles(plans)
        for profile in profiles:
            trials = planned_trials(current_design(plans, profile))
            keys = {trial.key for trial in trials}
            done = sum(is_done(results.trial(key)) for key in keys)
            whole = loaded is not None and _is_whole(loaded, profile, trials)
            rows.append(StudyOverview(name, title, file, profile, done, len(keys), within, whole))
        if not profiles:
            rows.append(StudyOverview(name, title, file, None, 0, 0, within))
    return rows


def suites_overview(rows: list[StudyOverview], results: Results) -> list[SuiteOverview]:
    """All suites: a row for each profile at which one of their studies was run."""
    found = []
    for loaded in readable_suites():
        name, title, size = loaded.suite.name, loaded.suite.title, len(loaded.studies)
        own = [row for row in rows if name in row.suites and row.profile]
        for profile in dict.fromkeys(row.profile for row in own):
            at = [row for row in own if row.profile == profile]
            complete = sum(row.whole and row.done == row.trials for row in at)
            keys = {key for row in at for key in current_keys(load_plans(results, row.study), profile)}
            done = sum(is_done(results.trial(key)) for key in keys)
            found.append(SuiteOverview(name, title, profile, size, complete, done, len(keys)))
        if not own:
            found.append(SuiteOverview(name, title, None, size, 0, 0, 0))
    return found


def readable_suites() -> list[LoadedSuite]:
    """The suites that can be read; `ablate check` reports the others."""
    loaded = []
    for path in known_suites().values():
        with contextlib.suppress(UserError):
            loaded.append(load_suite(path))
    return loaded


def suite_named(name: str, recorded: bool = False) -> LoadedSuite | None:
    """The suite of this name or file; None for a study. Raises UserError for problems in the suite.

    recorded: whether the name may also be of a study that has records but no file.
    """
    path = find_suite(name)
    if path is None:
        if not recorded:
            check_no_suite_is_meant(name)
        return None
    loaded = load_suite(path)
    if loaded.problems:
        raise UserError(*loaded.problems)
    return loaded


def check_is_study(name: str) -> None:
    """Raise UserError for a suite, by its name or file, where a command takes one study."""
    if path := find_suite(name):
        studies = ", ".join(load_suite(path).studies)
        raise UserError(f"'{name}' is a suite, but this command takes one study", help=f"its studies are: {studies}")


def recorded_profile(results: Results, study: str, profile: str | None) -> str | None:
    """The profile that a name means for a study that was run: `paper` is the study's own; None stays None.

    Raises UserError for a study that has neither a file nor records, with the nearest name of a file.
    """
    name = Path(study).stem
    if not load_plans(results, name) and not nearest(name, recorded_studies(results)):
        find_study(study)
    return None if profile is None else profile_run(results, study, profile)


def suite_members() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Name, title and studies of each suite that can be read, for the index of pages."""
    return tuple((each.suite.name, each.suite.title, tuple(each.studies)) for each in readable_suites())


def _is_whole(loaded: LoadedStudy, profile: str, trials: Sequence[PlannedTrial]) -> bool:
    """Whether these trials of plan files include every cell and seed of a study's file. profile: of the plan files."""
    study, profile = loaded.study, profile.partition("+")[0]  # the changes of --set follow the plus
    asked = {(trial.cell, trial.seed) for trial in trials}
    every = cells(study, design(study, profile), loaded.source)
    return all((each.cell, seed) in asked for each in every for seed in study.seeds_at(profile))


def readable_study(file: str | None) -> LoadedStudy | None:
    """A study that can be read; None if it has problems or no file."""
    with contextlib.suppress(UserError):
        loaded = load_study(file) if file else None
        return None if loaded is None or loaded.problems else loaded
    return None


def _title(file: str | None, loaded: LoadedStudy | None) -> str:
    if file is None:
        return ""
    return loaded.study.title if loaded else "invalid: see ablate check"
