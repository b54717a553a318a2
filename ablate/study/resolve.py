"""One cell to one config: layers of settings merged, mistakes told where they stand."""

import copy
import functools
import re
from typing import Any

import pydantic

from ablate.errors import Place, Problem, UserError
from ablate.study.layers import Cell, Layer, merge, over
from ablate.study.locate import Key
from ablate.study.mistakes import inner_model, problem
from ablate.study.numbered import ListError, numbered
from ablate.study.trainer import Trainer


class Resolver:
    """Merges layers over the trainer's defaults, and tells which layer a mistake came from.

    Parts of a config (the models that its fields hold) are validated once for all cells that have them alike, and
    shared by these where the trainer says that nothing changes them.
    """

    def __init__(self, trainer: Trainer, layers: list[Layer]) -> None:
        self._trainer = trainer
        self._layers = layers
        self._base = merge(layers)
        self._parts = _parts(trainer.config)
        self._known: dict[tuple[str, str], _Validated] = {}
        self._of_layers: dict[tuple[str, tuple[Layer, ...]], _Validated] = {}
        fields = trainer.config.model_fields
        self._values = {name: fields[name].get_default(call_default_factory=True) for name in self._parts}
        self._problems: dict[tuple[str, tuple[Layer, ...]], list[Problem]] = {}
        self._wrong: dict[str, list[Any]] = {}
        for name, value in self._base.items():
            self._values[name], wrong = self._validated(name, value)
            if wrong:
                self._wrong[name] = wrong

    @property
    def settings(self) -> dict[str, Any]:
        """What all cells have in common, as it was written."""
        return self._base

    def __call__(self, cell: Cell, seed: int = 0) -> pydantic.BaseModel:
        """The config of a cell. Raises UserError with every setting that is unknown or out of range."""
        setting: dict[str, tuple[Layer, ...]] = {}
        for layer in cell.layers:
            for name in layer.settings:
                setting[name] = (*setting.get(name, ()), layer)
        values = self._values | {"seed": seed}
        wrong = {name: details for name, details in self._wrong.items() if name not in setting}
        for name, own in setting.items():
            known = self._of_layers.get((name, own))
            if known is None:
                value = functools.reduce(over, (layer.settings[name] for layer in own), self._base.get(name))
                known = self._of_layers[name, own] = self._validated(name, value)
            values[name], details = known
            if details:
                wrong[name] = details
        if wrong:
            raise UserError(*(each for name in wrong for each in self._told(name, setting.get(name, ()), wrong[name])))
        try:
            config = _validate(self._trainer.config, values if self._trainer.shares_parts else self._anew(cell, seed))
        except pydantic.ValidationError as error:
            layers = [*self._layers, *cell.layers]
            raise UserError(*(self._problem(detail, layers) for detail in error.errors())) from error
        try:
            return self._trainer.prepare(config)  # type: ignore[no-any-return]
        except ValueError as error:
            key = tuple(getattr(error, "setting", "").split("."))
            place = _place(key, [*self._layers, *cell.layers])
            raise UserError(str(error), place=place, help=getattr(error, "help", None)) from error
        except Exception as error:
            told = f"prepare() of trainer = '{self._trainer.name}' fails: {type(error).__name__}: {error}"
            raise UserError(told, help="it raises ValueError for a setting that does not fit") from error

    def _anew(self, cell: Cell, seed: int) -> dict[str, Any]:
        """The settings of a cell as they were written: what a validator does to a part of it stays in the cell."""
        merged = merge([*self._layers, *cell.layers, Layer({"seed": seed})])
        found: dict[str, Any] = copy.deepcopy(numbered(merged, self._trainer.config))
        return found

    def always_wrong(self) -> list[Problem]:
        """Mistakes in what all cells have in common that no cell can put right: told even where all cells hide them."""
        layers = self._layers
        details = [
            detail
            for details in self._wrong.values()
            for detail in details
            if detail["type"] not in ("value_error", "missing")
        ]
        return [self._problem(detail, layers) for detail in details]

    def wrong_alone(self, layer: Layer) -> list[Problem]:
        """Mistakes in a layer that no other layer can put right."""
        problems = []
        for name, value in layer.settings.items():
            _, details = self._validated(name, over(self._base.get(name), value))
            problems += [
                self._problem(detail, [*self._layers, layer])
                for detail in details
                if detail["type"] not in ("value_error", "missing", "list_gap")
            ]
        return problems

    def _validated(self, name: str, value: Any) -> "_Validated":
        """A setting, a part of the config as a model, and what is wrong with it as pydantic tells errors."""
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
        """What is wrong with a setting that is no part, whatever the others are."""
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

    def _told(self, name: str, own: tuple[Layer, ...], details: list[Any]) -> list[Problem]:
        """Mistakes in one setting or part, which are the same in all cells with the same layers over it."""
        known = self._problems.get((name, own))
        if known is None:
            layers = [*self._layers, *own]
            known = self._problems[name, own] = [self._problem(detail, layers) for detail in details]
        return known

    def _problem(self, detail: Any, layers: list[Layer]) -> Problem:
        """A mistake in the merged settings, with the place of the layer that set it."""
        key: Key = tuple(detail["loc"])
        if detail["type"] == "value_error":
            place = _place_of_named(str(detail["ctx"]["error"]), key, layers) or _place(key, layers)
        else:
            place = _place(key, layers, by_name=detail["type"] in ("extra_forbidden", "list_gap"))
        return problem(detail, self._trainer.config, place)


