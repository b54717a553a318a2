"""Trials, and their keys: SHA-256 of the canonical JSON of a resolved config."""

import hashlib
import json
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pydantic

from ablate.study.cells.cell import Cell, Naming
from ablate.study.cells.condition import condition, names_in
from ablate.study.schema.resources import Resources
from ablate.study.schema.study import Axis
from ablate.trainer.hooks import Trainer


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell with one seed, with all settings resolved."""

    cell: Cell
    seed: int
    config: pydantic.BaseModel
    key: str
    pretrain_key: str

    @property
    def label(self) -> str:
        """The trial as commands print it: `first=crop second=color seed=0`."""
        return f"{self.cell.label} seed={self.seed}"


@dataclass(frozen=True)
class Expansion:
    """All trials of a study at a profile."""

    axes: dict[str, Axis]
    trials: tuple[Trial, ...]
    design: str
    """Digest of everything but seeds: trials of one design can be compared in one table."""
    given: dict[str, Any]
    """The settings of all cells that come from the study and from `--set`, without the profile's."""
    size: int
    """The number of cells that the study has at the profile, whether requested or not."""
    trainer: Trainer
    resources: Resources
    naming: Naming | None = None
    """How the cells of `[design]` are called; None if by their values."""
    sample: str | None = None
    """What a sample of all combinations is, in words; None for other designs."""
    cases: Mapping[str, str] = field(default_factory=dict)
    """Name of a case -> its label."""
    removable: Mapping[str, int] = field(default_factory=dict)
    """Number of items -> how many sets of so many the random removals of `[design]` are drawn from."""

    def title_of(self, cell: Cell) -> str | None:
        """What the cell of a design is called, or a case of its study; None without `[design]`."""
        if self.naming is None:
            return None
        return self.naming.name(cell) if cell.case is None else cell.title(self.cases[cell.case])

    def resources_of(self, cell: Cell) -> Resources:
        """What the trials of a cell need. Conditions of a profile on axes that the study lacks do not apply."""
        own = self.resources
        names = {*self.axes, "case"}
        for each in self.resources.when:
            if names_in(each.condition) <= names and condition(each.condition, names)({"case": cell.case, **cell.axes}):
                own = own.model_copy(update=each.model_dump(exclude={"condition"}, exclude_none=True))
        return own.model_copy(update={"when": ()})


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and without spaces; floats as Python's shortest repr. NaN is an error."""
    return _ENCODER.encode(value)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON: 64 hexadecimal digits, the same in every process."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def identity(config: pydantic.BaseModel) -> dict[str, Any]:
    """The settings that identify a trial, defaults included, without those that only say where data are.

    Fields marked `json_schema_extra={"identity": False}` are left out; so are those of parts marked "if set" that have
    their default: such a setting can be added to a trainer without changing the keys of earlier trials.
    """
    plain = config.model_dump(mode="json", by_alias=False)
    return {
        name: _value(getattr(config, name), plain[name])
        for name, field in type(config).model_fields.items()
        if not _left_out(field.json_schema_extra) and not _unset(field, getattr(config, name))
    }


def _unset(field: pydantic.fields.FieldInfo, value: Any) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get("identity") == "if set" and bool(value == field.default)


def _value(value: Any, plain: Any) -> Any:
    """The plain form of a value; of models only the fields that identify a trial."""
    if isinstance(value, pydantic.BaseModel):
        return identity(value)
    if isinstance(value, (list, tuple)) and isinstance(plain, list):
        return [_value(*each) for each in zip(value, plain, strict=True)]
    if isinstance(value, dict) and isinstance(plain, dict):
        return {name: _value(*each) for name, *each in zip(plain, value.values(), plain.values(), strict=True)}
    return plain


