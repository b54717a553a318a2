"""The cells of a chart, measured or published, as plain values: where they stand, and which of several is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablate.judge.cells import Measured as Bare
from ablate.judge.cells import shortly_named, value_named
from ablate.report.charts.layout import Layout, Place, place, varied


@dataclass(frozen=True)
class Shown:
    """One cell with a number, or without one yet."""

    cell: int | None
    """Its number among the measured cells; None for one of the paper's that is not among them."""
    axes: Mapping[str, Any]
    case: str | None
    label: str
    value: float | None
    low: float | None
    high: float | None
    """The 95 % interval of the mean; of a number read off a figure, how far off it may be."""
    seeds: tuple[float, ...]
    planned: int
    """How many seeds were asked for."""
    approximate: bool
    parameters: int | None

    @property
    def count(self) -> str:
        """How many of its seeds are there."""
        return f"{len(self.seeds)} of {self.planned}"


def placed(layout: Layout, cells: Sequence[Shown]) -> list[tuple[Place, Shown]]:
    """The cells of the grid where they stand; of those that stand together, the one with the highest mean.

    That one is called by what all of them are, and by what it has on the axes that it is the best over.
    """
    groups: dict[Place, list[int]] = {}
    for number, cell in enumerate(cells):
        if cell.case is None or layout.x == "case":
            groups.setdefault(place(layout, cell.axes, cell.case, cell.parameters), []).append(number)
    if all(len(group) == 1 for group in groups.values()):
        return [(where, cells[group[0]]) for where, group in groups.items()]
    labels = _without(layout.best_of, cells)
    return [
        (where, _best(layout, [replace(cells[number], label=labels[number]) for number in group]))
        for where, group in groups.items()
    ]


def _without(axes: Sequence[str], cells: Sequence[Shown]) -> list[str]:
    """What cells are called by their other axes."""
    bare = [
        Bare({name: value for name, value in cell.axes.items() if name not in axes}, cell.case, cell.label, 0, {})
        for cell in cells
    ]
    return [cell.label for cell in shortly_named(bare)]


def beside(layout: Layout, cells: Sequence[Shown]) -> list[Shown]:
    """The cases, which a chart has as lines across; none where x shows them."""
    return [cell for cell in cells if cell.case is not None and layout.x != "case"]


def names_of(layout: Layout, cells: Sequence[Shown]) -> dict[int, str]:
    """Place in a list -> what tells a cell from others of its color: `resnet50, width 2`."""
    axes = [cell.axes for cell in cells if cell.case is None]
    telling = [name for name in varied(axes) if name not in (*layout.color, layout.facet, *layout.best_of)]
    return {
        number: ", ".join(value_named(name, cell.axes[name]) for name in telling if name in cell.axes)
        for number, cell in enumerate(cells)
    }


def _best(layout: Layout, together: Sequence[Shown]) -> Shown:
    """The one with the highest mean; of the paper's, which prints the best only, it is not told which one that is."""
    best = max(together, key=lambda cell: float("-inf") if cell.value is None else cell.value)
    chosen = ", ".join(value_named(name, best.axes[name]) for name in layout.best_of if name in best.axes)
    if len(together) == 1 or best.planned == 0 or best.value is None:
        return best
    return replace(best, label=f"{best.label} (best of {len(together)}: {chosen})")
