"""The claims that a study may make: one table a kind, told apart by `kind`."""

import math
import re
from typing import Annotated, Any, ClassVar, Literal, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from ablate.study.mistake import Mistake

_ID = r"^[A-Z][A-Za-z0-9_']{0,39}$"
METRIC = r"^[\w./-]+$"
"""What names of numbers that a trainer returns look like."""


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise Mistake("should be a finite number")
    return value


def _identified(id: str) -> str:
    if not re.fullmatch(_ID, id):
        raise Mistake("should be a capital, then letters, digits, _ and ', 40 at most", 'for example id = "A1"')
    return id


_Id = Annotated[str, AfterValidator(_identified), WithJsonSchema({"type": "string", "pattern": _ID})]
Finite = Annotated[float, AfterValidator(_finite)]
Positive = Annotated[float, Field(gt=0), AfterValidator(_finite)]
Condition = Annotated[str, Field(min_length=1, examples=["head == 'none'"])]
Metric = Annotated[str, Field(pattern=METRIC, max_length=100, examples=["top1"])]
Each = Annotated[list[str], Field(examples=[["temperature"]])]


def _check_sides(left: str | None, right: str | None) -> None:
    if (left is None) != (right is None):
        missing = "right" if right is None else "left"
        raise Mistake(f"has one side only: '{missing}' is missing", "give both, or neither")


class Claim(BaseModel):
    """What every claim has; a claim inside another (`parts`) has of these `kind`, `metric` and `cells` only."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    of_whole: ClassVar[tuple[str, ...]] = ("id", "text", "source", "required", "profiles")
    needed: ClassVar[tuple[str, ...]] = ("id", "text", "source")
    with_paper: ClassVar[bool] = False  # whether it compares with the paper's numbers, which agree with themselves

    kind: str
    """What is compared: one of the kinds below."""
    id: _Id = Field("", examples=["A1"])
    """Its name in the study, as in `A1`: a capital first, then letters, digits, `_` and `'`."""
    text: str = Field("", examples=["Random crop with color distortion is the best composition."])
    """What is claimed, in a sentence."""
    source: str = Field("", examples=["section 3.1"])
    """Where the paper says so."""
    metric: Metric | None = None
    """The number that it is about; the study's where it is unset."""
    cells: Condition | None = None
    """A condition on axes and `case`: the cells that it is about. Unset: all of the grid. One that does not name
    `case` leaves out the cases."""
    required: bool = False
    """`ablate judge` exits with 3 where it is refuted."""
    profiles: list[str] | None = Field(None, min_length=1, examples=[["imagenet"]])
    """The profiles at which it is judged; all where it is unset."""


class Best(Claim):
    """Some cell of `is` is above every other cell of `cells` by more than `margin`; below, where `lowest` is true."""

    kind: Literal["best"]
    best: Condition = Field(alias="is", examples=["first == 'crop' and second == 'color'"])
    """A condition: where the best cell is."""
    margin: Finite = 0.0
    lowest: bool = False
    """The best cell is the one of the lowest number, as of an error."""


class Greater(Claim):
    """The mean over the cells of `left` is above that over those of `right` by more than `margin`."""

    kind: Literal["greater"]
    left: Condition | None = None
    """A condition: the cells that are above. Needed, unless there is a `right_metric`."""
    right: Condition | None = None
    """A condition: the cells that are below."""
    right_metric: Metric | None = None
    """Another number, which is that of the cells of `right`; of all where both conditions are left out."""
    margin: Finite = 0.0
    each: Each = []
    """Axes: it holds at every combination of their values. A cell that lacks one of them stands at each value."""
    every: bool = False
    """It holds for each cell of `left` over each of `right`, and not for their means only."""
    at_least: Annotated[float, Field(ge=0, le=1)] = 1.0
    """It holds at a share of the comparisons that `each` and `every` make which is above this; 1 means at all."""

    @model_validator(mode="after")
    def _both_sides(self) -> "Greater":
        if self.left is None and self.right_metric is None:
            raise Mistake("has no left", "for example left = \"head == 'nonlinear'\", right = \"head == 'linear'\"")
        _check_sides(self.left, self.right)
        return self


class Monotone(Claim):
    """Each step along an axis changes the number by more than `margin`; other axes are averaged."""

    kind: Literal["monotone"]
    along: str = Field(examples=["temperature"])
    """The axis, with its values in the order of the file."""
    direction: Literal["up", "down"] = "up"
    margin: Finite = 0.0
    each: Each = []
    """Axes: it holds at every combination of their values."""


class Equivalent(Claim):
    """The means over `left` and `right` are within `margin` of each other; without these, any two of `cells` are."""

    kind: Literal["equivalent"]
    margin: Positive
    left: Condition | None = None
    """A condition, which goes with `right`."""
    right: Condition | None = None
    right_metric: Metric | None = None
    """Another number, which is that of the cells of `right`; of all where both conditions are left out."""
    each: Each = []
    """Axes: it holds at every combination of their values."""

    @property
    def two_sides(self) -> bool:
        """Whether two means are compared, and not any two cells."""
        return self.left is not None or self.right_metric is not None

    @model_validator(mode="after")
    def _both_sides(self) -> "Equivalent":
        _check_sides(self.left, self.right)
        return self


