"""Loading study and profile files: finding them by name, merging what they extend, and checking them."""

import difflib
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from ablate.errors import Location, Problem, UserError, as_path, nearest, value_text
from ablate.study.checks.command import check_command
from ablate.study.checks.design import check_design
from ablate.study.checks.names import check_names
from ablate.study.checks.study import check_study
from ablate.study.checks.tune import check_tune
from ablate.study.expansion.baseline import check_baseline
from ablate.study.expansion.layers import over
from ablate.study.schema.design import DesignTable
from ablate.study.schema.profile import LoadedProfile, Profile
from ablate.study.schema.study import LoadedStudy, Study
from ablate.study.toml.positions import Key, Source
from ablate.study.toml.problems import MOST_PROBLEMS, first_ones, outermost, problem, untagged, without
from ablate.study.toml.reading import read_toml
from ablate.trainer.find import COMMAND_TRAINER, find_trainer

_Model = TypeVar("_Model", bound=pydantic.BaseModel)
_LONGEST_CHAIN = 10
_PACKAGE = Path(__file__).parents[1]
SHIPPED = next(filter(Path.is_dir, (_PACKAGE / "studies", _PACKAGE.parent / "studies")), _PACKAGE / "studies")
"""The studies that ship with ablate: inside an installed package, beside the package in a checkout."""


def load_study(name: str) -> LoadedStudy:
    """Load a study by its path, or by its name in `studies/`, here or among those that ship with ablate.

    Raises UserError if the file cannot be read. Other problems are returned in `problems`; `expand` raises them.
    """
    path = find_study(name)
    source, data = _read_extended(path, ())
    if not data:
        raise UserError(f"{path} is empty", help="create a study with `ablate new NAME`")
    study, problems, source = _validated(Study, _in_long_form(data), source, {"name": path.stem})
    if study.name != path.stem:
        message = f"name = {study.name!r} does not match the file name {path.stem!r}"
        problems.append(Problem(message, source.locate(("name",)), "studies are found by file name"))
    profiles = known_profiles(path)
    of_cells = (wrong_design := list(check_design(study))) or check_baseline(study)
    checks = itertools.chain(check_study(study, profiles), check_command(study), of_cells, check_names(study, profiles))
    for message, key, help in itertools.islice(itertools.chain(checks, check_tune(study)), MOST_PROBLEMS + 1):
        problems.append(Problem(message, source.locate(key), help))
    if not (problems or study.axes or study.zip or study.cases or study.evaluate):
        message = "nothing is varied: there is no [axes], [[zip]], [[cases]] or [evaluate]"
        help = 'for example [axes] and temperature = { setting = "loss.temperature", values = [0.1, 0.5] }'
        problems.append(Problem(message, Location(path), help))
    if wrong_design:  # the rest is checked with the smallest design that has every value
        study = study.model_copy(update={"design": DesignTable(kind="one_at_a_time")})
    return LoadedStudy(study, source, tuple(first_ones(dict.fromkeys(problems))))


def load_profile(name: str, study: Path) -> LoadedProfile:
    """Load a profile from `profiles/` next to the study, or from those that ship with ablate."""
    for folder in _profile_folders(study):
        if (path := folder / f"{name}.toml").is_file():
            source, data = read_toml(_relative(path))
            profile, problems, source = _validated(Profile, data, source, {})
            if problems:
                raise UserError(*problems)
            return LoadedProfile(name, profile, source)
    known = known_profiles(study)
    raise UserError(f"unknown profile '{name}'{nearest(name, known)}", help=f"profiles are: {', '.join(known)}")


def known_profiles(study: Path) -> list[str]:
    """The names of the profiles at which a study can run."""
    return sorted({path.stem for folder in _profile_folders(study) for path in folder.glob("*.toml")})


def known_studies() -> dict[str, Path]:
    """The study files in `studies/` and those that ship with ablate, by name; those in `studies/` take precedence."""
    return toml_files(SHIPPED, Path("studies"))


def toml_files(*folders: Path) -> dict[str, Path]:
    """The TOML files in some folders, by name; later folders take precedence."""
    found = {path.stem: path for folder in folders for path in folder.glob("*.toml")}
    return {name: _relative(found[name]) for name in sorted(found)}


