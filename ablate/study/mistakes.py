"""Pydantic's errors in words of ours: what is wrong, where, the nearest valid name, an example."""

from collections.abc import Iterable, Iterator
from typing import Any

import pydantic

from ablate.errors import Place, Problem, nearest
from ablate.study.claims import KINDS, Claim
from ablate.study.locate import Key
from ablate.study.words import toml, value_text

Mistakes = Iterator[tuple[str, Key, str | None]]
"""What is wrong, the key that it is about, and what to do."""
_LONGEST = 60


def problem(detail: Any, model: type[pydantic.BaseModel], place: Place | None, below: Key = ()) -> Problem:
    """One mistake: `detail` is an item of ValidationError.errors() of `model`, whose own key is `below`."""
    loc: Key = tuple(part for part in detail["loc"] if part != "[key]")
    key = ".".join(map(str, (*below, *untagged(loc))))
    if detail["type"] == "extra_forbidden":
        return _unknown_key(loc, model, place, below)
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _unknown_kind(detail, key, place)
    if detail["type"] == "missing":
        return Problem(f"the key '{key}' is missing", place, _example(model, loc))
    value = value_text(detail["input"])
    if detail["type"] == "literal_error":
        return _unknown_value(detail, f"{key} = {value}", place)
    if detail["type"] in ("value_error", "list_gap"):
        error = detail["ctx"]["error"]
        help = getattr(error, "help", None)
        if not str(error).startswith("should "):
            return Problem(_after(key, str(error)) if key else str(error), place, help)
        what = key if detail["loc"][-1] == "[key]" else f"{key} = {value}"
        return Problem(f"{what}: {error}", place, help or _example(model, loc))
    return Problem(f"{key} = {value}: {_in_words(detail)}", place, _example(model, loc))


def _after(key: str, message: str) -> str:
    """`key: message`, or one sentence where the message goes on from the key."""
    goes_on = message.startswith(("has ", "is ", "names "))
    return f"{key} {message}" if goes_on else f"{key}: {message}"


def _unknown_value(detail: Any, what: str, place: Place | None) -> Problem:
    expected = detail["ctx"]["expected"]
    if "'" not in expected:
        return Problem(f"{what}: should be {expected}", place)
    valid = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
    return Problem(f"{what} is unknown{nearest(str(detail['input']), valid)}", place, f"values are: {', '.join(valid)}")


def _unknown_kind(detail: Any, key: str, place: Place | None) -> Problem:
    kinds = f"kinds are: {', '.join(KINDS)}"
    if detail["type"] == "union_tag_not_found":
        return Problem(f"the key '{key}.kind' is missing", place, kinds)
    kind = detail["ctx"]["tag"]
    return Problem(f"{key}.kind = {value_text(kind)} is unknown{nearest(str(kind), KINDS)}", place, kinds)


def untagged(loc: Iterable[Any]) -> Key:
    """A mistake's key as it stands in the file: pydantic's has the kind of a claim behind its number."""
    parts: list[Any] = []
    tagged = False
    for part in loc:
        if not tagged:
            parts.append(part)
        tagged = not tagged and isinstance(part, int) and parts[-2:-1] in (["claims"], ["parts"])
    return tuple(parts)


def _unknown_key(loc: Key, model: type[pydantic.BaseModel], place: Place | None, below: Key) -> Problem:
    leaf = str(loc[-1])[:_LONGEST]
    valid = fields_at(model, loc[:-1])
    inside = ".".join(map(str, (*below, *untagged(loc[:-1]))))
    if (parent := _model_at(model, loc[:-1])) and issubclass(parent, Claim):
        return _key_of_another_kind(leaf, parent, inside, place)
    where = f" in {inside}" if inside else ""
    paths = setting_paths(model)
    if leaf in paths and "." in leaf:
        return Problem(f"unknown key '{leaf}'{where}", place, "write it without quotes: in quotes a dot joins nothing")
    near = nearest(leaf, valid) or _elsewhere(leaf, paths)
    return Problem(f"unknown key {value_text(leaf)}{where}{near}", place, f"keys are: {', '.join(valid)}")


