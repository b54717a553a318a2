"""What makes two trials the same: SHA-256 over the canonical JSON of a fully resolved config."""

import hashlib
import json
from typing import Any

import pydantic

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; floats as Python's shortest repr. NaN is an error."""
    return _ENCODER.encode(value)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON: 64 hexadecimal digits, the same in every process."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def identity(config: pydantic.BaseModel) -> dict[str, Any]:
    """The settings that count, defaults included, less those that say where and not what (decision 1).

    A field marked `json_schema_extra={"identity": False}` is left out.
    """
    plain = config.model_dump(mode="json", by_alias=False)
    return {
        name: _value(getattr(config, name), plain[name])
        for name, field in type(config).model_fields.items()
        if not _left_out(field.json_schema_extra)
    }


def _value(value: Any, plain: Any) -> Any:
    """The plain form of a value, without what does not count in the models that it holds."""
    if isinstance(value, pydantic.BaseModel):
        return identity(value)
    if isinstance(value, (list, tuple)) and isinstance(plain, list):
        return [_value(*each) for each in zip(value, plain, strict=True)]
    if isinstance(value, dict) and isinstance(plain, dict):
        return {name: _value(*each) for name, *each in zip(plain, value.values(), plain.values(), strict=True)}
    return plain


class Keys:
    """The keys of many configs of one trainer whose configs share parts; what they share is written out once.

    The key of a trial is that of its config, the trainer, and the version of the trainer's arithmetic. The key of
    its pretraining leaves `evaluate` out, so that trials which differ in that only share it; a trainer whose config
    has no `evaluate` shares nothing.
    """

    def __init__(self, trainer: str, recipe_version: int) -> None:
        self._end = f'}},"recipe_version":{recipe_version},"trainer":{canonical_json(trainer)}}}'
        self._fields: dict[type[pydantic.BaseModel], list[tuple[str, str]]] = {}
        self._models: dict[int, tuple[pydantic.BaseModel, str]] = {}
        self._scalars: dict[tuple[type, Any], str] = {}

    def __call__(self, config: pydantic.BaseModel) -> tuple[str, str]:
        """The trial's key and its pretraining's, 64 hexadecimal digits each."""
        names = self._fields.get(type(config)) or self._fields.setdefault(type(config), _counted(type(config)))
        values = config.__dict__
        parts = {name: start + self._json(values[name]) for name, start in names}
        whole = f'{{"config":{{{",".join(parts.values())}{self._end}'
        parts.pop("evaluate", None)
        pretraining = f'{{"pretrain":{{{",".join(parts.values())}{self._end}'
        return hashlib.sha256(whole.encode()).hexdigest(), hashlib.sha256(pretraining.encode()).hexdigest()

    def _json(self, value: Any) -> str:
        if isinstance(value, _PLAIN):
            key = (type(value), value or repr(value))  # 0.0 equals -0.0
            return self._scalars.get(key) or self._scalars.setdefault(key, canonical_json(value))
        if (known := self._models.get(id(value))) is not None:
            return known[1]
        if not isinstance(value, pydantic.BaseModel):
            return canonical_json(_plain(value))
        written = canonical_json(identity(value))
        self._models[id(value)] = (value, written)  # the model is kept, so that no other gets its id
        return written


_PLAIN = (str, int, float, bool, type(None))


def _plain(value: Any) -> Any:
    return pydantic.TypeAdapter(Any).dump_python(value, mode="json")


def _counted(config: type[pydantic.BaseModel]) -> list[tuple[str, str]]:
    """The fields that are part of a trial's identity, in the order of canonical JSON, and what stands before each."""
    fields = config.model_fields.items()
    names = sorted(name for name, field in fields if not _left_out(field.json_schema_extra))
    return [(name, f"{canonical_json(name)}:") for name in names]


def counts(config: type[pydantic.BaseModel], path: str) -> bool:
    """Whether a setting, by its dotted path, is part of a trial's identity; one that is unknown is."""
    model: Any = config
    for part in path.split("."):
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:
            return True
        if _left_out(field.json_schema_extra):
            return False
        model = field.annotation
    return True


def _left_out(extra: Any) -> bool:
    return isinstance(extra, dict) and extra.get("identity") is False


def trial_key(config: pydantic.BaseModel, trainer: str, recipe_version: int) -> str:
    """The key of one trial, written out without the help of any other: what `Keys` gives."""
    return digest({"trainer": trainer, "recipe_version": recipe_version, "config": identity(config)})


def pretrain_key(config: pydantic.BaseModel, trainer: str, recipe_version: int) -> str:
    """The key of one trial's pretraining, written out without the help of any other."""
    pretraining = {name: value for name, value in identity(config).items() if name != "evaluate"}
    return digest({"trainer": trainer, "recipe_version": recipe_version, "pretrain": pretraining})
