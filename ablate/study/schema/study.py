"""The keys of study and profile files."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from ablate.errors import Problem
from ablate.study.cells.cell import Choice, Scalar
from ablate.study.claims import METRIC, Whole
from ablate.study.schema.chart import Chart
from ablate.study.schema.design import DesignTable
from ablate.study.schema.removal import Removed, control_cases
from ablate.study.schema.resources import Resources
from ablate.study.schema.values import Case, Exclude, Extends, Identifier, Listed, Remove, Seeds, Tune, Values
from ablate.study.toml.positions import Key, Source
from ablate.study.toml.table import Table
from ablate.trainer.find import DEFAULT_TRAINER

RESERVED_NAMES = frozenset({"trials", "attempts", "metrics", "cells", "seen", "store"})
"""Tables of the store, which also has a view named after each study."""
COLUMNS = frozenset({"study", "profile", "case", "seed", "key", "state", "seconds", "value", "true", "false"})
"""Columns of every study's view, and words of conditions: reserved, so no axis may have these names.

An axis may be called like something that trainers return, whose column is then `metric.NAME`.
"""
PAPER = "paper"
"""The name that commands accept for the profile at the scale of a study's paper."""
DEFAULT_PROFILE = "embedded"
"""The profile used if none is named; it needs no download."""
EVALUATION = "evaluation"
"""The axis that `[evaluate]` defines."""


class Axis(Table):
    """One varied setting and its values."""

    model_config = ConfigDict(
        json_schema_extra={"required": ["setting"], "anyOf": [{"required": [each]} for each in ("values", "remove")]}
    )
    setting: str = Field(examples=["loss.temperature"])
    """Dotted path of the setting, as in `loss.temperature`; a number selects a list item, as in `x.transforms.0`. May
    name a whole table of settings if `values` is a table of named values."""
    values: Values = Field(examples=[[0.1, 0.5], {"weak": ["crop"], "strong": ["crop", "color"]}])
    """A list of text, numbers or booleans; a table that maps names to values, which may be lists or tables; or a range,
    as in `{ from = 1e-4, to = 1e-1, count = 4, scale = "log" }`. May be left out only with `remove`."""
    remove: Remove | None = Field(None, examples=["blur", ["color", "gray"]])
    """Items of a list: the axis is true where the setting keeps them, and false where they are removed from it."""
    label: str | None = None
    """Label in charts. Default: the axis name."""
    when: str | None = None
    """A condition on other axes, as in `head != 'none'`: cells that do not satisfy it lack this axis, and the setting
    keeps its base value."""

    @model_validator(mode="before")
    @classmethod
    def _kept_and_removed(cls, axis: Any) -> Any:
        """Without values, a part that can be removed is there and is not."""
        return {"values": [True, False], **axis} if isinstance(axis, dict) and "remove" in axis else axis

    @property
    def names(self) -> list[Scalar]:
        """The names of its values in cells, tables and pages."""
        return list(self.values)

    def value(self, name: Scalar) -> Any:
        """The value with this name."""
        return self.values[str(name)] if isinstance(self.values, dict) else name

    def settings(self, name: Scalar) -> dict[str, Any]:
        """Dotted setting -> value, in the cells with this value; a part that `remove` keeps sets nothing."""
        if self.remove is None:
            return {self.setting: self.value(name)}
        return {} if name is True else {self.setting: Removed(self.remove)}


