"""Reading study and profile files; every mistake is told with file, line and key."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from ablate.errors import Place, Problem, UserError, nearest
from ablate.study.locate import find_key
from ablate.study.schema import Profile, Study

_Model = TypeVar("_Model", bound=pydantic.BaseModel)
_CHECKOUT = Path(__file__).parents[2] / "studies"


@dataclass(frozen=True)
class Source:
    """A TOML file as it was read: to say where in it a mistake stands."""

    path: Path
    text: str

    def place(self, key: tuple[str | int, ...]) -> Place:
        """Where a key stands, or the nearest key above it."""
        return find_key(self.path, self.text, key)


@dataclass(frozen=True)
class LoadedStudy:
    """A study with the file it came from."""

    study: Study
    source: Source


@dataclass(frozen=True)
class LoadedProfile:
    """A profile with its name and the file it came from."""

    name: str
    profile: Profile
    source: Source


def load_study(name: str) -> LoadedStudy:
    """Read a study by its path, or by its name under `studies/` here or in ablate's checkout."""
    path = _find_study(name)
    source, data = _read(path)
    study = _validate(Study, _with_axes_in_full(data), source)
    if study.name != path.stem:
        problem = f"name = {study.name!r} differs from the name of the file, {path.stem!r}"
        raise UserError(problem, place=source.place(("name",)), help="commands find a study by the name of its file")
    return LoadedStudy(study, source)


def load_profile(name: str, study: Path) -> LoadedProfile:
    """Read a profile from `profiles/` beside the study, or from ablate's checkout."""
    folders = list(dict.fromkeys(folder.resolve() / "profiles" for folder in (study.parent, _CHECKOUT)))
    for folder in folders:
        if (path := folder / f"{name}.toml").is_file():
            source, data = _read(_relative(path))
            return LoadedProfile(name, _validate(Profile, data, source), source)
    known = sorted({path.stem for folder in folders for path in folder.glob("*.toml")})
    raise UserError(f"unknown profile '{name}'{nearest(name, known)}", help=f"profiles are: {', '.join(known)}")


def _find_study(name: str) -> Path:
    path = Path(name)
    if path.suffix == ".toml" or "/" in name:
        if path.is_file():
            return path
        known = sorted(str(other) for other in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise UserError(f"there is no study file {path}{nearest(name, known)}", help=_known_studies())
    for folder in (Path("studies"), _CHECKOUT):
        if (path := folder / f"{name}.toml").is_file():
            return _relative(path)
    known = [path.stem for folder in (Path("studies"), _CHECKOUT) for path in folder.glob("*.toml")]
    raise UserError(f"there is no study '{name}'{nearest(name, known)}", help=_known_studies())


def _known_studies() -> str:
    known = sorted({path.stem for folder in (Path("studies"), _CHECKOUT) for path in folder.glob("*.toml")})
    return f"studies are: {', '.join(known)}" if known else "give the path of a study file, as in studies/x.toml"


def _relative(path: Path) -> Path:
    """The path as seen from here where that is shorter, as people would write it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _read(path: Path) -> tuple[Source, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    try:
        return Source(path, text), tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, line, column = _decode_error(str(error), text)
        lines = text.splitlines()
        shown = lines[line - 1] if line <= len(lines) else ""
        raise UserError(f"not TOML: {message}", place=Place(path, line, column, shown)) from error


def _decode_error(error: str, text: str) -> tuple[str, int, int]:
    """Message, line and column of tomllib's "... (at line 3, column 7)" or "... (at end of document)"."""
    message, _, where = error.rpartition(" (at ")
    numbers = [int("".join(filter(str.isdigit, part))) for part in where.split(",") if any(map(str.isdigit, part))]
    if len(numbers) == 2:
        return message, numbers[0], numbers[1]
    return message or error, max(1, len(text.splitlines())), 1


def _with_axes_in_full(data: dict[str, Any]) -> dict[str, Any]:
    """`axes.NAME = [...]` is short for a setting of that name: `{ setting = NAME, values = [...] }`."""
    axes = data.get("axes")
    if not isinstance(axes, dict):
        return data
    full = {name: {"setting": name, "values": axis} if isinstance(axis, list) else axis for name, axis in axes.items()}
    return data | {"axes": full}


def _validate(model: type[_Model], data: dict[str, Any], source: Source) -> _Model:
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        problems = [problem(detail, model, source.place(_key(detail))) for detail in error.errors()]
        raise UserError(*dict.fromkeys(problems)) from error


def _key(detail: Any) -> tuple[str | int, ...]:
    return tuple(detail["loc"])


def problem(detail: Any, model: type[pydantic.BaseModel], place: Place | None) -> Problem:
    """One of pydantic's errors in words of ours: `detail` is an item of ValidationError.errors()."""
    key = ".".join(map(str, detail["loc"]))
    leaf = str(detail["loc"][-1]) if detail["loc"] else ""
    if detail["type"] == "extra_forbidden":
        valid = _fields(model, detail["loc"][:-1])
        inside = ".".join(map(str, detail["loc"][:-1]))
        where = f" in {inside}" if inside else ""
        return Problem(f"unknown key '{leaf}'{where}{nearest(leaf, valid)}", place, f"keys are: {', '.join(valid)}")
    if detail["type"] == "missing":
        return Problem(f"the key '{key}' is missing", place)
    if detail["type"] == "literal_error":
        valid = [part.strip("'") for part in detail["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        message = f"{key} = {detail['input']!r} is unknown{nearest(str(detail['input']), valid)}"
        return Problem(message, place, f"values are: {', '.join(valid)}")
    if detail["type"] == "value_error":
        message = str(detail["ctx"]["error"])
        return Problem(f"{key}: {message}" if key else message, place)
    message = detail["msg"].removeprefix("Input ")
    value = detail["input"]
    shown = f" = {value!r}" if isinstance(value, (str, int, float, bool)) else ""
    return Problem(f"{key}{shown}: {message}", place)


def _fields(model: type[pydantic.BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """The keys that a model has at a path, going into models that its fields hold."""
    for part in path:
        field = model.model_fields.get(str(part))
        inner = _inner_model(field.annotation) if field else None
        model = inner or model
    return list(model.model_fields)


def _inner_model(annotation: Any) -> type[pydantic.BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if inner := _inner_model(argument):
            return inner
    return None
