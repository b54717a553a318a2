"""Claims about a pattern over many cells, or about each cell's value: correlations, shares, symmetry, bounds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ablate.errors import InvalidValue
from ablate.study.claims import Claim, Finite, Metric, Positive
from ablate.study.claims.comparison import Comparison, Pooling, Requirement, all_hold, difference, more_than, within
from ablate.study.claims.scene import AbsentError, PublishedNumber, Scene


class RankCorrelation(Claim):
    """Spearman's correlation with the published numbers of the same cells is above `at_least`."""

    with_paper = True
    axis_keys = ("by",)
    kind: Literal["rank_correlation"]
    at_least: Annotated[float, Field(ge=-1, lt=1)]
    by: str | None = Field(None, examples=["first"])
    """An axis: the means over each of its values are compared instead of the cells."""

    def compare(self, scene: Scene) -> Requirement:
        """A correlation of means over seeds with the paper's numbers."""
        paper = scene.paper()
        groups: list[tuple[int, ...]] = [(cell,) for cell in paper]
        if self.by is not None:
            groups = [scene.inside(level, paper) for level in scene.levels(self.by, paper)]
        published = [fmean(paper[cell].value for cell in group) for group in groups]
        errors = [fmean(paper[cell].err for cell in group) for group in groups]
        if len(groups) < 3 or len(set(published)) < 2:
            raise AbsentError("the paper has numbers of fewer than three of these")

        def values(row: Sequence[float]) -> list[float]:
            at = dict(zip(paper, row, strict=True))
            return [fmean(at[cell] for cell in group) for group in groups]

        by = f" of means by {self.by}" if self.by else ""
        wanted = tuple((cell, scene.metric) for cell in paper)
        label = f"rank correlation with the paper{by}"
        options = {"published": published, "errors": errors}
        return Pooling(label, wanted, values, "rank_correlation", options, self.at_least)


class Correlates(Claim):
    """Spearman's correlation over `cells` between `metric` and `right_metric` is above `at_least`."""

    kind: Literal["correlates"]
    right_metric: Metric = Field(examples=["finetune_top1"])
    """The other metric of the same cells."""
    at_least: Annotated[float, Field(ge=-1, lt=1)] = 0.0

    @model_validator(mode="after")
    def _another_metric(self) -> "Correlates":
        if self.metric == self.right_metric:
            raise InvalidValue(f"compares {self.metric} with itself", "right_metric must be another metric")
        return self

    def compare(self, scene: Scene) -> Requirement:
        """A correlation of means over seeds."""
        cells = scene.pick()
        if self.right_metric == scene.metric:
            raise AbsentError(f"right_metric is the claim's own metric, {scene.metric}")
        if len(cells) < 3:
            raise AbsentError(f"a correlation needs three cells, and there are {len(cells)}")
        wanted = tuple((cell, metric) for metric in (scene.metric, self.right_metric) for cell in cells)
        label = f"rank correlation of {scene.metric} with {self.right_metric}"
        return Pooling(label, wanted, list, "correlation_of_two", {}, self.at_least)