def _key_of_another_kind(leaf: str, parent: type[Claim], inside: str, place: Place | None) -> Problem:
    """An unknown key of a claim; that of another kind is told as that."""
    kind = next(name for name, model in KINDS.items() if model is parent)
    valid = fields_at(parent, ())
    others = [name for name, model in KINDS.items() if leaf in fields_at(model, ())]
    told = f"unknown key {value_text(leaf)} in {inside}, which is of the kind '{kind}'{nearest(leaf, valid)}"
    if others:
        told = f"{inside} is of the kind '{kind}', which has no key '{leaf}'; {' and '.join(others)} have it"
    return Problem(told, place, f"keys of {kind} are: {', '.join(valid)}")


def _elsewhere(leaf: str, paths: list[str]) -> str:
    """`; did you mean 'loss.temperature'?` for a key that stands in another table."""
    found = sorted((path for path in paths if path.rpartition(".")[2] == leaf), key=lambda path: path.count("."))
    only = found[:1] if len({path.count(".") for path in found[:2]}) == len(found[:2]) else []
    return f"; did you mean '{only[0]}'?" if only else ""


_KINDS = {
    "dict_type": "should be a table",
    "model_type": "should be a table",
    "model_attributes_type": "should be a table",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "string_type": "should be text in quotes",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a number",
    "path_type": "should be a path in quotes",
}


def _in_words(detail: Any) -> str:
    if detail["type"] == "list_type" and isinstance(detail["input"], dict):
        return f"should be a list; a table of a list has two brackets, as in [[{detail['loc'][-1]}]]"
    if detail["type"] in _KINDS:
        return _KINDS[detail["type"]]
    return str(detail["msg"]).removeprefix("Input ").replace("valid ", "")


def _example(model: type[pydantic.BaseModel], loc: Key) -> str | None:
    """`for example KEY = VALUE`, from the examples of the field, or of the table that it is in, or its default."""
    for end in (len(loc), len(loc) - 1):
        field = _field_at(model, loc[:end])
        if field is None:
            continue
        values = field.examples or [field.get_default(call_default_factory=False)]
        if isinstance(values[0], (str, int, float, bool, list, tuple, dict)) and values[0] not in ("", [], {}, ()):
            return f"for example {', or '.join(f'{loc[end - 1]} = {toml(value)}' for value in values)}"
    return None


def fields_at(model: type[pydantic.BaseModel], path: Key) -> list[str]:
    """The keys that a model has at a path, going into models that its fields hold."""
    return list(_keys(_model_at(model, path) or model))


def _keys(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """The fields of a model by the keys that they have in a file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _field_at(model: type[pydantic.BaseModel], path: Key) -> Any:
    if not path:
        return None
    parent = _model_at(model, path[:-1])
    return _keys(parent).get(str(path[-1])) if parent else None


def _model_at(model: type[pydantic.BaseModel], path: Key) -> type[pydantic.BaseModel] | None:
    """The model at a path; keys of tables and numbers of lists lead to the model of their items, kinds to theirs."""
    at: Any = model
    for before, part in zip(("", *path), path, strict=False):
        field = _keys(at).get(str(part))
        if isinstance(before, int) and issubclass(at, Claim) and part in KINDS:
            at = KINDS[str(part)]
        elif field is not None:
            inner = inner_model(field.annotation)
            if inner is None:
                return None
            at = inner
    return at  # type: ignore[no-any-return]


def inner_model(annotation: Any) -> type[pydantic.BaseModel] | None:
    """The model that an annotation holds, itself or as an item."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if inner := inner_model(argument):
            return inner
    return None


def setting_paths(config: type[pydantic.BaseModel], prefix: str = "") -> list[str]:
    """Every setting of a trainer by its dotted path, in the order of its config."""
    paths: list[str] = []
    for name, field in config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, pydantic.BaseModel):
            paths += setting_paths(field.annotation, f"{prefix}{name}.")
        else:
            paths.append(f"{prefix}{name}")
    return paths
