"""Suites: files that list several studies to plan and run one after another."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic import BeforeValidator, Field

from ablate.errors import InvalidValue, Problem, UserError, as_path, nearest, value_text
from ablate.study.load import SHIPPED, known_studies, toml_files
from ablate.study.schema.study import Study
from ablate.study.schema.values import Identifier
from ablate.study.toml.positions import Source
from ablate.study.toml.problems import problem
from ablate.study.toml.reading import read_toml
from ablate.study.toml.table import Table

FOLDER = "suites"
"""The folder of suites next to the studies; a TOML file in it is a suite unless it has keys that only studies have."""


def _named(names: Any) -> Any:
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InvalidValue("must be a list of study names in quotes")
    return names


class Suite(Table):
    """A suite file: studies in the order in which they run."""

    name: Identifier = Field(examples=["paper"])
    """The file's name without .toml."""
    title: str = Field(examples=["Every ablation of the paper"])
    question: str = ""
    studies: Annotated[list[str], BeforeValidator(_named)] = Field(examples=[["augment_pairs", "projection_head"]])
    """Names of study files in the folder above this one, or paths relative to this file."""


@dataclass(frozen=True)
class LoadedSuite:
    """A suite with its file and the files of its studies."""

    suite: Suite
    source: Source
    studies: dict[str, str]
    """Name -> file, in the order of the suite, without missing files."""
    problems: tuple[Problem, ...] = ()


def find_suite(name: str) -> Path | None:
    """The file of a suite by its path or its name in studies/suites/; None if it may be a study.

    A study of the same name takes precedence.
    """
    if name.endswith(".toml") or "/" in name:
        path = as_path(name)
        return path if _is_suite(path) else None
    found = None if name in known_studies() else known_suites().get(name)
    return found if found and _is_suite(found) else None


def check_no_suite_is_meant(name: str) -> None:
    """Raise UserError for an unknown study whose name resembles that of a suite, but not that of a study."""
    studies, suites = known_studies(), known_suites()
    plain = not name.endswith(".toml") and "/" not in name
    if plain and name not in studies and (near := nearest(name, suites)) and not nearest(name, studies):
        help = f"suites are: {', '.join(suites)}"
        raise UserError(f"there is no study or suite '{name}'{near}", help=help)


def load_suite(path: Path) -> LoadedSuite:
    """Load a suite. Raises UserError if it is invalid; missing studies are reported in `problems`."""
    source, data = read_toml(path)
    try:
        suite = Suite.model_validate(data)
    except pydantic.ValidationError as error:
        errors = error.errors(include_url=False)
        raise UserError(*(problem(each, Suite, source.locate(tuple(each["loc"]))) for each in errors)) from error
    problems = []
    if suite.name != path.stem:
        message = f"name = {suite.name!r} does not match the file name {path.stem!r}"
        problems.append(Problem(message, source.locate(("name",)), "suites are found by file name"))
    studies: dict[str, str] = {}
    for number, name in enumerate(suite.studies):
        file = _study_file(name, path)
        if wrong := _wrong(name, file, studies, path):
            message, help = wrong
            problems.append(Problem(message, source.locate(("studies", number)), help))
        else:
            studies[file.stem] = str(file)
    return LoadedSuite(suite, source, studies, tuple(problems))


def known_suites() -> dict[str, Path]:
    """The suite files that ship with ablate and those in studies/suites/, which take precedence, by name."""
    return toml_files(SHIPPED / FOLDER, Path("studies") / FOLDER)


def _is_suite(path: Path) -> bool:
    """Whether a file lists studies, or is in a folder of suites and has no keys that only studies have."""
    among_suites = path.absolute().parent.name == FOLDER
    try:
        if not path.is_file():
            return False
        keys = read_toml(path)[1].keys()
    except (OSError, ValueError):
        return False
    except UserError:  # unreadable: reported as a suite if it is among suites
        return among_suites
    return "studies" in keys or (among_suites and not keys & (Study.model_fields.keys() - Suite.model_fields.keys()))


def _study_file(name: str, suite: Path) -> Path:
    """The file of a study of a suite: next to the suite, or among the known studies."""
    if name.endswith(".toml") or "/" in name:
        return suite.parent / as_path(name if name.endswith(".toml") else f"{name}.toml")
    above = suite.parent.parent if suite.absolute().parent.name == FOLDER else suite.parent
    beside = above / f"{name}.toml"
    return beside if beside.is_file() else known_studies().get(name, beside)


def _wrong(name: str, file: Path, before: dict[str, str], suite: Path) -> tuple[str, str | None] | None:
    """What is wrong with a study that a suite lists, and what to do."""
    shown = value_text(name)
    if _is_suite(file) or (name in known_suites() and not file.is_file()):
        return f"studies lists {shown}, which is a suite: suites cannot be nested", "list the studies of that suite"
    if not file.is_file():
        known = sorted({*known_studies(), *(path.stem for path in file.parent.glob("*.toml"))})
        near = nearest(name, known) if difflib.get_close_matches(name, known) else ""
        return f"studies lists {shown}, but there is no file {file}{near}", f"studies are: {', '.join(known[:30])}"
    if (other := before.get(file.stem)) and not file.samefile(other):
        message = f"studies lists two files called {file.name}: {other} and {file}"
        return message, "records are stored by study name: rename one file and its `name`"
    if other:
        return f"studies lists {shown} twice", "each study runs once"
    return None
