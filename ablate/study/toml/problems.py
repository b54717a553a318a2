"""Pydantic's errors as problems: what is wrong, the nearest valid name, an example."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import pydantic

from ablate.errors import Location, Problem, nearest, toml, value_text
from ablate.study.toml.positions import Key

Problems = Iterator[tuple[str, Key, str | None]]
"""What is wrong, the key that it concerns, and what to do."""
_LONGEST = 60
MOST_PROBLEMS = 50


def first_ones(problems: Iterable[Problem]) -> list[Problem]:
    """The first 50 problems of a file, and a note if there are more, which would take long to find and to read."""
    found = list(itertools.islice(problems, MOST_PROBLEMS + 1))
    more = Problem("more problems follow; these are the first", kind="note")
    return [*found[:MOST_PROBLEMS], more] if found[MOST_PROBLEMS:] else found


def problem(detail: Any, model: type[pydantic.BaseModel], location: Location | None, below: Key = ()) -> Problem:
    """One problem: `detail` is an item of ValidationError.errors() of `model`, whose own key is `below`."""
    loc: Key = tuple(part for part in detail["loc"] if part != "[key]")
    key = ".".join(map(str, (*below, *untagged(loc))))
    if detail["type"] == "extra_forbidden":
        return _unknown_key(loc, model, location, below)
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _unknown_kind(detail, key, location, list(kinds_at(model, loc)))
    if detail["type"] == "missing":
        return Problem(f"the key '{key}' is missing", location, _example(model, loc))
    value = value_text(detail["input"])
    if detail["type"] == "literal_error":
        return _unknown_value(detail, f"{key} = {value}", location)
    if detail["type"] in ("value_error", "list_gap"):
        error = detail["ctx"]["error"]
        help = getattr(error, "help", None)
        if not str(error).startswith("must "):
            continues = str(error).startswith(("has ", "is ", "lists ", "contains ", "lacks "))
            return Problem(f"{key}{' ' if continues else ': '}{error}" if key else str(error), location, help)
        what = key if detail["loc"][-1] == "[key]" else f"{key} = {value}"
        return Problem(f"{what} {error}", location, help or _example(model, loc))
    return Problem(f"{key} = {value} {_in_words(detail)}", location, _example(model, loc))


def _unknown_value(detail: Any, what: str, location: Location | None) -> Problem:
    expected = detail["ctx"]["expected"]
    if "'" not in expected:
        return Problem(f"{what} must be {expected}", location)
    valid = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
    message = f"{what} is unknown{nearest(str(detail['input']), valid)}"
    return Problem(message, location, f"values are: {', '.join(valid)}")


def _unknown_kind(detail: Any, key: str, location: Location | None, kinds: list[str]) -> Problem:
    help = f"kinds are: {', '.join(kinds)}"
    if detail["type"] == "union_tag_not_found":
        return Problem(f"the key '{key}.kind' is missing", location, help)
    kind = detail["ctx"]["tag"]
    return Problem(f"{key}.kind = {value_text(kind)} is unknown{nearest(str(kind), kinds)}", location, help)


def untagged(loc: Iterable[Any]) -> Key:
    """The key of an error as the file has it: pydantic adds the kind of a claim after its index."""
    parts: list[Any] = []
    tagged = False
    for part in loc:
        if not tagged:
            parts.append(part)
        tagged = not tagged and isinstance(part, int) and parts[-2:-1] in (["claims"], ["parts"])
    return tuple(parts)


def outermost(values: Any, key: Key) -> Key:
    """The key of the first item of a list on the way to a value; of the value itself outside of lists, and of names."""
    for length, part in enumerate(key, 1):
        if isinstance(values, list):
            named = key[length:] in _NAMES and key[length - 2] in ("cases", "claims", "parts")
            return key if named else key[:length]
        values = values.get(str(part)) if isinstance(values, dict) else None
    return key


_NAMES = (("id",), ("text",), ("name",), ("label",))
"""What an item of a list is called: an invalid one is replaced, so that the rest of the item is checked."""


def without(values: Any, key: Key, instead: dict[str, Any]) -> Any:
    """Values without the one at a key, so that the others can be checked.

    instead: replaces it, if it has one of these keys. An item of a list is called by its place, such as `claims.0`.
    """
    if not key:
        return values
    first, rest = key[0], key[1:]
    if isinstance(values, list) and isinstance(first, int) and first < len(values):
        if rest in _NAMES and isinstance(values[first], dict):
            return [{**item, **instead} if index == first else item for index, item in enumerate(values)]
        return [item for index, item in enumerate(values) if index != first]
    if not isinstance(values, dict):
        return values
    inner = values.get(str(first))
    named = {str(rest[-1]): _unused(first, rest, inner)} if isinstance(inner, list) and rest[1:] in _NAMES else {}
    if rest and isinstance(inner, (dict, list)) and (others := without(inner, rest, named)) != inner:
        return {**values, str(first): others}
    left = {name: value for name, value in values.items() if name != first}
    if first in ("title", "question", "name", "description", "label"):
        left[str(first)] = instead.get(str(first), str(first))
    return left


def _unused(list_key: Any, rest: Key, items: list[Any]) -> str:
    """The place of an item as a name that no other item has: `claims.0`, or `cases_0`, as names have no dots."""
    place = f"{list_key}{'_' if rest[-1] == 'name' else '.'}{rest[0]}"
    while any(isinstance(item, dict) and item.get(str(rest[-1])) == place for item in items):
        place += "_"
    return place


def _unknown_key(loc: Key, model: type[pydantic.BaseModel], location: Location | None, below: Key) -> Problem:
    leaf = str(loc[-1])[:_LONGEST]
    valid = fields_at(model, loc[:-1])
    inside = ".".join(map(str, (*below, *untagged(loc[:-1]))))
    if kinds := kinds_at(model, loc[:-2]):
        return _key_of_another_kind(leaf, str(loc[-2]), kinds, inside, location)
    where = f" in {inside}" if inside else ""
    paths = setting_paths(model)
    if leaf in paths and "." in leaf:
        help = "remove the quotes: a dot inside quotes does not separate keys"
        return Problem(f"unknown key '{leaf}'{where}", location, help)
    near = nearest(leaf, valid) or _elsewhere(leaf, paths)
    return Problem(f"unknown key {value_text(leaf)}{where}{near}", location, f"keys are: {', '.join(valid)}")


def _key_of_another_kind(
    leaf: str, kind: str, kinds: dict[str, type[pydantic.BaseModel]], inside: str, location: Location | None
) -> Problem:
    """An unknown key of a table with a kind; names the other kinds that have the key."""
    valid = fields_at(kinds[kind], ())
    others = [name for name, model in kinds.items() if leaf in fields_at(model, ())]
    message = f"{inside}: the kind '{kind}' has no key {value_text(leaf)}{nearest(leaf, valid)}"
    if others:
        message += f" ({' and '.join(others)} {'has' if len(others) == 1 else 'have'} it)"
    return Problem(message, location, f"keys of {kind} are: {', '.join(valid)}")


def _elsewhere(leaf: str, paths: list[str]) -> str:
    """`; did you mean 'loss.temperature'?` for a key that belongs in another table."""
    found = sorted((path for path in paths if path.rpartition(".")[2] == leaf), key=lambda path: path.count("."))
    only = found[:1] if len({path.count(".") for path in found[:2]}) == len(found[:2]) else []
    if only == [leaf]:
        return "; did you mean the key of this name outside of the table?"
    return f"; did you mean '{only[0]}'?" if only else ""


_EXPECTED = {
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a table"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    "string_type": "text in quotes",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "a number"),
    "path_type": "a path in quotes",
}
_LENGTHS = {
    "too_short": "at least {min_length} {entry}",
    "too_long": "at most {max_length} {entry}",
    "string_too_short": "at least {min_length} {character}",
    "string_too_long": "at most {max_length} {character}",
}


def _in_words(detail: Any) -> str:
    if detail["type"] == "list_type" and isinstance(detail["input"], dict):
        return f"must be a list of tables: write [[{detail['loc'][-1]}]] with two brackets"
    if detail["type"] in _EXPECTED:
        return f"must be {_EXPECTED[detail['type']]}"
    if detail["type"] in _LENGTHS:
        one = 1 in (detail["ctx"].get("min_length"), detail["ctx"].get("max_length"))
        units = {"entry": "entry" if one else "entries", "character": "character" if one else "characters"}
        return f"must have {_LENGTHS[detail['type']].format(**detail['ctx'], **units)}"
    return str(detail["msg"]).removeprefix("Input ").replace("should be", "must be").replace("valid ", "")


def _example(model: type[pydantic.BaseModel], loc: Key) -> str | None:
    """`for example KEY = VALUE`, from the examples or the default of the field, or of the table that contains it."""
    for end in (len(loc), len(loc) - 1):
        field = _field_at(model, loc[:end])
        if field is None:
            continue
        values = field.examples or [field.get_default(call_default_factory=False)]
        if isinstance(values[0], (str, int, float, bool, list, tuple, dict)) and values[0] not in ("", [], {}, ()):
            return f"for example {', or '.join(f'{loc[end - 1]} = {toml(value)}' for value in values)}"
    return None


def fields_at(model: type[pydantic.BaseModel], path: Key) -> list[str]:
    """The keys of the model at a path."""
    return list(_keys(_model_at(model, path) or model))


def _keys(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """The fields of a model by their keys in a file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _field_at(model: type[pydantic.BaseModel], path: Key) -> Any:
    if not path:
        return None
    parent = _model_at(model, path[:-1])
    return _keys(parent).get(str(path[-1])) if parent else None