def _parts(config: type[pydantic.BaseModel]) -> dict[str, type[pydantic.BaseModel]]:
    """The fields that hold one model each and have a default."""
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
    except Exception as error:  # of a validator of someone's own
        told = f"{model.__name__} cannot check its settings: {type(error).__name__}: {error}"
        raise UserError(told, help="a validator raises ValueError for a setting that does not fit") from error


def _mistyped(model: type[pydantic.BaseModel], settings: Any, key: Key = ()) -> list[Any]:
    """Truth and text where a number belongs, which pydantic would quietly turn into one; as it tells errors."""
    if not isinstance(settings, dict):
        return []
    found = []
    for name, value in settings.items():
        field = model.model_fields.get(name)
        if field is None or not isinstance(value, (bool, str, dict)):
            continue
        inner = inner_model(field.annotation) if isinstance(value, dict) else None
        if inner:
            found += _mistyped(inner, value, (*key, name))
        kinds = {field.annotation, *getattr(field.annotation, "__args__", ())}
        numbers = kinds & {int, float}
        if (isinstance(value, bool) and numbers and bool not in kinds) or (
            isinstance(value, str) and (numbers or bool in kinds) and str not in kinds
        ):
            kind = "bool_type" if bool in kinds else "float_type" if float in kinds else "int_type"
            found.append({"type": kind, "loc": (*key, name), "input": value})
    return found


def _place(key: Key, layers: list[Layer], by_name: bool = False) -> Place | None:
    return next((layer.place(key, by_name) for layer in reversed(layers) if layer.sets(key)), None)


def _place_of_named(message: str, key: Key, layers: list[Layer]) -> Place | None:
    """The place of that setting which a message names and the topmost layer sets: it came last to the others."""
    words = [tuple(word.split(".")) for word in re.findall(r"[a-z_0-9]+(?:\.[a-z_0-9]+)*", message)]
    named = [candidate for word in words for candidate in ((*key, *word), word)]
    for layer in reversed(layers):
        for candidate in named:
            if layer.sets(candidate) and not _is_table(layer.settings, candidate):
                return layer.place(candidate)
    return None


def _is_table(settings: Any, key: Key) -> bool:
    for part in key:
        settings = settings.get(str(part)) if isinstance(settings, dict) else None
    return isinstance(settings, dict)
