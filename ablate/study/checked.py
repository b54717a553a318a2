"""Checking study files at every profile: all mistakes and warnings, each once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ablate.errors import Problem, UserError
from ablate.study.expand import expand
from ablate.study.lint import lint
from ablate.study.load import LoadedStudy, find_study, known_profiles, known_studies, load_profile, load_study
from ablate.study.scale import scale
from ablate.study.schema import DEFAULT_PROFILE
from ablate.study.suite import find_suite, known_suites, load_suite
from ablate.study.trainer import SIMCLR
from ablate.study.trainers import find_trainer, without_look


@dataclass(frozen=True)
class Checked:
    """What is wrong with one study file, and how large it is where nothing is."""

    name: str
    """As it was asked for."""
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    trials: dict[str, int]
    """Profile -> trials."""
    studies: int | None = None
    """How many a suite names; None for a study."""


def check_files(names: Sequence[str], profiles: Sequence[str]) -> list[Checked]:
    """Check studies by file or name, at these profiles or at all; of a suite, itself and each of its studies.

    Data folders are not looked into. A file that does not exist is a problem of its own, told with the rest.
    """
    checked: dict[str, Checked] = {}
    for name in names or [*known_studies(), *map(str, known_suites().values())]:
        if (suite := find_suite(name)) is None:
            checked[name] = _check(name, profiles)
            continue
        try:
            loaded = load_suite(suite)
        except UserError as error:
            checked[name] = Checked(name, error.problems, (), {})
            continue
        for study, file in loaded.studies.items() if names else ():
            checked[study] = _check(file, profiles)
        checked[name] = Checked(name, loaded.problems, (), {}, len(loaded.suite.studies))
    return list(checked.values())


def _check(name: str, profiles: Sequence[str]) -> Checked:
    told: dict[Problem, list[str]] = {}
    warnings: dict[Problem, None] = {}
    trials: dict[str, int] = {}
    try:
        path = find_study(name)
        loaded = load_study(name)
    except UserError as error:
        return Checked(name, error.problems, (), {})
    profiles = profiles or (known_profiles(path) if loaded.study.trainer == SIMCLR else _own_profiles(loaded))
    profiles = list(dict.fromkeys(scale(loaded.study, profile) for profile in profiles))
    for profile in profiles:
        try:
            trainer = without_look(find_trainer(loaded.study.trainer))
            expansion = expand(loaded, load_profile(profile, path), trainer=trainer)
            trials[profile] = len(expansion.trials)
            warnings |= dict.fromkeys(lint(loaded, expansion))
        except UserError as error:
            for problem in error.problems:
                told.setdefault(problem, []).append(profile)
    problems = tuple(
        problem if len(where) == len(profiles) else _at_some(problem, where) for problem, where in told.items()
    )
    return Checked(name, problems, tuple(warnings), trials)


def _own_profiles(loaded: LoadedStudy) -> list[str]:
    """Those at which a study of another trainer differs: the settings of a profile's file are SimCLR's."""
    return list(dict.fromkeys([DEFAULT_PROFILE, *loaded.study.profile]))


def _at_some(problem: Problem, profiles: list[str]) -> Problem:
    """A mistake that is one at some profiles only, with what to do about that."""
    where = f"at the profile{'s' if len(profiles) > 1 else ''} {', '.join(profiles)}"
    elsewhere = "say it under [profile.NAME] for the scale that it is meant for, or check one scale with --profile NAME"
    return replace(problem, message=f"{where}: {problem.message}", help=problem.help or elsewhere)


def print_checked(checked: Sequence[Checked], as_json: bool) -> None:
    """Print mistakes, warnings, and a line for each study that is right."""
    if as_json:
        print(json.dumps([_plain(study) for study in checked], indent=2))
        return
    for study in checked:
        for problem in (*study.problems, *study.warnings):
            print(f"{problem}\n")
        trials = ", ".join(f"{count} trials at {profile}" for profile, count in study.trials.items())
        size = trials if study.studies is None else f"a suite of {study.studies} studies"
        count = sum(problem.kind == "error" for problem in study.problems)
        wrong = f"{count} mistake{'s' if count > 1 else ''}"
        print(f"{study.name}: {wrong if study.problems else f'ok ({size})'}")


def _plain(study: Checked) -> dict[str, object]:
    def plain(problem: Problem) -> dict[str, object]:
        place = problem.place
        return {
            "message": problem.message,
            "file": str(place.path) if place else None,
            "line": place.line if place else None,
            "column": place.column if place and place.line else None,
            "help": problem.help,
        }

    return {
        "study": study.name,
        "trials": study.trials,
        "studies": study.studies,
        "problems": [plain(problem) for problem in study.problems],
        "warnings": [plain(problem) for problem in study.warnings],
    }
