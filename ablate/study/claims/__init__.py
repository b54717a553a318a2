"""Claims of a study. Each kind is a class in a module of this package: its keys, and the comparisons that it makes."""

from __future__ import annotations

import importlib
import math
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema, model_validator
from pydantic_core import core_schema

from ablate.errors import InvalidValue
from ablate.study.claims.comparison import Requirement, all_hold, labelled, labels, one_holds
from ablate.study.toml.table import Table

if TYPE_CHECKING:
    from ablate.study.claims.scene import Scene

_ID = r"^[A-Za-z][A-Za-z0-9_'.-]{0,39}$"
METRIC = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
"""The pattern of the names of a trainer's metrics: any text in one line."""


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise InvalidValue("must be a finite number")
    return value


def _identified(id: str) -> str:
    if not re.fullmatch(_ID, id):
        message = "must start with a letter, followed by letters, digits, _, ', . and -; 40 characters at most"
        raise InvalidValue(message, 'for example id = "A1"')
    return id


_Id = Annotated[str, AfterValidator(_identified), WithJsonSchema({"type": "string", "pattern": _ID})]
Finite = Annotated[float, AfterValidator(_finite)]
Positive = Annotated[float, Field(gt=0), AfterValidator(_finite)]
Condition = Annotated[str, Field(min_length=1, examples=["head == 'none'"])]
Metric = Annotated[str, Field(pattern=METRIC, max_length=100, examples=["top1"])]
Each = Annotated[list[str], Field(examples=[["temperature"]])]


