"""The cells that a claim is about: picked by conditions, and put into groups by axes."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ablate.judge.cells import AbsentError, Measured
from ablate.study.expression import condition, names_in


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
        """What the label of a comparison inside of the group gets behind it."""
        return f" at {self.name}" if self.values else ""


@dataclass(frozen=True)
class Scene:
    """All cells by number, and which of them a claim is about at all."""

    cells: Mapping[int, Measured]
    axes: Mapping[str, Sequence[Any]]
    """Axis -> its values in the order of the file."""
    scope: str | None = None
    """The condition of the claim's `cells`."""

    @cached_property
    def _speaks_of_cases(self) -> bool:
        return self.scope is not None and "case" in names_in(self.scope)

    def pick(self, text: str | None = None) -> tuple[int, ...]:
        """The cells of a condition among those of the scope. Raises AbsentError where there is none.

        Cases only where the condition or the scope names `case`; a scope that does not holds for every case.
        """
        names = {*self.axes, "case"}
        of_scope = condition(self.scope, names) if self.scope else None
        of_text = condition(text, names) if text else None
        cases = self._speaks_of_cases or (text is not None and "case" in names_in(text))
        picked = []
        for number, cell in self.cells.items():
            place = {**cell.axes, "case": cell.case}
            if cell.case is not None and not cases:
                continue
            scoped = cell.case is None or self._speaks_of_cases
            if of_scope and scoped and not of_scope(place):
                continue
            if of_text and not of_text(place):
                continue
            picked.append(number)
        if not picked:
            raise AbsentError(f"no cell here is like {text or self.scope or 'those of the grid'}")
        return tuple(picked)

    def groups(self, axes: Sequence[str], cells: Iterable[int]) -> list[Group]:
        """Every combination of the values that the cells have on some axes, in the order of the file."""
        had = [{axis: self.cells[number].axes.get(axis) for axis in axes} for number in cells]
        whole = {tuple(map(_key, values.values())) for values in had if None not in values.values()}
        if not whole:
            return [Group({})]
        combinations = itertools.product(*(self.axes[axis] for axis in axes))
        return [Group(dict(zip(axes, each, strict=True))) for each in combinations if tuple(map(_key, each)) in whole]

    def inside(self, group: Group, cells: Iterable[int]) -> tuple[int, ...]:
        """The cells of a group; one that lacks an axis stands at each of its values."""
        return tuple(
            number
            for number in cells
            if all(
                axis not in self.cells[number].axes or _key(self.cells[number].axes[axis]) == _key(value)
                for axis, value in group.values.items()
            )
        )

    def levels(self, axis: str, *sides: Iterable[int]) -> list[Group]:
        """The values of an axis at which each of the sides has a cell; at least one side has it as an axis."""
        everywhere = list(itertools.chain(*sides))
        levels = [group for group in self.groups([axis], everywhere) if group.values]
        return [level for level in levels if all(self.inside(level, side) for side in sides)]

    def at(self, axes: Mapping[str, Any]) -> int | None:
        """The number of the grid's cell with exactly these values."""
        wanted = {axis: _key(value) for axis, value in axes.items()}
        return self._by_place.get(tuple(sorted(wanted.items())))

    @cached_property
    def _by_place(self) -> dict[Any, int]:
        return {
            tuple(sorted((axis, _key(value)) for axis, value in cell.axes.items())): number
            for number, cell in self.cells.items()
            if cell.case is None
        }

    def matched(self, axis: str, first: Sequence[int], second: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        """Of two levels of an axis the cells that are alike on the other axes; all where none are."""

        def others(number: int) -> Any:
            cell = self.cells[number]
            return (cell.case, *sorted((name, _key(value)) for name, value in cell.axes.items() if name != axis))

        both = set(map(others, first)) & set(map(others, second))
        if not both:
            return first, second
        return [each for each in first if others(each) in both], [each for each in second if others(each) in both]

    def label(self, cells: Sequence[int], otherwise: str) -> str:
        """What some cells are called: the only one by its label, several by what they have in common."""
        return self.cells[cells[0]].label if len(cells) == 1 else otherwise


def _key(value: Any) -> tuple[str, Any]:
    """A value as a key that tells true from 1, and can be put in order."""
    kind = "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__
    return kind, value
