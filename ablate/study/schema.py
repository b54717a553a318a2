"""What a study file and a profile file may say."""

import keyword
import math
import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from ablate.study.trainer import SIMCLR
from ablate.study.words import value_text

RESERVED_NAMES = frozenset({"trials", "attempts", "metrics", "cells", "seen", "store"})
"""Tables of the store; each study has a view of its own name beside them."""
COLUMNS = frozenset(
    {"study", "profile", "case", "seed", "key", "state", "top1", "loss", "seconds", "images", "value", "true", "false"}
)
"""Columns of every study's view, and words of conditions: no axis may have their names."""
EVALUATION = "evaluation"
"""The axis that the tables of `[evaluate]` make."""

Scalar = str | bool | int | float


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _identifier(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or len(name) > 60:
        raise ValueError(
            f"{name[:60]!r} is no name: small letters, digits and _, first a letter, at most 60, no word of Python's"
        )
    return name


def _seeds(seeds: Any) -> Any:
    """How many, or which: whole numbers from 0 on, each once."""
    if isinstance(seeds, int) and not isinstance(seeds, bool) and 1 <= seeds <= 10_000:
        return seeds
    good = isinstance(seeds, list) and seeds and all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds)
    if not good:
        raise ValueError("is how many seeds, as in seeds = 3, or a list of whole numbers from 0 on, as in [0, 1, 2]")
    if twice := _twice(seeds):
        raise ValueError(f"names a seed twice: {twice[1]}")
    return seeds


def _values(values: Any) -> Any:
    """A list of plain values, or a table of named ones; each once."""
    if isinstance(values, dict) and values:
        return values
    if not isinstance(values, list) or not values:
        raise ValueError(
            "is a list of text, numbers or true and false, as in [0.1, 0.5]; or a table of named values, "
            'as in { weak = ["crop"], strong = ["crop", "color"] }'
        )
    for value in values:
        if isinstance(value, (list, dict)):
            kind = "list" if isinstance(value, list) else "table"
            raise ValueError(f"has a {kind} as a value, which needs a name, as in values = {{ first = ... }}")
        if not isinstance(value, Scalar):
            raise ValueError(f"has {value}: values are text, numbers, true and false; write a date in quotes")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"has {value}, which is no number")
    if twice := _twice(values):
        one, two = map(value_text, twice)
        raise ValueError(f"has {one} twice" if one == two else f"has {one} and {two}, which are equal")
    return values


def _twice(values: list[Any]) -> tuple[Any, Any] | None:
    """The first two values that are equal."""
    seen: dict[Any, Any] = {}
    for value in values:
        if value in seen:
            return seen[value], value
        seen[value] = value
    return None


