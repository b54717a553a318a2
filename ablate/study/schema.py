"""What a study file and a profile file may say."""

import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator

from ablate.study.chart import Chart
from ablate.study.claims import METRIC, Whole
from ablate.study.mistake import Mistake
from ablate.study.trainer import SIMCLR
from ablate.study.values import (
    LONGEST_NAME,
    MOST_SEEDS,
    NAME,
    Scalar,
    exclude,
    extends,
    identifier,
    listed,
    seeds,
    values,
)

RESERVED_NAMES = frozenset({"trials", "attempts", "metrics", "cells", "seen", "store"})
"""Tables of the store; each study has a view of its own name beside them."""
COLUMNS = frozenset(
    {"study", "profile", "case", "seed", "key", "state", "top1", "loss", "seconds", "images", "value", "true", "false"}
)
"""Columns of every study's view, and words of conditions: no axis may have their names."""
DEFAULT_PROFILE = "embedded"
"""The scale that is meant where none is named: it needs no download."""
EVALUATION = "evaluation"
"""The axis that the tables of `[evaluate]` make."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


Extends = Annotated[str | list[str], BeforeValidator(extends)]
_IDENTIFIER = {"type": "string", "pattern": NAME, "maxLength": LONGEST_NAME}
_SEEDS = [
    {"type": "integer", "minimum": 1, "maximum": MOST_SEEDS},
    {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
]
Identifier = Annotated[str, AfterValidator(identifier), WithJsonSchema(_IDENTIFIER)]
Exclude = Annotated[str | dict[str, Any], BeforeValidator(exclude)]
Seeds = Annotated[int | list[int], BeforeValidator(seeds), WithJsonSchema({"anyOf": _SEEDS})]
Values = Annotated[list[Scalar] | dict[str, Any], BeforeValidator(values)]


class Axis(_Strict):
    """One varied setting and its values."""

    setting: str = Field(examples=["loss.temperature"])
    """Dotted path of the setting, as in `loss.temperature`; a number picks an item, as in `x.transforms.0`. It may
    name a whole table of settings, with `values` a table of named ones."""
    values: Values = Field(examples=[[0.1, 0.5], {"weak": ["crop"], "strong": ["crop", "color"]}])
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

    name: Identifier = Field(examples=["untrained"])
    label: str = Field(examples=["untrained encoder"])
    """What tables and pages call it."""
    set: dict[str, Any] = Field(examples=[{"epochs": 0}])
    """Settings that differ from the base, as nested tables or dotted keys."""


class Reference(_Strict):
    """A published table or figure that a study reproduces: a row is about the cells that have its values."""

    table: str = Field(examples=["fig5_augmentation_composition"])
    """Name of a table in ablate/paper, without .csv."""
    value: str = "top1"
    """Its column that holds the number, in percent."""
    label: str = Field(examples=["Fig. 5"])
    """How pages cite it, as in "Fig. 5"."""
    metric: str | None = Field(None, pattern=METRIC, max_length=100, examples=["contrastive_accuracy"])
    """Which number of a trial it is about; the study's metric where it is unset."""
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """What the published numbers are multiplied by."""
    where: dict[str, Scalar | list[Scalar]] = Field({}, examples=[{"method": "simclr"}])
    """The rows that are used: column -> value, or a list of values."""
    columns: dict[Identifier, str | Literal[False]] = Field({}, examples=[{"temperature": "tau", "evaluation": False}])
    """Axis -> its column, where that is not called like the axis; or false where the table says nothing of the axis:
    its rows are about every value. Text is compared as text, numbers as numbers, true and false as 1 and 0."""
    values: dict[Identifier, dict[str, Scalar]] = Field({}, examples=[{"head": {"none": "no head"}}])
    """Axis -> value of a cell -> what the table calls it."""
    cases: dict[Identifier, dict[str, Scalar]] = Field({}, examples=[{"no_flip": {"item": "no_random_flip_top1"}}])
    """Case -> column -> value: the row about a case; these win over `where`."""
    cells: str | None = Field(None, examples=["head != 'none'"])
    """A condition on axes and `case`: the cells that it is about at all."""


References = Annotated[list[Reference], BeforeValidator(listed)]


