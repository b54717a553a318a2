"""Reading study and profile files: found by name, extended, and checked; mistakes are told with file, line and key."""

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from ablate.errors import Place, Problem, UserError, nearest
from ablate.simclr.config import Config
from ablate.study.check import MOST_MISTAKES, check_study
from ablate.study.layers import over
from ablate.study.mistakes import problem, untagged
from ablate.study.schema import Profile, Study
from ablate.study.source import Source, read_toml
from ablate.study.words import value_text

_Model = TypeVar("_Model", bound=pydantic.BaseModel)
_LONGEST_CHAIN = 10
_CHECKOUT = Path(__file__).parents[2] / "studies"


@dataclass(frozen=True)
class LoadedStudy:
    """A study with the file it came from."""

    study: Study
    source: Source
    problems: tuple[Problem, ...] = ()
    """Mistakes found so far; what was wrong is left out of `study`, so that the rest can be looked at too."""


@dataclass(frozen=True)
class LoadedProfile:
    """A profile with its name and the file it came from."""

    name: str
    profile: Profile
    source: Source


def load_study(name: str) -> LoadedStudy:
    """Read a study by its path, or by its name under `studies/` here or in ablate's checkout.

    Raises UserError where the file cannot be read; its other mistakes are in `problems`, and `expand` raises them.
    """
    path = find_study(name)
    source, data = _read_extended(path, ())
    if not data:
        raise UserError(f"{path} is empty", help="`ablate new NAME` writes a study to start from")
    study, problems = _validated(Study, _with_axes_in_full(data), source, {"name": path.stem})
    if study.name != path.stem:
        told = f"name = {study.name!r} differs from the name of the file, {path.stem!r}"
        problems.append(Problem(told, source.place(("name",)), "commands find a study by the name of its file"))
    problems += check_study(study, source, known_profiles(path))
    if not (problems or study.axes or study.zip or study.cases or study.evaluate):
        told = "nothing is varied: there is no [axes], [[zip]], [[cases]] or [evaluate]"
        problems.append(
            Problem(
                told,
                Place(path),
                'for example [axes] and temperature = { setting = "loss.temperature", values = [0.1, 0.5] }',
            )
        )
    return LoadedStudy(study, source, _first(problems))


def load_profile(name: str, study: Path) -> LoadedProfile:
    """Read a profile from `profiles/` beside the study, or from ablate's checkout."""
    for folder in _profile_folders(study):
        if (path := folder / f"{name}.toml").is_file():
            source, data = read_toml(_relative(path))
            profile, problems = _validated(Profile, data, source, {})
            if problems:
                raise UserError(*problems)
            return LoadedProfile(name, profile, source)
    known = known_profiles(study)
    raise UserError(f"unknown profile '{name}'{nearest(name, known)}", help=f"profiles are: {', '.join(known)}")


def known_profiles(study: Path) -> list[str]:
    """The profiles at which a study can run, by name."""
    return sorted({path.stem for folder in _profile_folders(study) for path in folder.glob("*.toml")})


def known_studies() -> dict[str, Path]:
    """The study files under `studies/` here and in ablate's checkout, by name; those here win."""
    found = {path.stem: path for folder in (_CHECKOUT, Path("studies")) for path in sorted(folder.glob("*.toml"))}
    return {name: _relative(found[name]) for name in sorted(found)}