class Reference(Table):
    """A published table or figure that a study reproduces; a row matches the cells that have its values."""

    table: str = Field(examples=["fig5_augmentation_composition"])
    """Name of a table in ablate/paper, without .csv."""
    value: str = "top1"
    """Column with the value, in percent."""
    label: str = Field(examples=["Fig. 5"])
    """Citation on pages, as in "Fig. 5"."""
    metric: str | None = Field(None, pattern=METRIC, max_length=100, examples=["contrastive_accuracy"])
    """The metric that it reports. Default: the study's metric."""
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Factor applied to the published numbers."""
    where: dict[str, Scalar | list[Scalar]] = Field({}, examples=[{"method": "simclr"}])
    """Rows to use: column -> value or list of values."""
    columns: dict[Identifier, str | Literal[False]] = Field({}, examples=[{"temperature": "tau", "evaluation": False}])
    """Maps an axis to a column with another name, or to false if the table has no such column (its rows then apply to
    every value). Text is compared as text, numbers as numbers, true and false as 1 and 0."""
    values: dict[Identifier, dict[str, Scalar]] = Field({}, examples=[{"head": {"none": "no head"}}])
    """Maps the values of an axis to their names in the table."""
    cases: dict[Identifier, dict[str, Scalar]] = Field({}, examples=[{"no_flip": {"item": "no_random_flip_top1"}}])
    """For each case, the column values that select its row; overrides `where`."""
    cells: str | None = Field(None, examples=["head != 'none'"])
    """A condition on axes and `case`: the cells that the reference covers."""


class ProfileOverrides(Table):
    """What a study changes at one profile."""

    base: dict[str, Any] = Field({})
    axes: dict[Identifier, Values] = Field({})
    """Replaces the values of some axes."""
    evaluate: dict[Identifier, dict[str, Any]] = Field({})
    """Additional settings of some evaluations."""
    tune: dict[str, Values] = Field({})
    """Replaces the values of some tuned settings; dotted paths in quotes."""
    seeds: Seeds | None = Field(None, examples=[3, [0, 1, 2]])
    resources: dict[str, Any] = Field({})


_AXES = {"temperature": {"setting": "loss.temperature", "values": [0.1, 0.5]}}


class Study(Table):
    """A study file: a question, and what is varied to answer it."""

    name: Identifier = Field(examples=["temperature"])
    """The file's name, without .toml."""
    title: str = Field(examples=["Temperature of the loss"])
    question: str = Field(examples=["Which temperature teaches the best representation?"])
    extends: Extends = Field([], examples=["augment_pairs"])
    """Study files to inherit from (names, or paths relative to this file); this file overrides them."""
    trainer: str = DEFAULT_TRAINER
    """`package.module:function` of a custom trainer; the pydantic model of its first argument defines the settings."""
    command: list[str] = Field([], examples=[["python", "train.py", "--lr", "{lr}", "--seed", "{seed}"]])
    """A program as the trainer, in any language: its words, without a shell, with a placeholder for each setting."""
    files: list[str] = Field([], examples=[["configs/*.yaml"]])
    """Files of the command, relative to the working folder, besides those that its words name and import."""
    metrics: str = Field("stdout", examples=["stdout", "{out}/metrics.json"])
    """Where a command leaves its numbers: `stdout` (its last JSON object, or its last lines `name=value`), a JSON file,
    or a regular expression with named groups."""
    defaults: dict[str, Any] = Field({}, examples=[{"epochs": 10}])
    """Settings of a command without an axis."""
    environment: dict[str, str] = Field({}, examples=[{"TF_SEED": "{seed}"}])
    """Environment variables of a command, besides `ABLATE_<NAME>` for every setting."""
    metric: Annotated[str, Field(pattern=METRIC, max_length=100)] = "top1"
    """The metric that is compared: one of those that the trainer returns."""
    base: dict[str, Any] = Field({}, examples=[{"epochs": 4}])
    """Trainer settings of every cell at every profile."""
    axes: dict[Identifier, Axis] = Field({}, examples=[_AXES])
    """What is varied: every combination of values is a cell."""
    zip: list[dict[Identifier, Axis]] = Field([], examples=[[_AXES]])
    """Axes that vary together: first value with first, second with second."""
    cases: list[Case] = Field(
        [], examples=[[{"name": "untrained", "label": "untrained encoder", "set": {"epochs": 0}}]]
    )
    """Named cells in addition to the grid."""
    design: DesignTable | None = None
    """Which combinations of the axes' values are cells. Default: all."""
    baseline: str | None = Field(None, examples=["head=nonlinear"])
    """The cell to which every table, chart and export compares the others, seed by seed: a case, a name that `[design]`
    gives, or values of axes, as in `first=crop second=color`. With values of some axes only, each cell is compared to
    the one that has them and is otherwise alike. Default: the cell from which those of `[design]` differ, if any."""
    tune: Tune | None = None
    """Settings that each cell chooses on validation data before the cells are compared."""
    exclude: list[Exclude] = Field([], max_length=1000, examples=[["head == 'none'"], [{"head": "none"}]])
    """Cells to exclude: a condition, as in `batch_size > 1024 and epochs == 100`, or a table of axis values."""
    evaluate: dict[Identifier, dict[str, Any]] = Field({}, examples=[{"nearest": {"parts": ["knn"]}}])
    """Named evaluations that share each cell's pretraining; their keys are the trainer's settings under `evaluate`."""
    seeds: Seeds = Field(1, examples=[3, [0, 1, 2]])
    """Number of seeds (0, 1, ...), or a list of seeds."""
    resources: Resources = Resources()
    profile: dict[str, ProfileOverrides] = Field({}, examples=[{"small": {"base": {"epochs": 20}}}])
    """Overrides at one profile."""
    reference: Annotated[list[Reference], Listed] = Field([])
    """The published numbers: `[reference]`, or `[[reference]]` for several."""
    chart: Chart = Chart()
    """How the results are drawn."""
    claims: list[Whole] = Field([])
    """Statements to test against the results; their keys depend on `kind`."""
    paper_profile: str = "imagenet"
    """The profile at the paper's own scale; at other profiles, claims are judged by order and sign only."""

    def profile_named(self, name: str) -> str:
        """The profile that a command refers to: for `paper`, the study's `paper_profile`."""
        return self.paper_profile if name == PAPER else name

    def overrides(self, profile: str) -> ProfileOverrides:
        """What the study changes at a profile."""
        return self.profile.get(profile, ProfileOverrides())

    def seeds_at(self, profile: str) -> list[int]:
        """The seeds of every cell at a profile."""
        seeds = self.overrides(profile).seeds or self.seeds
        return list(range(seeds)) if isinstance(seeds, int) else seeds

    @property
    def factors(self) -> list[dict[str, Axis]]:
        """Groups of axes that vary together: each axis of the grid by itself, then each `[[zip]]`."""
        return [*({name: axis} for name, axis in self.axes.items()), *self.zip]

    @cached_property
    def all_axes(self) -> dict[str, Axis]:
        """All axes by name, including those of `[[zip]]`."""
        return {name: axis for factor in self.factors for name, axis in factor.items()}

    @cached_property
    def every_case(self) -> list[Case]:
        """The cases, then those of `[design]` without random items."""
        if self.design is None or self.design.random_removals is None:
            return self.cases
        parts = [(axis.setting, axis.remove) for axis in self.all_axes.values() if axis.remove]
        drawn = control_cases(self.design.random_removals, self.design.seed or 0, parts)
        return [*self.cases, *(Case(name=name, label=label, set=settings) for name, label, settings in drawn)]

    @cached_property
    def choices(self) -> dict[str, list[Scalar]]:
        """The values that each axis has at any profile."""
        choices = {name: list(axis.names) for name, axis in self.all_axes.items()}
        for overrides in self.profile.values():
            for name, others in overrides.axes.items():
                choices[name] = list({str(each): each for each in [*choices.get(name, []), *others]}.values())
        return choices | ({EVALUATION: list(self.evaluate)} if self.evaluate else {})

    @cached_property
    def command_settings(self) -> dict[str, list[Any]]:
        """Name of each setting of a command -> all values that its default and its axes have at any profile."""
        found: dict[str, list[Any]] = {name: [value] for name, value in self.defaults.items()}
        for name, axis in self.all_axes.items():
            others = [overrides.axes[name] for overrides in self.profile.values() if name in overrides.axes]
            for values in (axis.values, *others):
                found.setdefault(axis.setting, []).extend(values.values() if isinstance(values, dict) else values)
        return found

    @cached_property
    def choices_and_cases(self) -> dict[str, list[Scalar]]:
        """The same, plus the names of the cases under `case`: what claims may refer to."""
        return self.choices | ({"case": [case.name for case in self.every_case]} if self.every_case else {})


def axes_of(study: Study) -> Iterator[tuple[Key, str, Axis]]:
    """The key, the name and the definition of each axis."""
    yield from ((("axes", name), name, axis) for name, axis in study.axes.items())
    for number, block in enumerate(study.zip):
        yield from ((("zip", number, name), name, axis) for name, axis in block.items())


@dataclass(frozen=True)
class LoadedStudy:
    """A study with the file it came from."""

    study: Study
    source: Source
    problems: tuple[Problem, ...] = ()
    """Problems found so far; invalid parts are left out of `study`, so that the rest can be checked too."""
    tuning: bool = False
    """Whether it is the first stage of a study with `[tune]`: every cell with every combination of the tuned values."""
    choices: tuple[Choice, ...] = ()
    """What the first stage chose; a cell without a choice has the first values."""