class Resources(_Strict):
    """What one trial needs of a machine."""

    nodes: Annotated[int, Field(ge=1, le=10_000)] = 1
    gpus_per_node: Annotated[int, Field(ge=0, le=64)] = 0
    cpus_per_task: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads of each rank, 1 where it is unset; there is one rank a GPU, or one where there is none."""
    memory: str | None = None
    """Of a node, as in `"64GB"`."""
    time: str | None = None
    """The longest that one attempt may take, as in `"24h"`, `"90min"` or Slurm's `"1-12:00:00"`."""
    trials_per_job: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Trials that one job of a cluster trains; where it is unset, as many as keep the start of a job a small part of
    it."""
    at_once: Annotated[int, Field(ge=1, le=64)] | None = None
    """How many of a job's trials train side by side, on the same GPUs; one after another where it is unset and no
    trial has been measured to be small."""

    @field_validator("memory")
    @classmethod
    def _is_memory(cls, memory: str | None) -> str | None:
        return None if memory is None else amount_of_memory(memory)

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
    seeds: Seeds | None = Field(None, examples=[3, [0, 1, 2]])
    resources: dict[str, Any] = {}


_AXES = {"temperature": {"setting": "loss.temperature", "values": [0.1, 0.5]}}


class Study(_Strict):
    """One study file: a question, and what is varied to answer it."""

    name: Identifier = Field(examples=["temperature"])
    """That of the file, without .toml."""
    title: str = Field(examples=["Temperature of the loss"])
    question: str = Field(examples=["Which temperature teaches the best representation?"])
    extends: Extends = Field([], examples=["augment_pairs"])
    """Study files whose content holds where this file says nothing else: names, or paths as seen from this one."""
    trainer: str = SIMCLR
    """`package.module:function` of a trainer of your own; its first argument's pydantic model is its settings."""
    metric: Annotated[str, Field(pattern=METRIC, max_length=100)] = "top1"
    """Which of the numbers that a trainer returns is compared."""
    base: dict[str, Any] = Field({}, examples=[{"epochs": 4}])
    """Settings of the trainer that hold for every cell, at every profile."""
    axes: dict[Identifier, Axis] = Field({}, examples=[_AXES])
    """What is varied: every combination of values is a cell."""
    zip: list[dict[Identifier, Axis]] = Field([], examples=[[_AXES]])
    """Axes of one table move together: first value with first, second with second."""
    cases: list[Case] = Field(
        [], examples=[[{"name": "untrained", "label": "untrained encoder", "set": {"epochs": 0}}]]
    )
    """Named cells beside the grid."""
    exclude: list[Exclude] = Field([], max_length=1000, examples=[["head == 'none'"], [{"head": "none"}]])
    """Cells to leave out: a condition, as in `batch_size > 1024 and epochs == 100`, or a table of axis values."""
    evaluate: dict[Identifier, dict[str, Any]] = Field({}, examples=[{"nearest": {"parts": ["knn"]}}])
    """Several evaluations of every cell, by name, which share its pretraining: settings of the trainer below
    `evaluate`."""
    seeds: Seeds = Field(1, examples=[3, [0, 1, 2]])
    """How many seeds (0, 1, ...), or which."""
    resources: Resources = Resources()
    profile: dict[str, ProfileOverrides] = Field({}, examples=[{"small": {"base": {"epochs": 20}}}])
    """What differs under one profile."""
    reference: References = []
    """The published numbers: `[reference]`, or `[[reference]]` for several."""
    chart: Chart = Chart()
    """How the results are drawn."""
    claims: list[Whole] = []
    """What the study is to show, to be judged by its results; the keys depend on `kind`."""
    paper_profile: str = "imagenet"
    """The profile that is the paper's own scale: at others, claims are judged by order and sign only."""

    @property
    def factors(self) -> list[dict[str, Axis]]:
        """Groups of axes whose values move together: each axis of the grid by itself, then each `[[zip]]`."""
        return [*({name: axis} for name, axis in self.axes.items()), *self.zip]

    @cached_property
    def all_axes(self) -> dict[str, Axis]:
        """All axes by name, those of `[[zip]]` too."""
        return {name: axis for factor in self.factors for name, axis in factor.items()}

    @cached_property
    def choices(self) -> dict[str, list[Scalar]]:
        """Every value that each axis has at some profile."""
        choices = {name: list(axis.names) for name, axis in self.all_axes.items()}
        for overrides in self.profile.values():
            for name, others in overrides.axes.items():
                choices.setdefault(name, []).extend(others)
        return choices | ({EVALUATION: list(self.evaluate)} if self.evaluate else {})

    @cached_property
    def choices_and_cases(self) -> dict[str, list[Scalar]]:
        """The same, and under `case` the names of the cases where there are some: what claims may name."""
        return self.choices | ({"case": [case.name for case in self.cases]} if self.cases else {})


class Assumed(_Strict):
    """How many images the data set of a profile has, for a plan where it is not at hand."""

    train_images: Annotated[int, Field(ge=1)] = Field(examples=[1_281_167])
    test_images: Annotated[int, Field(ge=1)] = Field(examples=[50_000])


class Profile(_Strict):
    """A scale at which any study runs."""

    title: str
    description: str
    base: dict[str, Any]
    """Settings of the trainer at this scale; a study's own come on top."""
    resources: Resources = Resources()
    assumed: Assumed | None = None
    """How many images its data set has: what `ablate plan --assume` counts with where the data are not at hand."""


def amount_of_memory(text: str) -> str:
    """The text, which is an amount as in `64GB`. Raises ValueError."""
    if not re.fullmatch(r"\d+\s?(MB|GB|TB|M|G|T)", text):
        raise Mistake("should be an amount of memory", 'for example memory = "64GB"')
    return text


def hours(time: str) -> float:
    """Hours of `24h`, `90min`, `2d`, or Slurm's `[days-]hours:minutes[:seconds]`. Raises ValueError."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s?(d|h|min|m|s)", time):
        return float(match[1]) * {"d": 24, "h": 1, "min": 1 / 60, "m": 1 / 60, "s": 1 / 3600}[match[2]]
    if match := re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?", time):
        days, hour, minute, second = (int(part or 0) for part in match.groups())
        return days * 24 + hour + minute / 60 + second / 3600
    raise Mistake("should be a length of time", 'for example time = "24h", "90min" or "1-12:00:00"')
