"""The cells that a claim is about: selected by conditions and grouped by axes."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from ablate.study.cells.cell import is_number
from ablate.study.cells.condition import condition, names_in
from ablate.study.claims.comparison import Side


class AbsentError(Exception):
    """A cell or a number that a claim needs is absent; the message says which."""


class ComparedCell(Protocol):
    """A cell as claims see it."""

    @property
    def axes(self) -> Mapping[str, Any]:
        """Axis -> value, for the axes that the cell has."""

    @property
    def case(self) -> str | None:
        """The name of the case, if it is one."""

    @property
    def label(self) -> str:
        """The name of the cell in comparisons: `crop, color`."""

    @property
    def planned(self) -> int:
        """The number of trials that were requested."""

    def values(self, metric: str) -> Mapping[int, float]:
        """Seed -> value of a metric."""


@dataclass(frozen=True)
class PublishedNumber:
    """A number of the paper."""

    value: float
    err: float = 0.0
    """The reading error, if it was read off a figure."""


@dataclass(frozen=True)
class Group:
    """Values of some axes that cells share."""

    values: dict[str, Any]

    @property
    def name(self) -> str:
        """`temperature 0.1`."""
        return ", ".join(
            f"{axis} {value if isinstance(value, str) else json.dumps(value)}" for axis, value in self.values.items()
        )

    @property
    def suffix(self) -> str:
        """What is added to the label of a comparison within the group."""
        return f" at {self.name}" if self.values else ""

    def suffix_of(self, *sides: Side) -> str:
        """The same, if the labels of the sides' cells do not name the group already."""
        return self.suffix if any(len(side.cells) > 1 for side in sides) else ""


@dataclass(frozen=True)
class Scene:
    """The cells by number, and which of their numbers a claim is about."""

    every: Mapping[int, ComparedCell]
    axes: Mapping[str, Sequence[Any]]
    """Axis -> its values in the order of the file."""
    metric: str
    at_paper_scale: bool
    published: Mapping[int, Mapping[str, PublishedNumber]] = field(default_factory=dict)
    """Number of a cell -> metric -> the paper's number."""
    scope: str | None = None
    """The condition of the claim's `cells`, or of the claim that contains it."""

    def narrowed(self, metric: str | None, scope: str | None) -> "Scene":
        """The scene with the metric and the condition of a claim, where it sets them."""
        return replace(self, metric=metric or self.metric, scope=scope or self.scope)

    @cached_property
    def cells(self) -> Mapping[int, ComparedCell]:
        """The cells that exist here: those with trials, or with a value of the metric."""
        return {number: cell for number, cell in self.every.items() if cell.planned or cell.values(self.metric)}

    def lead(self, margin: float) -> float:
        """The bound of a lead by a margin: at other scales than the paper's, only the order counts."""
        return margin if self.at_paper_scale else min(margin, 0.0)

    def paper(self) -> dict[int, PublishedNumber]:
        """The selected cells that have a published number, with that number."""
        numbers = {number: self.published.get(number, {}) for number in self.pick()}
        return {number: each[self.metric] for number, each in numbers.items() if self.metric in each}

    @cached_property
    def _scope_names_cases(self) -> bool:
        return self.scope is not None and "case" in names_in(self.scope)

    def pick(self, text: str | None = None) -> tuple[int, ...]:
        """The cells within the scope that satisfy a condition. Raises AbsentError if there are none.

        Cases are included only if the condition or the scope names `case`; a scope that does not applies to no case.
        """
        names = {*self.axes, "case"}
        in_scope = condition(self.scope, names) if self.scope else None
        satisfies = condition(text, names) if text else None
        cases = self._scope_names_cases or (text is not None and "case" in names_in(text))
        picked = []
        for number, cell in self.cells.items():
            values = {**cell.axes, "case": cell.case}
            if cell.case is not None and not cases:
                continue
            scoped = cell.case is None or self._scope_names_cases
            if in_scope and scoped and not in_scope(values):
                continue
            if satisfies and not satisfies(values):
                continue
            picked.append(number)
        if not picked:
            raise AbsentError(f"no cell matches {text or self.scope or 'the grid'}")
        return tuple(picked)

    def groups(self, axes: Sequence[str], cells: Iterable[int]) -> list[Group]:
        """Every combination of the values that the cells have on some axes, in the order of the file."""
        had = [{axis: self.every[number].axes.get(axis) for axis in axes} for number in cells]
        whole = {tuple(map(_key, values.values())) for values in had if None not in values.values()}
        if not whole:
            return [Group({})]
        combinations = itertools.product(*(self.axes[axis] for axis in axes))
        return [Group(dict(zip(axes, each, strict=True))) for each in combinations if tuple(map(_key, each)) in whole]

    def inside(self, group: Group, cells: Iterable[int]) -> tuple[int, ...]:
        """The cells of a group; a cell without one of the axes belongs to every group."""
        wanted = group.values.items()
        return tuple(
            number
            for number in cells
            if all(_key(self.every[number].axes.get(axis, value)) == _key(value) for axis, value in wanted)
        )

    def levels(self, axis: str, *sides: Iterable[int]) -> list[Group]:
        """The values of an axis at which each of the sides has a cell; at least one side has the axis."""
        everywhere = list(itertools.chain(*sides))
        levels = [group for group in self.groups([axis], everywhere) if group.values]
        return [level for level in levels if all(self.inside(level, side) for side in sides)]

    def at(self, axes: Mapping[str, Any]) -> int | None:
        """The number of the grid's cell with exactly these values."""
        return self._by_axes.get(_axes_key(axes))

    @cached_property
    def _by_axes(self) -> dict[Any, int]:
        return {_axes_key(cell.axes): number for number, cell in self.cells.items() if cell.case is None}

    def matched(self, axis: str, first: Sequence[int], second: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        """The cells of two levels of an axis that agree on the other axes; all cells if none do."""

        def others(number: int) -> Any:
            return self.context([axis], number)

        both = set(map(others, first)) & set(map(others, second))
        if not both:
            return first, second
        return [each for each in first if others(each) in both], [each for each in second if others(each) in both]

    def context(self, axes: Sequence[str], number: int) -> Any:
        """What cells that differ in some axes alone have in common: the case, and the values of the other axes."""
        cell = self.every[number]
        return cell.case, _axes_key({name: value for name, value in cell.axes.items() if name not in axes})

    def label(self, cells: Sequence[int], otherwise: str) -> str:
        """The name of some cells: a single cell's label, or what several have in common."""
        return self.every[cells[0]].label if len(cells) == 1 else otherwise

    def alone(self, cells: Sequence[int], metric: str | None = None) -> list[Side]:
        """Each of some cells as a side of a difference."""
        return [Side(self.every[cell].label, metric or self.metric, [cell]) for cell in cells]


def _axes_key(axes: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted((axis, _key(value)) for axis, value in axes.items()))


def _key(value: Any) -> tuple[str, Any]:
    """A value as a key that distinguishes true from 1 and can be sorted."""
    kind = "number" if is_number(value) else type(value).__name__
    return kind, value
