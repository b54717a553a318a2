"""Suites: a file that names several studies, which are planned and run one after another."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic import BeforeValidator, Field

from ablate.errors import Problem, UserError, nearest
from ablate.study.load import known_studies
from ablate.study.mistake import Mistake
from ablate.study.mistakes import problem
from ablate.study.schema import Identifier, Study
from ablate.study.source import Source, read_toml
from ablate.study.words import value_text

FOLDER = "suites"
"""Beside the studies: a TOML file in a folder of that name is a suite, unless it says what only a study does."""
_CHECKOUT = Path(__file__).parents[2] / "studies"


def _named(names: Any) -> Any:
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise Mistake("should be a list of the names of studies, in quotes")
    return names


class Suite(pydantic.BaseModel):
    """One suite file: studies, in the order in which they run."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: Identifier = Field(examples=["paper"])
    """That of the file, without .toml."""
    title: str = Field(examples=["Every ablation of the paper"])
    question: str = ""
    studies: Annotated[list[str], BeforeValidator(_named)] = Field(examples=[["augment_pairs", "projection_head"]])
    """Names of study files in the folder above this one, or paths as seen from this file."""


@dataclass(frozen=True)
class LoadedSuite:
    """A suite with the file it came from, and the files of its studies."""

    suite: Suite
    source: Source
    studies: dict[str, str]
    """Name -> file, in the order of the suite; one that was not found is left out."""
    problems: tuple[Problem, ...] = ()


def find_suite(name: str) -> Path | None:
    """The file of a suite by its path, or by its name under studies/suites/; None for what may be a study.

    A study of the same name comes first.
    """
    if name.endswith(".toml") or "/" in name:
        return Path(name) if _is_suite(Path(name)) else None
    path = None if name in known_studies() else known_suites().get(name)
    return path if path and _is_suite(path) else None


def check_no_suite_is_meant(name: str) -> None:
    """Raise UserError for a name that no study has and that is like that of a suite, and not like a study's."""
    studies, suites = known_studies(), known_suites()
    plain = not name.endswith(".toml") and "/" not in name
    if plain and name not in studies and (near := nearest(name, suites)) and not nearest(name, studies):
        help = f"suites are: {', '.join(suites)}"
        raise UserError(f"there is no study or suite '{name}'{near}", help=help)


def load_suite(path: Path) -> LoadedSuite:
    """Read a suite. Raises UserError where it cannot be read as one; studies that are not there are in `problems`."""
    source, data = read_toml(path)
    try:
        suite = Suite.model_validate(data)
    except pydantic.ValidationError as error:
        told = [problem(each, Suite, source.place(tuple(each["loc"]))) for each in error.errors(include_url=False)]
        raise UserError(*told) from error
    problems = list(_misnamed(suite, source))
    studies: dict[str, str] = {}
    for number, name in enumerate(suite.studies):
        file = _study_file(name, path)
        if wrong := _wrong(name, file, studies, path):
            told_of, help = wrong
            problems.append(Problem(told_of, source.place(("studies", number)), help))
        else:
            studies[file.stem] = str(file)
    return LoadedSuite(suite, source, studies, tuple(problems))


def known_suites() -> dict[str, Path]:
    """The suite files under studies/suites/ here and in ablate's checkout, by name; those here win."""
    here = Path.cwd()
    folders = (_CHECKOUT / FOLDER, Path("studies") / FOLDER)
    found = {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}
    return {name: path.relative_to(here) if path.is_relative_to(here) else path for name, path in sorted(found.items())}


def _is_suite(path: Path) -> bool:
    """Whether a file lists studies, or is in a folder of suites and has nothing that only a study has."""
    among_suites = path.absolute().parent.name == FOLDER
    try:
        if not path.is_file():
            return False
        keys = read_toml(path)[1].keys()
    except (OSError, ValueError):
        return False
    except UserError:  # it cannot be read, which is told of what it likely is
        return among_suites
    return "studies" in keys or (among_suites and not keys & (Study.model_fields.keys() - Suite.model_fields.keys()))


def _study_file(name: str, suite: Path) -> Path:
    """The file that a suite means: in the folder of studies, or among the known ones; where it is missed if nowhere."""
    if name.endswith(".toml") or "/" in name:
        return suite.parent / (name if name.endswith(".toml") else f"{name}.toml")
    above = suite.parent.parent if suite.absolute().parent.name == FOLDER else suite.parent
    beside = above / f"{name}.toml"
    return beside if beside.is_file() else known_studies().get(name, beside)


def _misnamed(suite: Suite, source: Source) -> Iterator[Problem]:
    if suite.name != source.path.stem:
        told = f"name = {suite.name!r} differs from the name of the file, {source.path.stem!r}"
        yield Problem(told, source.place(("name",)), "commands find a suite by the name of its file")


def _wrong(name: str, file: Path, before: dict[str, str], suite: Path) -> tuple[str, str | None] | None:
    """What is wrong with a study that a suite names, and what to do."""
    shown = value_text(name)
    if _is_suite(file) or (name in known_suites() and not file.is_file()):
        return f"studies names {shown}, which is a suite: suites do not nest", "name the studies that it names"
    if not file.is_file():
        known = sorted({*known_studies(), *(path.stem for path in file.parent.glob("*.toml"))})
        near = nearest(name, known) if difflib.get_close_matches(name, known) else ""
        return f"studies names {shown}: there is no file {file}{near}", f"studies are: {', '.join(known[:30])}"
    if (other := before.get(file.stem)) and not file.samefile(other):
        told = f"studies names two files called {file.name}: {other} and {file}"
        return told, "the records of a study lie under its name: rename one of them, and its `name`"
    if other:
        return f"studies names {shown} twice", "each study runs once"
    return None
