"""Parts of a plan: a published table, and what the cells of a study with `[tune]` chose."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Scalar = str | bool | int | float
"""A value of an axis: `ablate.study.cells.cell` has the same, which imports more."""


@dataclass(frozen=True)
class PlanReference:
    """A published table: the fields of `[[reference]]` in a study file."""

    table: str
    label: str
    value: str = "top1"
    metric: str | None = None
    scale: float = 1.0
    where: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str | Literal[False]] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    cases: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    cells: str | None = None


class _Score(BaseModel):
    model_config = ConfigDict(strict=True)

    values: dict[str, Scalar]
    score: float | None
    """None: a trial with these values diverged."""


class _Chosen(BaseModel):
    model_config = ConfigDict(strict=True)

    axes: dict[str, Scalar]
    case: str | None
    values: dict[str, Scalar]
    scores: list[_Score]


class _Choices(BaseModel):
    model_config = ConfigDict(strict=True)

    study: str
    metric: str
    lowest: bool
    choose: str
    seeds: list[int]
    cells: list[_Chosen] = Field(min_length=1)


def _reported(tuned: dict[str, Any]) -> dict[str, Any]:
    """Choices in the form that pages report. Raises ValueError for another one."""
    if not tuned:
        return tuned
    for cell in _Choices.model_validate(tuned).cells:
        if cell.values not in [score.values for score in cell.scores]:
            raise ValueError("a cell chose values that it did not try")
    return tuned


Tuned = Annotated[dict[str, Any], AfterValidator(_reported)]
"""What each cell chose; empty without `[tune]`."""