def find_study(name: str) -> Path:
    """The file of a study. Raises UserError with the nearest name."""
    path = Path(name)
    if path.suffix == ".toml" or "/" in name:
        if _is_file(path):
            return path
        if path.is_dir():
            raise UserError(f"{path} is a folder, not a study file", help=_studies())
        known = sorted(str(other) for other in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise UserError(f"there is no study file {path}{nearest(name, known)}", help=_studies())
    if found := known_studies().get(name):
        return found
    raise UserError(f"there is no study '{name}'{nearest(name, known_studies())}", help=_studies())


def _studies() -> str:
    known = known_studies()
    return f"studies are: {', '.join(known)}" if known else "give the path of a study file, as in studies/x.toml"


def _profile_folders(study: Path) -> list[Path]:
    return list(dict.fromkeys(folder.resolve() / "profiles" for folder in (study.parent, _CHECKOUT)))


def _relative(path: Path) -> Path:
    """The path as seen from here where that is shorter, as people would write it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _read_extended(path: Path, above: tuple[Path, ...]) -> tuple[Source, dict[str, Any]]:
    """A study file's source and values, over those of the files that it extends."""
    source, data = read_toml(path)
    extends = data.get("extends", [])
    names = [extends] if isinstance(extends, str) else extends
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return source, data  # told by the schema
    chain = (*above, path.resolve())
    below: list[Source] = []
    merged: dict[str, Any] = {}
    for number, name in enumerate(names):
        other = _extended(name, path)
        place = source.place(("extends", number))
        if not _is_file(other):
            beside = sorted(each.stem for each in path.parent.glob("*.toml") if each != path)
            told = f"extends = {value_text(name)}: there is no file {other}{nearest(name, beside)}"
            help = f"beside it are: {', '.join(beside[:20])}" if beside else None
            raise UserError(told, place=place, help=help)
        if other.resolve() in chain or len(chain) >= _LONGEST_CHAIN:
            circle = " -> ".join(each.name for each in (*chain, other.resolve()))
            kind = "goes in a circle" if other.resolve() in chain else f"goes over more than {_LONGEST_CHAIN} files"
            raise UserError(f"extends {kind}: {circle}", place=place, help="one of them must stand by itself")
        if names.index(name) < number:
            raise UserError(f"extends names {value_text(name)} twice", place=place)
        inner, values = _read_extended(other, chain)
        below.insert(0, inner)  # the last one named wins
        merged = _over(merged, {key: value for key, value in values.items() if key not in ("name", "extends")})
    return Source(path, source.text, tuple(below)), _over(merged, data)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _extended(name: str, path: Path) -> Path:
    return path.parent / (name if name.endswith(".toml") else f"{name}.toml")


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Tables key by key; anything else replaces; false takes away a table or a list that is below.

    A list over an axis that has been written in full replaces its values only.
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


def _with_axes_in_full(data: dict[str, Any]) -> dict[str, Any]:
    """`axes.NAME = [...]` is short for a setting of that name: `{ setting = NAME, values = [...] }`."""
    full = dict(data)
    if isinstance(data.get("axes"), dict):
        full["axes"] = _in_full(data["axes"])
    if isinstance(data.get("zip"), list):
        full["zip"] = [_in_full(block) if isinstance(block, dict) else block for block in data["zip"]]
    return full


def _in_full(axes: dict[str, Any]) -> dict[str, Any]:
    return {name: {"setting": name, "values": axis} if isinstance(axis, list) else axis for name, axis in axes.items()}


def _validated(
    model: type[_Model], data: dict[str, Any], source: Source, instead: dict[str, Any]
) -> tuple[_Model, list[Problem]]:
    """The model of a file's values and its mistakes; raises UserError where nothing is left without them.

    instead: values for keys that are wrong or missing.
    """
    problems: list[Problem] = []
    for attempt in range(5):
        try:
            return model.model_validate(data), problems
        except pydantic.ValidationError as error:
            details = [_as_written(each, data) for each in error.errors(include_url=False)[:MOST_MISTAKES]]
            for detail in reversed(details):  # the last item of a list first: the numbers of the others stay
                key = untagged(detail["loc"])
                left_out = attempt and detail["type"] == "missing"  # by ourselves, a moment ago
                data = _without(data, key[:-1] if left_out and len(key) > 1 else key, instead)
            problems += [_told(each, model, source) for each in details if not attempt or each["type"] != "missing"]
    raise UserError(*_first(problems))


def _first(problems: list[Problem]) -> tuple[Problem, ...]:
    """Each once, and no more than a person can read."""
    each = tuple(dict.fromkeys(problems))
    more = (Problem("there are more mistakes; these come first", kind="note"),) if len(each) >= MOST_MISTAKES else ()
    return each[:MOST_MISTAKES] + more


def _as_written(detail: Any, data: dict[str, Any]) -> Any:
    """A mistake without the number of the only reference, where the file has a table of it and no list."""
    if detail["loc"][:2] == ("reference", 0) and isinstance(data.get("reference"), dict):
        return {**detail, "loc": ("reference", *detail["loc"][2:])}
    return detail


def _told(detail: Any, model: type[_Model], source: Source) -> Problem:
    key = untagged(detail["loc"])
    item = getattr(detail.get("ctx", {}).get("error"), "item", None)
    inner = ("kind",) if detail["type"] == "union_tag_invalid" else () if item is None else (item,)
    told = problem(detail, model, source.place((*key, *inner)))
    if detail["type"] == "extra_forbidden" and len(key) == 1 and model is Study and "did you" not in told.message:
        name = str(key[0])
        if near := difflib.get_close_matches(name, Config.model_fields, n=1, cutoff=0.8):
            help = "settings of the trainer stand in [base], or begin with base."
            return replace(told, message=f"{told.message}; did you mean 'base.{near[0]}'?", help=help)
    return told


def _without(data: Any, key: tuple[str | int, ...], instead: dict[str, Any]) -> Any:
    """Values without the one at a key, for the sake of those beside it."""
    if not key:
        return data
    first, rest = key[0], key[1:]
    if isinstance(data, list) and isinstance(first, int) and first < len(data):
        return [item for index, item in enumerate(data) if index != first]
    if not isinstance(data, dict):
        return data
    inner = data.get(str(first))
    if rest and isinstance(inner, (dict, list)) and _without(inner, rest, {}) != inner:
        return {**data, str(first): _without(inner, rest, {})}
    left = {name: value for name, value in data.items() if name != first}
    if first in ("title", "question", "name", "description", "label"):
        left[str(first)] = instead.get(str(first), str(first))
    return left
