"""The keys of a study's main chart."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ablate.errors import InvalidValue
from ablate.study.toml.table import Table

PARAMETERS = "parameters"
"""A value of `x` that is not an axis: the number of the encoder's parameters."""
CASE = "case"
"""A value of `x` that is not an axis: the cases."""
FORMS = tuple(
    sorted(path.stem.removesuffix("_form") for path in Path(__file__).parents[2].glob("report/charts/*_form.py"))
)
"""The forms of charts: the modules that draw them, found by their file names without importing a drawing library."""
if TYPE_CHECKING:
    Form = str
else:
    Form = Literal[FORMS]
AXIS_KEYS = ("x", "y", "color", "facet", "best_of")
"""The keys that name axes."""


def _each_once(names: list[str]) -> list[str]:
    if twice := next((number for number, name in enumerate(names) if name in names[:number]), None):
        raise InvalidValue(f"lists '{names[twice]}' twice", item=twice)
    return names


def _listed(names: Any) -> Any:
    return [names] if isinstance(names, str) else names


_NAMES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "uniqueItems": True}]}
Names = Annotated[list[str], AfterValidator(_each_once), BeforeValidator(_listed), WithJsonSchema(_NAMES)]


class Chart(Table):
    """How the results are drawn, measured next to published ones.

    Axes that are not assigned take the free ones of x, color and facet, in the order of the file.
    """

    form: Form | None = Field(None, examples=["bars"])
    """Default: a heatmap for two text axes, or for two axes of five values or more; lines if an axis has three
    numbers or more; dots for one other axis; else bars."""
    x: str | None = Field(None, examples=["epochs"])
    """An axis (or `evaluation`), `case` for the cases, or `parameters` for the encoder's size in millions."""
    y: str | None = Field(None, examples=["first"])
    """The vertical axis of a heatmap."""
    color: Names = Field([], examples=["batch_size", ["method", "width"]])
    """The axis, or several together, shown by color: each value has a bar in every group, a line, or points."""
    facet: str | None = Field(None, examples=["head"])
    """Draw one chart per value of this axis."""
    best_of: Names = Field([], examples=["learning_rate"])
    """Tuned axes: of the cells that differ only in them, the chart shows the one with the highest mean."""
    log: bool | None = None
    """Whether x is logarithmic. Default: true if the axis's largest number is at least eight times its smallest. Next
    to 0, it must be 64 times the smallest number above it; 0 then stands apart."""