class Claim(Table):
    """The keys of every claim; one inside another (`parts`) may only set `kind`, `metric`, `metrics` and `cells`."""

    model_config = ConfigDict(defer_build=True)
    of_whole: ClassVar[tuple[str, ...]] = ("id", "text", "source", "required", "profiles")
    needed: ClassVar[tuple[str, ...]] = ("id", "text")
    # What checks and verdicts have to know of a kind:
    with_paper: ClassVar[bool] = False  # it compares with the paper's numbers, which trivially satisfy it
    at_paper_scale_only: ClassVar[bool] = False  # other scales cannot reproduce what it asks for
    leads_by_margin: ClassVar[bool] = False  # `margin` is a lead, which counts at the paper's scale only
    condition_keys: ClassVar[tuple[str, ...]] = ()  # beside `cells`
    axis_keys: ClassVar[tuple[str, ...]] = ()
    two_valued: ClassVar[tuple[str, ...]] = ()  # those whose axes must have two values among the cells

    kind: str
    """What is compared: one of the kinds below."""
    id: _Id = Field("", examples=["A1"])
    """The claim's name in the study, such as `A1`: a letter followed by letters, digits, `_`, `'`, `.` or `-`."""
    text: str = Field("", min_length=1, examples=["Random crop with color distortion is the best composition."])
    """What is claimed, in a sentence."""
    source: str = Field("", examples=["section 3.1"])
    """Where it is claimed, such as a section of a paper."""
    metric: Metric | None = None
    """The metric to compare. Default: the study's metric."""
    metrics: list[Metric] | None = Field(None, min_length=2, examples=[["top1", "knn"]])
    """Several metrics, such as the accuracies on several data sets: the claim must hold for each of them."""
    cells: Condition | None = None
    """A condition on axes and `case`: the cells that it applies to. Unset: the whole grid. A condition that does not
    name `case` excludes the cases."""
    required: bool = False
    """If true, `ablate judge` exits with 3 when it is refuted."""
    profiles: list[str] | None = Field(None, min_length=1, examples=[["imagenet"]])
    """The profiles at which the claim is judged. Default: all."""

    @classmethod
    @cache
    def kinds(cls) -> dict[str, type[Claim]]:
        """The model of each kind: all classes of claims in the modules of this package."""
        modules = sorted(module.name for module in pkgutil.iter_modules(__path__, f"{__name__}."))
        defined = [each for name in (*modules, __name__) for each in vars(importlib.import_module(name)).values()]
        models = [each for each in defined if isinstance(each, type) and issubclass(each, Claim) and each is not Claim]
        return {str(model.model_fields["kind"].annotation.__args__[0]): model for model in models}  # type: ignore[union-attr]

    def compare(self, scene: Scene) -> Requirement:
        """The comparisons that the claim makes. Raises AbsentError if the cells it needs are absent."""
        raise NotImplementedError

    def asked(self, scene: Scene) -> Requirement:
        """The comparisons among the cells, and of the metrics, that the claim names. Raises AbsentError."""
        if self.metrics is None:
            return self.compare(scene.narrowed(self.metric, self.cells))
        return all_hold([labelled(self.compare(scene.narrowed(each, self.cells)), each) for each in self.metrics])

    @model_validator(mode="after")
    def _one_metric_or_several(self) -> Claim:
        if self.metric is not None and self.metrics is not None:
            raise InvalidValue("has 'metric' and 'metrics'", "give one of them")
        if self.metrics is not None and getattr(self, "right_metric", None) is not None:
            raise InvalidValue("has 'metrics' and 'right_metric'", "compare two metrics in a claim of its own")
        return self

    def inner(self) -> tuple[Claim, ...]:
        """The claims that this one consists of: its `parts`."""
        return tuple(getattr(self, "parts", ()))

    def lead_margins(self) -> list[str]:
        """By how much the claim and its parts require some cells to lead."""
        margin = getattr(self, "margin", 0.0) if self.leads_by_margin else 0.0
        own = [f"{margin:g}"] if margin > 0 else []
        return list(dict.fromkeys([*own, *(each for part in self.inner() for each in part.lead_margins())]))

    def conditions(self) -> Iterator[tuple[str, str]]:
        """The key and the text of each condition."""
        for name in ("cells", *self.condition_keys):
            if (text := getattr(self, name)) is not None:
                yield type(self).model_fields[name].alias or name, text

    def named_axes(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """The key of each axis that the claim names, and the axis."""
        for key in self.axis_keys:
            named = getattr(self, key)
            if isinstance(named, str):
                yield (key,), named
            elif named:
                yield from (((key, number), axis) for number, axis in enumerate(named))


class _OfAnyKind:
    """Validates a claim by the model of its `kind`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """The schema of a union of all kinds, discriminated by `kind`."""
        models = {kind: handler.generate_schema(model) for kind, model in Claim.kinds().items()}
        return core_schema.tagged_union_schema(models, discriminator="kind")


def _whole(claim: Claim) -> Claim:
    if missing := [name for name in Claim.needed if not getattr(claim, name)]:
        help = 'for example id = "A1", text = "Color is the best.", source = "section 3.1"'
        raise InvalidValue(f"lacks {' and '.join(missing)}", help)
    return claim


def _part(claim: Claim) -> Claim:
    if given := [name for name in Claim.of_whole if name in claim.model_fields_set]:
        raise InvalidValue(f"has '{given[0]}', which parts of a claim cannot have", "remove it here")
    return claim


Part = Annotated[Claim, _OfAnyKind(), AfterValidator(_part)]
"""A claim inside another."""
Whole = Annotated[Claim, _OfAnyKind(), AfterValidator(_whole)]
"""A claim of a study."""


def _distinctly_labelled(parts: Sequence[Claim], scene: Scene) -> list[Requirement]:
    """What each part asks; labels that another part has, too, name the cells of their part."""
    asked = [part.asked(scene) for part in parts]
    seen = Counter(label for each in asked for label in labels(each))
    return [
        labelled(each, part.cells) if part.cells and any(seen[label] > 1 for label in labels(each)) else each
        for part, each in zip(parts, asked, strict=True)
    ]


class AllOf(Claim):
    """All of the `parts` hold."""

    kind: Literal["all"]
    parts: list[Part] = Field(min_length=1)
    """Claims without `id`, `text`, `source`, `required` and `profiles`."""

    def compare(self, scene: Scene) -> Requirement:
        """The comparisons of all parts."""
        return all_hold(_distinctly_labelled(self.parts, scene))


class AnyOf(Claim):
    """At least one of the `parts` holds."""

    kind: Literal["any"]
    parts: list[Part] = Field(min_length=1)
    """Claims without `id`, `text`, `source`, `required` and `profiles`."""

    def compare(self, scene: Scene) -> Requirement:
        """The comparisons of all parts."""
        return one_holds(_distinctly_labelled(self.parts, scene))


@cache
def _adapter() -> TypeAdapter[list[Claim]]:
    return TypeAdapter(list[Whole])


def read_claims(plain: Sequence[Mapping[str, Any]]) -> tuple[Claim, ...]:
    """Claims from their plain form in a plan file."""
    return tuple(_adapter().validate_python(list(plain)))


def plain_claim(claim: Claim) -> dict[str, Any]:
    """A claim as a plan file holds it: the keys that were set."""
    return claim.model_dump(mode="json", by_alias=True, exclude_unset=True)
