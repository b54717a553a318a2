"""Pydantic's errors in words of ours: what is wrong, where, the nearest valid name, an example."""

from typing import Any

import pydantic

from ablate.errors import Place, Problem, nearest
from ablate.study.locate import Key
from ablate.study.words import value_text

_LONGEST = 60


def problem(detail: Any, model: type[pydantic.BaseModel], place: Place | None, below: Key = ()) -> Problem:
    """One mistake: `detail` is an item of ValidationError.errors() of `model`, whose own key is `below`."""
    loc: Key = tuple(part for part in detail["loc"] if part != "[key]")
    key = ".".join(map(str, (*below, *loc)))
    if detail["type"] == "extra_forbidden":
        return _unknown_key(loc, model, place, below)
    if detail["type"] == "missing":
        return Problem(f"the key '{key}' is missing", place, _example(model, loc))
    if detail["type"] == "literal_error":
        valid = [part.strip("'") for part in detail["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        message = f"{key} = {value_text(detail['input'])} is unknown{nearest(str(detail['input']), valid)}"
        return Problem(message, place, f"values are: {', '.join(valid)}")
    if detail["type"] == "value_error":
        message = str(detail["ctx"]["error"])
        return Problem(_after(key, message) if key else message, place)
    message = _in_words(detail)
    return Problem(f"{key} = {value_text(detail['input'])}: {message}", place, _example(model, loc))


def _after(key: str, message: str) -> str:
    """`key: message`, or one sentence where the message goes on from the key."""
    goes_on = message.startswith(("is ", "has ", "names "))
    return f"{key} {message}" if goes_on else f"{key}: {message}"


def _unknown_key(loc: Key, model: type[pydantic.BaseModel], place: Place | None, below: Key) -> Problem:
    leaf = str(loc[-1])[:_LONGEST]
    valid = fields_at(model, loc[:-1])
    inside = ".".join(map(str, (*below, *loc[:-1])))
    where = f" in {inside}" if inside else ""
    near = nearest(leaf, valid) or _elsewhere(leaf, model)
    return Problem(f"unknown key '{leaf}'{where}{near}", place, f"keys are: {', '.join(valid)}")


def _elsewhere(leaf: str, model: type[pydantic.BaseModel]) -> str:
    """`; did you mean 'loss.temperature'?` for a key that stands in one other place."""
    paths = [path for path in setting_paths(model) if path.rpartition(".")[2] == leaf]
    return f"; did you mean '{paths[0]}'?" if len(paths) == 1 else ""


def _in_words(detail: Any) -> str:
    kinds = {
        "dict_type": "should be a table",
        "model_type": "should be a table",
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
        "path_type": "should be a path in quotes",
    }
    return kinds.get(detail["type"], str(detail["msg"]).removeprefix("Input ").replace("valid ", ""))


def _example(model: type[pydantic.BaseModel], loc: Key) -> str | None:
    """`for example KEY = VALUE`, from the field's examples or its default."""
    field = _field_at(model, loc)
    if field is None:
        return None
    value = field.examples[0] if field.examples else field.get_default(call_default_factory=False)
    if value is None or not isinstance(value, (str, int, float, bool, list, tuple)):
        return None
    value = list(value) if isinstance(value, tuple) else value
    text = value_text(value).replace("'", '"')
    return f"for example {loc[-1]} = {text}"


def fields_at(model: type[pydantic.BaseModel], path: Key) -> list[str]:
    """The keys that a model has at a path, going into models that its fields hold."""
    return list((_model_at(model, path) or model).model_fields)


def _field_at(model: type[pydantic.BaseModel], path: Key) -> Any:
    if not path:
        return None
    parent = _model_at(model, path[:-1])
    return parent.model_fields.get(str(path[-1])) if parent else None


def _model_at(model: type[pydantic.BaseModel], path: Key) -> type[pydantic.BaseModel] | None:
    """The model at a path; keys of tables and numbers of lists lead to the model of their items."""
    at: Any = model
    for part in path:
        field = at.model_fields.get(str(part))
        if field is not None:
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