class Keys:
    """The keys of many configs of a trainer whose configs share parts; each part is serialized once.

    The key of a trial covers its config, the trainer, and the version of the trainer's arithmetic. The key of its
    pretraining excludes `evaluate`, so that trials that differ only in it share the pretraining.
    """

    def __init__(self, trainer: str, recipe_version: int) -> None:
        self._end = f'}},"recipe_version":{recipe_version},"trainer":{canonical_json(trainer)}}}'
        self._fields: dict[type[pydantic.BaseModel], list[tuple[str, str]]] = {}
        self._models: dict[int, tuple[pydantic.BaseModel, str]] = {}
        self._scalars: dict[tuple[type, Any], str] = {}
        self._cell: tuple[list[Any], tuple[_Hashed, _Hashed]] | None = None

    def __call__(self, config: pydantic.BaseModel) -> tuple[str, str]:
        """The trial's key and its pretraining's, 64 hexadecimal digits each."""
        names = self._fields.get(type(config)) or self._fields.setdefault(type(config), _counted(type(config)))
        values = config.__dict__
        others = [type(config), *(values[name] for name, _ in names if name != "seed")]
        if self._cell is None or not all(map(operator.is_, self._cell[0], others)):
            fields = type(config).model_fields
            counting = {name: (start, values[name]) for name, start in names if not _unset(fields[name], values[name])}
            self._cell = others, self._hashed(counting)
        seed = self._json(values["seed"]) if any(name == "seed" for name, _ in names) else ""
        whole, pretraining = (_with_seed(*each, seed) for each in self._cell[1])
        return whole, pretraining

    def _hashed(self, settings: dict[str, tuple[str, Any]]) -> tuple["_Hashed", "_Hashed"]:
        """The hash of all that comes before a config's seed, and the text after it: of the trial, of its pretraining.

        The seeds of a cell share both.
        """
        parts = {
            name: start + ("" if name == "seed" else self._json(value)) for name, (start, value) in settings.items()
        }
        found = []
        for kind, names in (("config", list(parts)), ("pretrain", [name for name in parts if name != "evaluate"])):
            place = names.index("seed") + 1 if "seed" in names else len(names)
            before, after = (",".join(parts[name] for name in some) for some in (names[:place], names[place:]))
            between = "," if before and after else ""
            start = hashlib.sha256(f'{{"{kind}":{{{before}'.encode())
            found.append((start, f"{between}{after}{self._end}"))
        return found[0], found[1]

    def _json(self, value: Any) -> str:
        if isinstance(value, _PLAIN):
            key = (type(value), value or repr(value))  # 0.0 equals -0.0
            return self._scalars.get(key) or self._scalars.setdefault(key, canonical_json(value))
        if (known := self._models.get(id(value))) is not None:
            return known[1]
        if not isinstance(value, pydantic.BaseModel):
            return canonical_json(_ANY.dump_python(value, mode="json"))
        written = canonical_json(identity(value))
        self._models[id(value)] = (value, written)  # keeping the model ensures that its id is not reused
        return written


_PLAIN = (str, int, float, bool, type(None))
_ANY = pydantic.TypeAdapter(Any)
_Hashed = tuple["hashlib._Hash", str]


def _with_seed(start: "hashlib._Hash", end: str, seed: str) -> str:
    whole = start.copy()
    whole.update(f"{seed}{end}".encode())
    return whole.hexdigest()


def _counted(config: type[pydantic.BaseModel]) -> list[tuple[str, str]]:
    """The fields that identify a trial, in the order of canonical JSON, each with the text before its value."""
    fields = config.model_fields.items()
    names = sorted(name for name, field in fields if not _left_out(field.json_schema_extra))
    return [(name, f"{canonical_json(name)}:") for name in names]


def counts(config: type[pydantic.BaseModel], path: str) -> bool:
    """Whether the setting at a dotted path is part of a trial's identity; unknown settings are."""
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


def keys_of(config: pydantic.BaseModel, trainer: str, recipe_version: int) -> tuple[str, str]:
    """The key of a single trial and that of its pretraining, equal to those of `Keys`."""
    whole, by = identity(config), {"trainer": trainer, "recipe_version": recipe_version}
    pretraining = {name: value for name, value in whole.items() if name != "evaluate"}
    return digest({**by, "config": whole}), digest({**by, "pretrain": pretraining})