def find_study(name: str) -> Path:
    """The file of a study. Raises UserError, with the nearest name, if it does not exist."""
    path = as_path(name)
    if path.suffix == ".toml" or "/" in name:
        if _is_file(path):
            return path
        if path.is_dir():
            raise UserError(f"{path} is a folder, not a study file", help=_studies())
        known = sorted(str(other) for other in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise UserError(f"there is no study file {path}{nearest(name, known)}", help=_studies())
    if path.suffix and _is_file(path):
        words = f"python {name}" if path.suffix == ".py" else f"./{name}"
        help = f'make a study of it with ablate new NAME --command "{words} --OPTION VALUE"'
        raise UserError(f"{name} is a script, not a study", help=help)
    if found := known_studies().get(name):
        return found
    raise UserError(f"there is no study '{name}'{nearest(name, known_studies())}", help=_studies())


def _studies() -> str:
    """Which studies there are; the paper's are named only where there are no others."""
    known = known_studies()
    own = [name for name, path in known.items() if not is_shipped(path)]
    if own:
        return f"studies are: {', '.join(own)}"
    if known:
        return f"ablate new makes one; the studies of the paper are: {', '.join(known)}"
    return "give the path of a study file, for example studies/x.toml"


def is_shipped(path: Path) -> bool:
    """Whether a study ships with ablate, and does not lie in `studies/` of the working folder."""
    return path.absolute().is_relative_to(SHIPPED) and Path.cwd() / "studies" != SHIPPED


def _profile_folders(study: Path) -> list[Path]:
    return list(dict.fromkeys(folder.resolve() / "profiles" for folder in (study.parent, SHIPPED)))


def _relative(path: Path) -> Path:
    """The path relative to the working folder, if it is inside it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _read_extended(path: Path, above: tuple[Path, ...]) -> tuple[Source, dict[str, Any]]:
    """A study file's source, and its values merged over those of the files that it extends."""
    source, data = read_toml(path)
    extends = data.get("extends", [])
    names = [extends] if isinstance(extends, str) else extends
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return source, data  # the schema reports it
    chain = (*above, path.resolve())
    below: list[Source] = []
    merged: dict[str, Any] = {}
    for number, name in enumerate(names):
        other = path.parent / as_path(name if name.endswith(".toml") else f"{name}.toml")
        location = source.locate(("extends", number))
        if not _is_file(other):
            beside = sorted(each.stem for each in path.parent.glob("*.toml") if each != path)
            message = f"extends = {value_text(name)}: there is no file {other}{nearest(name, beside)}"
            help = f"files in that folder: {', '.join(beside[:20])}" if beside else None
            raise UserError(message, location=location, help=help)
        if other.resolve() in chain or len(chain) >= _LONGEST_CHAIN:
            circle = " -> ".join(each.name for each in (*chain, other.resolve()))
            kind = "is circular" if other.resolve() in chain else f"chains more than {_LONGEST_CHAIN} files"
            raise UserError(f"extends {kind}: {circle}", location=location, help="remove one of these references")
        if names.index(name) < number:
            raise UserError(f"extends lists {value_text(name)} twice", location=location)
        inner, values = _read_extended(other, chain)
        below.insert(0, inner)  # the last one takes precedence
        merged = _over(merged, {key: value for key, value in values.items() if key not in ("name", "extends")})
    return Source(path, source.text, tuple(below)), _over(merged, data)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merges tables key by key. Other values replace those below; false removes a table or list below.

    A list over an axis written in full replaces its values only.
    """
    result = dict(below)
    for key, value in above.items():
        inner = result.get(key)
        if value is False and isinstance(inner, (dict, list)):
            del result[key]
        elif isinstance(inner, dict) and isinstance(value, list) and "setting" in inner:
            result[key] = inner | {"values": value}
        elif isinstance(inner, list) and isinstance(value, dict):
            result[key] = over(inner, value)
        else:
            result[key] = _over(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def _in_long_form(data: dict[str, Any]) -> dict[str, Any]:
    """Expands `axes.NAME = [...]` to `{ setting = NAME, values = [...] }`, and adds the trainer of a command."""
    full = ({"trainer": COMMAND_TRAINER} if data.get("command") else {}) | data
    if isinstance(data.get("axes"), dict):
        full["axes"] = _in_full(data["axes"])
    if isinstance(data.get("zip"), list):
        full["zip"] = [_in_full(block) if isinstance(block, dict) else block for block in data["zip"]]
    return full


def _in_full(axes: dict[str, Any]) -> dict[str, Any]:
    return {name: {"setting": name, "values": axis} if isinstance(axis, list) else axis for name, axis in axes.items()}


def _validated(
    model: type[_Model], data: dict[str, Any], source: Source, instead: dict[str, Any]
) -> tuple[_Model, list[Problem], Source]:
    """The model of a file's values without the invalid ones, the problems, and the source of the values that are left.

    Raises UserError if nothing is left. instead: replaces invalid or missing values of these keys.
    """
    problems: list[Problem] = []
    for attempt in range(5):
        try:
            return model.model_validate(data), problems, source
        except pydantic.ValidationError as error:
            details = [_as_written(each, data) for each in error.errors(include_url=False)[: MOST_PROBLEMS + 1]]
            ours = ("missing", "too_short") if attempt else ()  # what was left out made them so
            problems += [_told(each, model, source) for each in details if each["type"] not in ours]
            wrong = dict.fromkeys(_to_leave_out(each, data, bool(attempt)) for each in details)
            named = [key for key in wrong if key[:-1] not in wrong]  # not the name of an item that is left out
            for key in reversed(named):  # the last item of a list first, which keeps the indices of the others
                data = without(data, key, instead)
                if key and isinstance(key[-1], int):
                    source = replace(source, left_out=(*source.left_out, key))
    raise UserError(*first_ones(dict.fromkeys(problems)))


def _to_leave_out(detail: Any, data: dict[str, Any], again: bool) -> Key:
    """The key of what an error makes invalid. again: whether something was left out before, which is missing now."""
    key = untagged(detail["loc"])
    return outermost(data, key[:-1] if again and detail["type"] == "missing" and len(key) > 1 else key)


def _as_written(detail: Any, data: dict[str, Any]) -> Any:
    """An error without the index of the reference, if the file has a single table and no list of them."""
    if detail["loc"][:2] == ("reference", 0) and isinstance(data.get("reference"), dict):
        return {**detail, "loc": ("reference", *detail["loc"][2:])}
    return detail


def _told(detail: Any, model: type[_Model], source: Source) -> Problem:
    key = untagged(detail["loc"])
    item = getattr(detail.get("ctx", {}).get("error"), "item", None)
    inner = ("kind",) if detail["type"] == "union_tag_invalid" else () if item is None else (item,)
    message = problem(detail, model, source.locate((*key, *inner)))
    if detail["type"] == "extra_forbidden" and len(key) == 1 and model is Study and "did you" not in message.message:
        name = str(key[0])
        if near := difflib.get_close_matches(name, find_trainer().config.model_fields, n=1, cutoff=0.8):
            help = "trainer settings belong in [base], or start with base."
            return replace(message, message=f"{message.message}; did you mean 'base.{near[0]}'?", help=help)
    return message
