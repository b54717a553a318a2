"""`[design]`: which combinations of the axes' values are cells."""

from typing import Annotated, Literal

from pydantic import Field

from ablate.study.toml.table import Table

Scalar = str | bool | int | float
"""A value of an axis: `ablate.study.cells.cell` has the same, which imports more."""
Kind = Literal["factorial", "leave_one_out", "add_one_in", "one_at_a_time", "pairs", "fractional", "random", "sobol"]
SAMPLED = frozenset({"fractional", "random", "sobol"})
"""The kinds with a number of `cells`."""
SEEDED = frozenset({"random", "sobol"})
"""The kinds that are drawn."""
TWO_VALUED = frozenset({"leave_one_out", "add_one_in", "pairs", "fractional"})
"""The kinds whose axes are parts: with the part, and without it."""
BASED = frozenset({"leave_one_out", "add_one_in", "one_at_a_time", "pairs"})
"""The kinds whose cells differ from one cell: the full method, the bare one, or the baseline."""


class DesignTable(Table):
    """Which combinations of the axes' values are cells: without it, all are."""

    kind: Kind = Field(examples=["leave_one_out"])
    """`factorial`: all combinations. `leave_one_out`: the full method (of each axis the first value), and each part
    switched to its second value. `add_one_in`: the bare method (second values), and each part switched on. `pairs`:
    like `leave_one_out`, and each two parts switched off. `one_at_a_time`: the baseline, and each other value of each
    axis alone. `fractional`: a regular fraction of two-valued axes, of the highest resolution. `random`, `sobol`: a
    sample of all combinations."""
    axes: list[str] | None = Field(None, min_length=1, examples=[["crop", "color"]])
    """The axes that it combines. Default: all of `[axes]` and `[[zip]]`. Each other axis, and `[evaluate]`, is combined
    with every cell."""
    baseline: dict[str, Scalar] = Field({}, examples=[{"temperature": 0.1}])
    """The values of the cell from which those of `one_at_a_time` differ. Default: each axis's first value."""
    cells: Annotated[int, Field(ge=1, le=100_000)] | None = Field(None, examples=[8])
    """The number of combinations of `fractional` (a power of 2), `random` and `sobol`."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """What `random`, `sobol` and `random_removals` draw by. Default: 0."""
    random_removals: Annotated[int, Field(ge=1, le=1000)] | None = Field(None, examples=[5])
    """A control for parts that remove several items of a list, in `leave_one_out`: for each number of items that
    a part removes, so many cells without that many items, drawn at random. Sets that a part removes are not drawn."""


RANDOM_REMOVALS = ("design", "random_removals")
"""The key that asks for cases without random items."""
