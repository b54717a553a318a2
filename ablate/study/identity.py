"""What makes two trials the same: SHA-256 over the canonical JSON of a fully resolved config."""

import hashlib
import json
from typing import Any

import pydantic


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; floats as Python's shortest repr. NaN is an error."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON: 64 hexadecimal digits, the same in every process."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def identity(config: pydantic.BaseModel) -> dict[str, Any]:
    """The settings that count, defaults included, less those that say where and not what (decision 1).

    A field marked `json_schema_extra={"identity": False}` is left out.
    """
    counted: dict[str, Any] = {}
    plain = config.model_dump(mode="json")
    for name, field in type(config).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("identity") is False:
            continue
        value = getattr(config, name)
        counted[name] = identity(value) if isinstance(value, pydantic.BaseModel) else plain[name]
    return counted


def trial_key(config: pydantic.BaseModel, trainer: str, recipe_version: int) -> str:
    """The key of a trial: its config, the trainer, and the version of the trainer's arithmetic."""
    return digest({"trainer": trainer, "recipe_version": recipe_version, "config": identity(config)})


def pretrain_key(config: pydantic.BaseModel, trainer: str, recipe_version: int) -> str:
    """The key of a trial's pretraining, which trials that differ only under `evaluate` share."""
    pretraining = {name: value for name, value in identity(config).items() if name != "evaluate"}
    return digest({"trainer": trainer, "recipe_version": recipe_version, "pretrain": pretraining})
