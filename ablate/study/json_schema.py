"""The JSON Schema of study files, for editors: with it they complete and check every key while one types."""

from typing import Any

from ablate.study.claims import Claim
from ablate.study.mistakes import setting_paths
from ablate.study.schema import Profile, Study
from ablate.study.trainer import Trainer
from ablate.study.values import NAME


def json_schema(trainer: Trainer, of_profile: bool = False) -> dict[str, Any]:
    """The schema of a study file (or of a profile file) of this trainer.

    Beside what the models say: an axis may be a bare list, or false where it is taken away; `base` and its like hold
    the trainer's settings; `setting` is one of their dotted paths; one reference is a list of one; and a claim of a
    study has an id, a text and a source.
    """
    model = Profile if of_profile else Study
    schema = model.model_json_schema()
    config = trainer.config.model_json_schema(ref_template="#/$defs/{model}")
    definitions = {**schema.get("$defs", {}), **config.pop("$defs", {})}
    config.pop("required", None)
    definitions["Settings"] = config
    settings = {"$ref": "#/$defs/Settings"}
    _describe(schema["properties"]["base"], settings)
    if not of_profile:
        _describe(definitions["ProfileOverrides"]["properties"]["base"], settings)
        _describe(definitions["Case"]["properties"]["set"], settings)
        definitions["Axis"]["properties"]["setting"]["examples"] = setting_paths(trainer.config)
        axis = {"anyOf": [{"$ref": "#/$defs/Axis"}, {"type": "array", "minItems": 1}, {"const": False}]}
        axes = {"type": "object", "additionalProperties": axis, "propertyNames": {"pattern": NAME}}
        schema["properties"]["axes"].pop("patternProperties")
        schema["properties"]["axes"] |= axes
        schema["properties"]["zip"]["items"] = axes
        references = schema["properties"]["reference"]
        one = references.pop("items")
        references["anyOf"] = [one, {"type": references.pop("type"), "items": one}]
        schema["properties"]["claims"]["items"]["required"] = list(Claim.needed)
        own = [name for name in schema["required"] if name != "name"]  # the others may come from what it extends
        schema |= {"required": ["name"], "anyOf": [{"required": ["extends"]}, {"required": own}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ablate profile" if of_profile else "ablate study",
        **{key: value for key, value in schema.items() if key not in ("$defs", "title")},
        "$defs": definitions,
    }


def _describe(field: dict[str, Any], settings: dict[str, Any]) -> None:
    field.pop("additionalProperties", None)
    field.pop("type", None)
    field["allOf"] = [settings]
