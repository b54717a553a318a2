"""What a study file may say of its main chart."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from ablate.study.mistake import Mistake

PARAMETERS = "parameters"
"""What `x` may be beside axes: how many parameters the encoder has."""
CASE = "case"
"""What `x` may be beside axes: the cases."""
SHOWN_BY = ("x", "y", "color", "facet", "best_of")
"""The keys that name axes."""


def _each_once(names: list[str]) -> list[str]:
    if twice := next((number for number, name in enumerate(names) if name in names[:number]), None):
        raise Mistake(f"names '{names[twice]}' twice", item=twice)
    return names


def _listed(names: Any) -> Any:
    return [names] if isinstance(names, str) else names


_NAMES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "uniqueItems": True}]}
Names = Annotated[list[str], AfterValidator(_each_once), BeforeValidator(_listed), WithJsonSchema(_NAMES)]


class Chart(BaseModel):
    """How the results are drawn: measured, and published beside it.

    Axes that nothing says how to show are shown by what is left of x, color and facet, in the order of the file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    form: Literal["heatmap", "bars", "lines", "scatter"] | None = Field(None, examples=["bars"])
    """Unset: a heatmap for two axes of text, lines where an axis has three numbers or more, else bars."""
    x: str | None = Field(None, examples=["epochs"])
    """An axis (`evaluation` too), `case` for the cases, or `parameters` for millions of the encoder's parameters."""
    y: str | None = Field(None, examples=["first"])
    """The axis that goes down a heatmap."""
    color: Names = Field([], examples=["batch_size", ["method", "width"]])
    """The axis told by color, or several together: a bar of each group, a line, a kind of points."""
    facet: str | None = Field(None, examples=["head"])
    """The axis with a chart for each of its values."""
    best_of: Names = Field([], examples=["learning_rate"])
    """Axes that were tuned: of the cells that differ in them only, the one with the highest mean is shown."""
    log: bool | None = None
    """Whether x is on a logarithmic scale. Unset: where an axis' largest number is eight times its smallest or more."""
