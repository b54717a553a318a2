"""The JSON Schema of study and profile files, for completion and checks in editors."""

import ast
import inspect
import itertools
import json
import textwrap
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from ablate.study.claims import Claim
from ablate.study.schema.profile import Profile
from ablate.study.schema.study import Study
from ablate.study.schema.values import NAME
from ablate.study.toml.problems import setting_paths
from ablate.trainer.hooks import Trainer

Schema = dict[str, Any]


class Described(GenerateJsonSchema):
    """A JSON Schema in which the docstring below a key describes it."""

    def model_schema(self, schema: Any) -> Schema:
        """Of a model, with descriptions of its keys."""
        made = super().model_schema(schema)
        fields = schema["cls"].model_fields
        for name, text in descriptions(schema["cls"]).items():
            if (key := fields[name].alias or name) in made.get("properties", {}):
                made["properties"][key]["description"] = text
        return made


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Field of a model -> the docstring below it, or its own description.

    pydantic's `use_attribute_docstrings` reads them when a class is created, which took a tenth of a second of every
    command that reads a study.
    """
    below: dict[str, str | None] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            below |= _docstrings(base)
    texts = {name: field.description or below.get(name) for name, field in model.model_fields.items()}
    return {name: text for name, text in texts.items() if text}


def _docstrings(model: type[BaseModel]) -> dict[str, str | None]:
    """Field in the body of a class -> the docstring below it, if any; nothing of a class without source."""
    try:
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    found: dict[str, str | None] = {}
    for field, below in itertools.pairwise([*getattr(body, "body", ()), ast.Pass()]):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else None
            found[field.target.id] = inspect.cleandoc(text) if isinstance(text, str) else None
    return found


def json_schema(trainer: Trainer, of_profile: bool = False) -> Schema:
    """The JSON Schema of a study file (or of a profile file) of this trainer.

    Adds to what the models define: an axis may be a bare list, or false to remove it; `base` and similar tables hold
    the trainer's settings; `setting` is one of their dotted paths; a single reference may be a table; and a claim of a
    study needs an id, a text and a source.
    """
    model = Profile if of_profile else Study
    schema = model.model_json_schema(schema_generator=Described)
    config = trainer.config.model_json_schema(ref_template="#/$defs/{model}", schema_generator=Described)
    definitions = {**schema.pop("$defs", {}), **config.pop("$defs", {})}
    config.pop("required", None)
    definitions["Settings"] = config
    _hold_settings(schema["properties"]["base"])
    if not of_profile:
        _of_study(schema, definitions, setting_paths(trainer.config))
    _lean(schema)
    _lean(definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "ablate profile" if of_profile else "ablate study",
        "$defs": definitions,
    }


def _of_study(schema: Schema, definitions: dict[str, Schema], settings: list[str]) -> None:
    """Add what only study files have."""
    _hold_settings(definitions["ProfileOverrides"]["properties"]["base"])
    _hold_settings(definitions["Case"]["properties"]["set"])
    for option in definitions["Axis"]["anyOf"]:
        option["properties"] = {name: {} for name in option["required"]}  # strict validators want them named
    setting = definitions["Axis"]["properties"]["setting"]
    setting.pop("type", None)
    setting["anyOf"] = [{"enum": settings}, {"type": "string"}]  # editors offer these; others are items of lists
    axis = {"anyOf": [{"$ref": "#/$defs/Axis"}, {"type": "array", "minItems": 1}, {"const": False}]}
    axes = {"type": "object", "additionalProperties": axis, "propertyNames": {"pattern": NAME}}
    schema["properties"]["axes"].pop("patternProperties")
    schema["properties"]["axes"] |= axes
    schema["properties"]["zip"]["items"] = axes
    references = schema["properties"]["reference"]
    one = references.pop("items")
    references["anyOf"] = [one, {"type": references.pop("type"), "items": one}]
    schema["properties"]["claims"]["items"] = _claim(definitions)
    own = [name for name in schema["required"] if name != "name"]  # the others may be inherited
    inherits = {"properties": {"extends": {}}, "required": ["extends"]}
    alone = {"properties": {name: {} for name in own}, "required": own}
    schema |= {"required": ["name"], "if": {"not": inherits}, "then": alone}


def _claim(definitions: Mapping[str, Schema]) -> Schema:
    """A claim: its kind, and the keys of this kind.

    Written as conditions and not as alternatives: of a mistake in one key, an editor then reports this key, and not
    that the claim is none of twenty alternatives. `properties` has the keys of all kinds, which editors offer.
    """
    kinds = {kind: model.__name__ for kind, model in Claim.kinds().items()}
    found: dict[str, dict[str, Schema]] = {}
    for name in kinds.values():
        for key, value in definitions[name]["properties"].items():
            rule = {word: what for word, what in value.items() if word not in ("description", "title", "examples")}
            found.setdefault(key, {}).setdefault(json.dumps(rule, sort_keys=True), value)
    keys = {key: _one_of(list(schemas.values())) for key, schemas in found.items()}
    rules: Schema = {}
    for kind, name in reversed(kinds.items()):
        of_kind = {"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"]}
        rules = {"if": of_kind, "then": {"$ref": f"#/$defs/{name}"}, **({"else": rules} if rules else {})}
    needed = [*Claim.needed, "kind"]
    return {"type": "object", "properties": {**keys, "kind": {"enum": list(kinds)}}, "required": needed, **rules}


def _one_of(schemas: list[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _hold_settings(field: Schema) -> None:
    field.pop("additionalProperties", None)
    field.pop("type", None)
    field["allOf"] = [{"$ref": "#/$defs/Settings"}]


def _lean(part: Any) -> None:
    """Drop what strict validators refuse, and null, which TOML cannot say and editors would offer twice.

    Strict validators refuse `identity`, by which trainers mark settings, and words of pydantic's own.
    """
    if isinstance(part, dict):
        options = part.get("anyOf")
        if isinstance(options, list) and {"type": "null"} in options:
            part["anyOf"] = [option for option in options if option != {"type": "null"}]
            if len(part["anyOf"]) == 1:
                part |= part.pop("anyOf")[0] | part
        if "oneOf" in part:
            part.pop("discriminator", None)
        if isinstance(part.get("identity"), (bool, str)):  # else a setting of that name
            part.pop("identity")
        if part.get("format") == "path":
            part.pop("format")
        if part.get("default", False) is None:
            part.pop("default")
        part = list(part.values())
    for each in part if isinstance(part, list) else ():
        _lean(each)
