"""What a study file and a profile file may say."""

import keyword
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

RESERVED_NAMES = frozenset({"trials", "attempts", "metrics", "cells", "seen", "store"})
"""Tables of the store; each study has a view of its own name beside them."""

Scalar = str | bool | int | float


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _identifier(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ValueError("a name is made of small letters, digits and _, and starts with a letter")
    return name


Identifier = Annotated[str, AfterValidator(_identifier)]


class Axis(_Strict):
    """One varied setting and its values."""

    setting: str
    """Dotted path of the setting, as in `loss.temperature`; a number picks an item, as in `x.transforms.0`."""
    values: Annotated[list[Scalar], Field(min_length=1)]
    label: str | None = None
    """What charts call it, where that is not its name."""

    @field_validator("values")
    @classmethod
    def _distinct(cls, values: list[Scalar]) -> list[Scalar]:
        repeated = [value for index, value in enumerate(values) if value in values[:index]]
        if repeated:
            raise ValueError(f"{repeated[0]!r} stands twice in the values of an axis")
        return values


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


class ProfileOverrides(_Strict):
    """What a study changes under one profile."""

    base: dict[str, Any] = {}
    axes: dict[Identifier, list[Scalar]] = {}
    """Other values for some axes."""
    seeds: int | list[int] | None = None


class Study(_Strict):
    """One study file: a question, and what is varied to answer it."""

    name: Identifier
    title: str
    question: str
    metric: Literal["top1"] = "top1"
    base: dict[str, Any] = {}
    """Settings of the trainer that hold for every cell, at every profile."""
    axes: dict[Identifier, Axis]
    cases: list[Case] = []
    seeds: Annotated[int, Field(ge=1)] | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = 1
    """How many seeds (0, 1, ...), or which."""
    profile: dict[str, ProfileOverrides] = {}
    reference: Reference | None = None

    @model_validator(mode="after")
    def _names(self) -> Self:
        if self.name in RESERVED_NAMES:
            raise ValueError(f"name = {self.name!r} is a table of the store; give the study another name")
        if clash := {"study", "profile", "case", "seed", "key", "state", "top1", "loss", "seconds", "images"} & set(
            self.axes
        ):
            raise ValueError(f"axes.{min(clash)} is a column of every study; give the axis another name")
        for name, overrides in self.profile.items():
            for axis in overrides.axes:
                if axis not in self.axes:
                    raise ValueError(f"profile.{name}.axes.{axis} is not an axis of the study")
        return self


class Profile(_Strict):
    """A scale at which any study runs."""

    title: str
    description: str
    base: dict[str, Any]
    """Settings of the trainer at this scale; a study's own come on top."""