def _extends(names: Any) -> Any:
    """One study file, or several."""
    if isinstance(names, str) or (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return names
    raise ValueError('is the name of a study file, as in extends = "temperature", or a list of them')


def _exclude(rule: Any) -> Any:
    """A condition, or a table of axis values."""
    if isinstance(rule, (str, dict)):
        return rule
    raise ValueError('is a condition, as in "head == \'none\'", or a table of axis values, as in { head = "none" }')


Identifier = Annotated[str, AfterValidator(_identifier)]
Exclude = Annotated[str | dict[str, Any], BeforeValidator(_exclude)]
Seeds = Annotated[int | list[int], BeforeValidator(_seeds)]
Values = Annotated[list[Scalar] | dict[str, Any], BeforeValidator(_values)]


class Axis(_Strict):
    """One varied setting and its values."""

    setting: str
    """Dotted path of the setting, as in `loss.temperature`; a number picks an item, as in `x.transforms.0`. It may
    name a whole table of settings, with `values` a table of named ones."""
    values: Values
    """A list of text, numbers or true and false; or a table, name -> value, where a value is a list or a table."""
    label: str | None = None
    """What charts call it, where that is not its name."""
    when: str | None = None
    """A condition on other axes, as in `head != 'none'`: where it does not hold, the axis is left out of the cell and
    the setting stays at its base value."""

    @property
    def names(self) -> list[Scalar]:
        """What cells, tables and pages call its values."""
        return list(self.values)

    def value(self, name: Scalar) -> Any:
        """The setting's value of that name."""
        return self.values[str(name)] if isinstance(self.values, dict) else name


class Case(_Strict):
    """A named cell beside the grid of the axes: the base settings with some of them changed."""

    name: Identifier
    label: str
    """What tables and pages call it."""
    set: dict[str, Any]
    """Settings that differ from the base, as nested tables or dotted keys."""


class Reference(_Strict):
    """The published table or figure that a study reproduces."""

    table: str
    """Name of a table in ablate/paper, without .csv."""
    value: str = "top1"
    """Its column that holds the number, in percent."""
    label: str
    """How pages cite it, as in "Fig. 5"."""


class Resources(_Strict):
    """What one trial needs of a machine."""

    nodes: Annotated[int, Field(ge=1, le=10_000)] = 1
    gpus_per_node: Annotated[int, Field(ge=0, le=64)] = 0
    cpus_per_task: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Of each rank; there is one rank a GPU, or one where there is none."""
    memory: str | None = None
    """Of a node, as in `"64GB"`."""
    time: str | None = None
    """The longest that one attempt may take, as in `"24h"`, `"90min"` or Slurm's `"1-12:00:00"`."""

    @field_validator("memory")
    @classmethod
    def _is_memory(cls, memory: str | None) -> str | None:
        if memory is not None and not re.fullmatch(r"\d+\s?(MB|GB|TB|M|G|T)", memory):
            raise ValueError(f'{memory!r} is no amount of memory; for example "64GB"')
        return memory

    @field_validator("time")
    @classmethod
    def _is_time(cls, time: str | None) -> str | None:
        if time is not None:
            hours(time)
        return time


class ProfileOverrides(_Strict):
    """What a study changes under one profile."""

    base: dict[str, Any] = {}
    axes: dict[Identifier, Values] = {}
    """Other values for some axes."""
    evaluate: dict[Identifier, dict[str, Any]] = {}
    """Further settings of some evaluations."""
    seeds: Seeds | None = None
    resources: dict[str, Any] = {}


class Study(_Strict):
    """One study file: a question, and what is varied to answer it."""

    name: Identifier
    """That of the file, without .toml."""
    title: str
    question: str
    extends: Annotated[str | list[str], BeforeValidator(_extends)] = []
    """Study files whose content holds where this file says nothing else: names, or paths as seen from this one."""
    trainer: str = SIMCLR
    """`package.module:function` of a trainer of your own; its first argument's pydantic model is its settings."""
    metric: str = "top1"
    """Which of the numbers that a trainer returns is compared."""
    base: dict[str, Any] = {}
    """Settings of the trainer that hold for every cell, at every profile."""
    axes: dict[Identifier, Axis] = {}
    """What is varied: every combination of values is a cell."""
    zip: list[dict[Identifier, Axis]] = []
    """Axes of one table move together: first value with first, second with second."""
    cases: list[Case] = []
    """Named cells beside the grid."""
    exclude: list[Exclude] = []
    """Cells to leave out: a condition, as in `batch_size > 1024 and epochs == 100`, or a table of axis values."""
    evaluate: dict[Identifier, dict[str, Any]] = {}
    """Several evaluations of every cell, by name, which share its pretraining: settings of the trainer below
    `evaluate`."""
    seeds: Seeds = 1
    """How many seeds (0, 1, ...), or which."""
    resources: Resources = Resources()
    profile: dict[str, ProfileOverrides] = {}
    """What differs under one profile."""
    reference: Reference | None = None

    @property
    def factors(self) -> list[dict[str, Axis]]:
        """Groups of axes whose values move together: each axis of the grid by itself, then each `[[zip]]`."""
        return [*({name: axis} for name, axis in self.axes.items()), *self.zip]

    @property
    def all_axes(self) -> dict[str, Axis]:
        """All axes by name, those of `[[zip]]` too."""
        return {name: axis for factor in self.factors for name, axis in factor.items()}

    @model_validator(mode="after")
    def _has_a_free_name(self) -> Self:
        if self.name in RESERVED_NAMES:
            raise ValueError(f"name = {self.name!r} is a table of the store; give the study another name")
        return self

    @model_validator(mode="after")
    def _varies_something(self) -> Self:
        if not (self.axes or self.zip or self.cases or self.evaluate):
            raise ValueError("nothing is varied: add [axes], [[zip]], [[cases]] or [evaluate]")
        return self


class Profile(_Strict):
    """A scale at which any study runs."""

    title: str
    description: str
    base: dict[str, Any]
    """Settings of the trainer at this scale; a study's own come on top."""
    resources: Resources = Resources()


def hours(time: str) -> float:
    """Hours of `24h`, `90min`, `2d`, or Slurm's `[days-]hours:minutes[:seconds]`. Raises ValueError."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s?(d|h|min|m|s)", time):
        return float(match[1]) * {"d": 24, "h": 1, "min": 1 / 60, "m": 1 / 60, "s": 1 / 3600}[match[2]]
    if match := re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?", time):
        days, hour, minute, second = (int(part or 0) for part in match.groups())
        return days * 24 + hour + minute / 60 + second / 3600
    raise ValueError(f'{time!r} is no time; for example "24h", "90min" or "1-12:00:00"')
