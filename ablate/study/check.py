"""Checking study and suite files at every profile: all problems and warnings, each once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ablate.errors import Problem, UserError
from ablate.study.checks.lint import lint, unanswerable
from ablate.study.expansion.expand import expand, located_trainer
from ablate.study.expansion.tune import tuning_stage
from ablate.study.load import find_study, known_profiles, known_studies, load_profile, load_study
from ablate.study.schema.study import DEFAULT_PROFILE
from ablate.study.suite import find_suite, known_suites, load_suite
from ablate.trainer.find import is_built_in, without_files


@dataclass(frozen=True)
class Checked:
    """The problems of one file, and its size if it has none."""

    name: str
    """The name or path that was given."""
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    trials: dict[str, int]
    """Profile -> number of trials."""
    studies: int | None = None
    """The number of studies of a suite; None for a study."""


def check_files(names: Sequence[str], profiles: Sequence[str]) -> list[Checked]:
    """Check studies and suites, with their studies, by name or path, at these profiles or at all.

    Does not read data folders. A missing file is reported like any other problem.
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
    found: dict[Problem, list[str]] = {}
    warnings: dict[Problem, None] = {}
    trials: dict[str, int] = {}
    unanswered: list[set[Problem]] = []
    try:
        path = find_study(name)
        loaded = load_study(name)
    except UserError as error:
        return Checked(name, error.problems, (), {})
    # Profile files have settings of the built-in trainer: a study of another one differs at its own profiles only.
    own = known = known_profiles(path)
    if not is_built_in(loaded.study.trainer):
        own = [DEFAULT_PROFILE, *filter(known.__contains__, loaded.study.profile)]  # others are an error already
    profiles = list(dict.fromkeys(loaded.study.profile_named(profile) for profile in profiles or own))
    for profile in profiles:
        try:
            trainer = without_files(located_trainer(loaded))
            expansion = expand(loaded, load_profile(profile, path), trainer=trainer)
            if loaded.study.tune:
                expand(tuning_stage(loaded), load_profile(profile, path), trainer=trainer)
            trials[profile] = len(expansion.trials)
            warnings |= dict.fromkeys(lint(loaded, expansion))
            unanswered.append(unanswerable(loaded, expansion))
        except UserError as error:
            for problem in dict.fromkeys((*loaded.problems, *error.problems)):
                found.setdefault(problem, []).append(profile)
    warnings |= dict.fromkeys(sorted(set.intersection(*unanswered), key=str) if unanswered else ())
    problems = tuple(
        problem if len(where) == len(profiles) else _at_some(problem, where) for problem, where in found.items()
    )
    return Checked(name, problems, tuple(warnings), trials)


def _at_some(problem: Problem, profiles: list[str]) -> Problem:
    """A problem that occurs at some profiles only, with what to do about it."""
    where = f"at the profile{'s' if len(profiles) > 1 else ''} {', '.join(profiles)}"
    elsewhere = "set it in [profile.NAME] for the profile it is meant for, or check one profile with --profile NAME"
    return replace(problem, message=f"{where}: {problem.message}", help=problem.help or elsewhere)
