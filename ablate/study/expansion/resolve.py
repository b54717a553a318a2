"""Resolving a cell to a config: merging layers of settings, and locating problems."""

import copy
import functools
import itertools
import re
import typing
from typing import Any

import pydantic

from ablate.errors import Location, Problem, UserError
from ablate.study.expansion.layers import CellSettings, Layer, ListError, merge, numbered, over
from ablate.study.toml.positions import Key
from ablate.study.toml.problems import first_ones, problem
from ablate.trainer.contract import SettingError
from ablate.trainer.hooks import Trainer


class Resolver:
    """Merges layers over the trainer's defaults, and finds the layer that caused a problem.

    Parts of a config (models in its fields) are validated once for all cells with the same settings, and shared by
    these if the trainer allows it (`shares_parts`).
    """

    def __init__(self, trainer: Trainer, layers: list[Layer]) -> None:
        self._trainer = trainer
        self._layers = layers
        self.settings = merge(layers)
        """The settings of all cells, as written."""
        self._parts = _parts(trainer.config)
        self._known: dict[tuple[str, str], _Validated] = {}
        self._of_layers: dict[tuple[str, tuple[Layer, ...]], _Validated] = {}
        fields = trainer.config.model_fields
        self._values = {name: fields[name].get_default(call_default_factory=True) for name in self._parts}
        self._problems: dict[tuple[str, tuple[Layer, ...]], list[Problem]] = {}
        self._wrong: dict[str, list[Any]] = {}
        for name, value in self.settings.items():
            self._values[name], wrong = self._validated(name, value)
            if wrong:
                self._wrong[name] = wrong

    def __call__(self, cell: CellSettings, seed: int = 0) -> pydantic.BaseModel:
        """The config of a cell. Raises UserError with all settings that are unknown or out of range."""
        setting: dict[str, tuple[Layer, ...]] = {}
        for layer in cell.layers:
            for name in layer.settings:
                setting[name] = (*setting.get(name, ()), layer)
        values = self._values | {"seed": seed}
        wrong = {name: details for name, details in self._wrong.items() if name not in setting}
        for name, own in setting.items():
            known = self._of_layers.get((name, own))
            if known is None:
                value = functools.reduce(over, (layer.settings[name] for layer in own), self.settings.get(name))
                known = self._of_layers[name, own] = self._validated(name, value)
            values[name], details = known
            if details:
                wrong[name] = details
        if wrong:
            problems = (self._reported(name, setting.get(name, ()), details) for name, details in wrong.items())
            raise UserError(*first_ones(itertools.chain.from_iterable(problems)))
        layers = [*self._layers, *cell.layers]
        try:
            config = _validate(self._trainer.config, values if self._trainer.shares_parts else self._anew(cell, seed))
        except pydantic.ValidationError as error:
            raise UserError(*(self._problem(detail, layers) for detail in error.errors())) from error
        try:
            return self._trainer.prepare(config)  # type: ignore[no-any-return]
        except ValueError as error:
            name, help = (error.setting, error.help) if isinstance(error, SettingError) else ("", None)
            location = _locate(tuple(name.split(".")), layers)
            raise UserError(str(error), location=location, help=help) from error
        except Exception as error:
            message = f"prepare() of trainer = '{self._trainer.name}' raised {type(error).__name__}: {error}"
            raise UserError(message, help="it should raise ValueError for invalid settings") from error

    def _anew(self, cell: CellSettings, seed: int) -> dict[str, Any]:
        """A copy of the settings of a cell, which validators may modify without affecting other cells."""
        merged = merge([*self._layers, *cell.layers, Layer({"seed": seed})])
        found: dict[str, Any] = copy.deepcopy(numbered(merged, self._trainer.config))
        return found

    def always_wrong(self) -> list[Problem]:
        """Problems in the settings of all cells that no cell can correct, even if every cell overrides them."""
        return first_ones(
            self._problem(detail, self._layers)
            for detail in itertools.chain(*self._wrong.values())
            if detail["type"] not in ("value_error", "missing")
        )

    def wrong_alone(self, layer: Layer) -> list[Problem]:
        """Problems in a layer that no other layer can correct."""
        return first_ones(
            self._problem(detail, [*self._layers, layer])
            for name, value in layer.settings.items()
            for detail in self._validated(name, over(self.settings.get(name), value))[1]
            if detail["type"] not in ("value_error", "missing", "list_gap")
        )

    def _validated(self, name: str, value: Any) -> "_Validated":
        """A validated setting, as a model if it is a part, and its errors in pydantic's form."""
        model = self._parts.get(name)
        if model is None:
            field = self._trainer.config.model_fields.get(name)
            try:
                value = numbered(value, field.annotation if field else None)
            except ListError as error:
                return value, [{"type": "list_gap", "loc": (name,), "ctx": {"error": error}, "input": value}]
            return value, _mistyped(self._trainer.config, {name: value}) or self._out_of_range(name, value)
        memo = (name, repr(value))
        if memo not in self._known:
            self._known[memo] = _part(name, model, value)
        return self._known[memo]

    def _out_of_range(self, name: str, value: Any) -> list[Any]:
        """The errors of a setting that is not a part, independent of other settings."""
        memo = (name, repr(value))
        if memo not in self._known:
            self._known[memo] = value, []
            try:
                _validate(self._trainer.config, {name: value})
            except pydantic.ValidationError as error:
                details = error.errors(include_url=False)
                wrong = [each for each in details if each["loc"][:1] == (name,) and each["type"] != "value_error"]
                self._known[memo] = value, wrong
        return self._known[memo][1]

    def _reported(self, name: str, own: tuple[Layer, ...], details: list[Any]) -> list[Problem]:
        """The problems of a setting or part, which are the same in all cells with the same layers."""
        known = self._problems.get((name, own))
        if known is None:
            layers = [*self._layers, *own]
            problems = (self._problem(detail, layers) for detail in details)
            known = self._problems[name, own] = first_ones(problems)
        return known

    def _problem(self, detail: Any, layers: list[Layer]) -> Problem:
        """A problem in the merged settings, located in the layer that set it."""
        key: Key = tuple(detail["loc"])
        if detail["type"] == "value_error":
            location = _locate_named(str(detail["ctx"]["error"]), key, layers) or _locate(key, layers)
        else:
            location = _locate(key, layers, by_name=detail["type"] in ("extra_forbidden", "list_gap"))
        return problem(detail, self._trainer.config, location)