class Share(Claim):
    """The share of `cells` that exceed all of their rivals is above `at_least` (1 = all of them)."""

    kind: Literal["share"]
    rivals: list[dict[str, str]] = Field(min_length=1, examples=[[{"second": "first"}, {"first": "second"}]])
    """Tables axis -> axis: a cell's rival is the cell with the first axis set to the value of the second."""
    at_least: Annotated[float, Field(ge=0, le=1)]

    def compare(self, scene: Scene) -> Requirement:
        """For each cell, its differences from its rivals."""
        rivals = {cell: _rivals(scene, cell, self.rivals) for cell in scene.pick()}
        rivals = {cell: others for cell, others in rivals.items() if others}
        if not rivals:
            raise AbsentError("no cell has a rival")

        def above(cell: int) -> Requirement:
            one, *others = scene.alone([cell, *rivals[cell]])
            return all_hold([difference(one, other, 0.0) for other in others])

        return more_than(self.at_least, [above(cell) for cell in rivals])

    def named_axes(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Both axes of each entry."""
        for number, table in enumerate(self.rivals):
            for axis, other in table.items():
                yield ("rivals", number, axis), axis
                yield ("rivals", number, axis), other


def _rivals(scene: Scene, number: int, tables: Sequence[Mapping[str, str]]) -> list[int]:
    """The other cells that have one axis set to the value of another one."""
    axes = scene.cells[number].axes
    found = [
        scene.at({**axes, **{axis: axes[other] for axis, other in table.items()}})
        for table in tables
        if all(other in axes for other in table.values())
    ]
    return [other for other in dict.fromkeys(found) if other is not None and other != number]


class Symmetric(Claim):
    """Swapping two axes changes the metric by less than `margin`, as a root mean square over pairs."""

    axis_keys = ("axes",)
    kind: Literal["symmetric"]
    axes: list[str] = Field(examples=[["first", "second"]])
    """The two axes."""
    margin: Positive

    @field_validator("axes")
    @classmethod
    def _two(cls, axes: list[str]) -> list[str]:
        if len(set(axes)) != 2 or len(axes) != 2:
            raise InvalidValue("must be two axes")
        return axes

    def compare(self, scene: Scene) -> Requirement:
        """The root mean square change over pairs of cells; one pair is an equivalence."""
        one, two = self.axes
        rivals = {cell: _rivals(scene, cell, [{one: two, two: one}]) for cell in scene.pick()}
        pairs = sorted({tuple(sorted((cell, other))) for cell, others in rivals.items() for other in others})
        if not pairs:
            raise AbsentError(f"no two cells have the values of {one} and {two} swapped")
        if len(pairs) == 1:  # t tests decide an equivalence exactly
            first, second = scene.alone(pairs[0])
            return all_hold(within(first, second, self.margin))
        wanted = tuple((cell, scene.metric) for pair in pairs for cell in pair)

        def changes(row: Sequence[float]) -> list[float]:
            return [row[at] - row[at + 1] for at in range(0, len(row), 2)]

        label = f"{self.margin:g} - change (root mean square) by swapping {one} and {two}"
        return Pooling(label, wanted, changes, "asymmetry", {"margin": self.margin})


class AtLeast(Claim):
    """Each of `cells` is above `value`."""

    kind: Literal["at_least"]
    value: Finite

    def compare(self, scene: Scene) -> Requirement:
        """Each cell's value less the bound."""
        return all_hold([_beyond(scene, cell, self.value) for cell in scene.pick()])


class AtMost(Claim):
    """Each of `cells` is below `value`."""

    kind: Literal["at_most"]
    value: Finite

    def compare(self, scene: Scene) -> Requirement:
        """The bound less each cell's value."""
        return all_hold([_beyond(scene, cell, self.value, below=True) for cell in scene.pick()])


class Value(Claim):
    """Each of `cells` is within `margin` of its published number. Judged only at the paper's scale."""

    with_paper = True
    at_paper_scale_only = True
    kind: Literal["value"]
    margin: Positive

    def compare(self, scene: Scene) -> Requirement:
        """Both directions of each cell's difference from its published number, which is one run of the paper's.

        A reading error may lie in either direction, so it narrows the margin.
        """
        if not scene.at_paper_scale:
            raise AbsentError("a published value can only be reproduced at the paper's scale")
        paper = scene.paper()
        if not paper:
            raise AbsentError("the paper has no number of these cells")
        return all_hold([side for cell, number in paper.items() for side in self._near(scene, cell, number)])

    def _near(self, scene: Scene, cell: int, number: PublishedNumber) -> list[Comparison]:
        label, bound = f"{scene.cells[cell].label} - published {number.value:g}", number.err - self.margin
        above, below = (
            replace(_beyond(scene, cell, number.value, below), label=label, bound=bound, within=True, single_runs=1.0)
            for below in (False, True)
        )
        return [above, replace(below, turned=True)]


def _beyond(scene: Scene, cell: int, value: float, below: bool = False) -> Comparison:
    """Asserts that a cell's value exceeds another value, or with `below` the reverse."""
    names = scene.cells[cell].label, f"{value:g}"
    label = " - ".join(reversed(names) if below else names)
    return Comparison(label, ((cell, scene.metric),), lambda at: value - at[0] if below else at[0] - value)