def _model_at(model: type[pydantic.BaseModel], path: Key) -> type[pydantic.BaseModel] | None:
    """The model at a path; keys of tables and indices of lists lead to the model of their items."""
    at: Any = model
    for end, part in enumerate(path, 1):
        field = _keys(at).get(str(part))
        if kind := kinds_at(model, path[: end - 1]).get(str(part)):
            at = kind
        elif field is not None:
            inner = inner_model(field.annotation)
            if inner is None:
                return None
            at = inner
    return at  # type: ignore[no-any-return]


def kinds_at(model: type[pydantic.BaseModel], path: Key) -> dict[str, type[pydantic.BaseModel]]:
    """The models that an item of a list may be, by their `kind`; empty if the list's items have no kinds."""
    if len(path) < 2 or not isinstance(path[-1], int):
        return {}
    field = _field_at(model, path[:-1])
    inner = inner_model(field.annotation) if field else None
    kinds = getattr(inner, "kinds", None)
    return dict(kinds()) if kinds else {}


def inner_model(annotation: Any) -> type[pydantic.BaseModel] | None:
    """The model that an annotation holds, itself or as an item."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for argument in get_args(annotation):
        if inner := inner_model(argument):
            return inner
    return None


def setting_paths(config: type[pydantic.BaseModel], prefix: str = "") -> list[str]:
    """The dotted path of every setting of a trainer, in the order of its config."""
    paths: list[str] = []
    for name, field in config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, pydantic.BaseModel):
            paths += setting_paths(field.annotation, f"{prefix}{name}.")
        else:
            paths.append(f"{prefix}{name}")
    return paths