def _parts(config: type[pydantic.BaseModel]) -> dict[str, type[pydantic.BaseModel]]:
    """The fields that hold a model and have a default."""
    return {
        name: field.annotation
        for name, field in config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, pydantic.BaseModel)
        and not field.is_required()
    }  # fmt: skip


_Validated = tuple[Any, list[Any]]


def _part(name: str, model: type[pydantic.BaseModel], value: Any) -> _Validated:
    try:
        value = numbered(value, model)
        if wrong := _mistyped(model, value, (name,)):
            return value, wrong
        return _validate(model, value), []
    except pydantic.ValidationError as error:
        return value, [{**detail, "loc": (name, *detail["loc"])} for detail in error.errors()]
    except ListError as error:
        return value, [{"type": "list_gap", "loc": (name, *error.key), "ctx": {"error": error}, "input": value}]


def _validate(model: type[pydantic.BaseModel], values: Any) -> pydantic.BaseModel:
    try:
        return model.model_validate(values)
    except pydantic.ValidationError:
        raise
    except Exception as error:  # of a custom validator
        message = f"{model.__name__} raised {type(error).__name__} while validating its settings: {error}"
        raise UserError(message, help="validators should raise ValueError for invalid settings") from error


def _mistyped(model: type[pydantic.BaseModel], settings: Any, key: Key = ()) -> list[Any]:
    """Booleans and text in place of numbers, which pydantic would silently convert, and names that the model lacks.

    A model without `extra="forbid"` would ignore these, or keep them out of the trial's key. In the form of its errors.
    """
    if not isinstance(settings, dict):
        return []
    found = []
    strict = model.model_config.get("extra") == "forbid"
    for name, value in settings.items():
        field = model.model_fields.get(name)
        if field is None:
            found += [] if strict else [{"type": "extra_forbidden", "loc": (*key, name), "input": value}]
            continue
        inner = _only_model(field.annotation)
        for place, each in [((), value)] if isinstance(value, dict) else _items(value):
            found += _mistyped(inner, each, (*key, name, *place)) if inner else []
        kinds = {field.annotation, *getattr(field.annotation, "__args__", ())}
        numbers = kinds & {int, float}
        if (isinstance(value, bool) and numbers and bool not in kinds) or (
            isinstance(value, str) and (numbers or bool in kinds) and str not in kinds
        ):
            kind = "bool_type" if bool in kinds else "float_type" if float in kinds else "int_type"
            found.append({"type": kind, "loc": (*key, name), "input": value})
    return found


def _items(value: Any) -> list[tuple[tuple[int, ...], Any]]:
    return [((number,), item) for number, item in enumerate(value)] if isinstance(value, list) else []


def _only_model(annotation: Any) -> type[pydantic.BaseModel] | None:
    """The model that an annotation holds, itself or as an item; None if it may be one of several."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    found = [model for argument in typing.get_args(annotation) if (model := _only_model(argument))]
    return found[0] if len(found) == 1 else None


def _locate(key: Key, layers: list[Layer], by_name: bool = False) -> Location | None:
    return next((layer.locate(key, by_name) for layer in reversed(layers) if layer.sets(key)), None)


def _locate_named(message: str, key: Key, layers: list[Layer]) -> Location | None:
    """The location of a setting that a message names: the one set by the topmost layer, which caused the conflict."""
    words = [tuple(word.split(".")) for word in re.findall(r"[a-z_0-9]+(?:\.[a-z_0-9]+)*", message)]
    named = [candidate for word in words for candidate in ((*key, *word), word)]
    for layer in reversed(layers):
        for candidate in named:
            if layer.sets(candidate) and not _is_table(layer.settings, candidate):
                return layer.locate(candidate)
    return None


def _is_table(settings: Any, key: Key) -> bool:
    for part in key:
        settings = settings.get(str(part)) if isinstance(settings, dict) else None
    return isinstance(settings, dict)