class ClosingGap(Claim):
    """The mean over `left` less that over `right` gets smaller by more than `margin` at each step along an axis."""

    kind: Literal["closing_gap"]
    left: Condition
    """A condition: the cells that are above."""
    right: Condition
    """A condition: the cells that are below."""
    along: str = Field(examples=["epochs"])
    """The axis, with its values in the order of the file."""
    margin: Finite = 0.0
    each: Each = []
    """Axes: it holds at every combination of their values."""


class RankCorrelation(Claim):
    """Spearman's correlation with the published numbers of the same cells is above `at_least`."""

    with_paper = True
    kind: Literal["rank_correlation"]
    at_least: Annotated[float, Field(ge=-1, lt=1)]
    by: str | None = Field(None, examples=["first"])
    """An axis: the means over each of its values are compared, and not the cells."""


class Share(Claim):
    """The share of `cells` that are above all of their rivals is above `at_least`; 1 means all of them."""

    kind: Literal["share"]
    rivals: list[dict[str, str]] = Field(min_length=1, examples=[[{"second": "first"}, {"first": "second"}]])
    """Tables axis -> axis: a cell's rival is the cell with an axis set to the value of the other."""
    at_least: Annotated[float, Field(ge=0, le=1)]


class Symmetric(Claim):
    """The number hardly changes where two axes change places: by less than `margin`, as a root mean square of pairs."""

    kind: Literal["symmetric"]
    axes: list[str] = Field(examples=[["first", "second"]])
    """The two axes."""
    margin: Positive

    @field_validator("axes")
    @classmethod
    def _two(cls, axes: list[str]) -> list[str]:
        if len(set(axes)) != 2 or len(axes) != 2:
            raise Mistake("should be two axes")
        return axes


class AtLeast(Claim):
    """Each of `cells` is above `value`."""

    kind: Literal["at_least"]
    value: Finite


class AtMost(Claim):
    """Each of `cells` is below `value`."""

    kind: Literal["at_most"]
    value: Finite


class Value(Claim):
    """Each of `cells` is within `margin` of its published number. Judged at the paper's scale only."""

    with_paper = True
    kind: Literal["value"]
    margin: Positive


class AllOf(Claim):
    """All of the `parts` hold."""

    kind: Literal["all"]
    parts: list["Part"] = Field(min_length=1)
    """Claims without `id`, `text`, `source`, `required` and `profiles`."""


class AnyOf(Claim):
    """One of the `parts` holds, or several do."""

    kind: Literal["any"]
    parts: list["Part"] = Field(min_length=1)
    """Claims without `id`, `text`, `source`, `required` and `profiles`."""


_MODELS = (
    Best, Greater, Monotone, Equivalent, ClosingGap, RankCorrelation, Share, Symmetric, AtLeast, AtMost, Value, AllOf,
    AnyOf,
)  # fmt: skip
KINDS: dict[str, type[Claim]] = {str(model.model_fields["kind"].annotation.__args__[0]): model for model in _MODELS}  # type: ignore[union-attr]
"""The table of each kind."""


def _whole(claim: Claim) -> Claim:
    if missing := [name for name in Claim.needed if not getattr(claim, name)]:
        told = f"has no {' and no '.join(missing)}"
        raise Mistake(told, 'for example id = "A1", text = "Color is the best.", source = "section 3.1"')
    return claim


def _part(claim: Claim) -> Claim:
    if given := [name for name in Claim.of_whole if name in claim.model_fields_set]:
        raise Mistake(f"has '{given[0]}', which only the whole claim has", "leave it out here")
    return claim


_Kinds = Annotated[
    Union[  # noqa: UP007 - a discriminated union of a tuple of models
        Best, Greater, Monotone, Equivalent, ClosingGap, RankCorrelation, Share, Symmetric, AtLeast, AtMost, Value,
        AllOf, AnyOf,
    ],
    Field(discriminator="kind"),
]  # fmt: skip
Part = Annotated[_Kinds, AfterValidator(_part)]
"""A claim inside another."""
Whole = Annotated[_Kinds, AfterValidator(_whole)]
"""A claim of a study."""
AllOf.model_rebuild()
AnyOf.model_rebuild()


def read_claims(plain: list[dict[str, Any]]) -> tuple[Claim, ...]:
    """Claims from what a plan file holds of them."""
    claims: list[Any] = TypeAdapter(list[Whole]).validate_python(plain)
    return tuple(claims)


def plain_claim(claim: Claim) -> dict[str, Any]:
    """A claim as a plan file holds it: the keys that were given."""
    return claim.model_dump(mode="json", by_alias=True, exclude_unset=True)
