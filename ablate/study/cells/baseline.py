"""Baselines: the cell that a study file names, and which one it is for each of the other cells."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ablate.errors import nearest
from ablate.study.cells.cell import Baseline, Cell, Naming, Scalar, axis_text, texts_of, value_key


def baselines_of(cells: Sequence[Cell], baseline: Baseline) -> list[int | None]:
    """Of each cell, the number of its baseline; None for a baseline itself, and where none or several fit.

    A baseline fits a cell if both have the same values on all axes that they share, apart from those of the baseline.
    """
    own = [number for number, cell in enumerate(cells) if baseline.is_of(cell)]
    others = {number: _key(cells[number], cells[number].axes.keys() - baseline.axes.keys()) for number in own}
    known: dict[frozenset[str], dict[frozenset[Any], list[int]]] = {}
    found: list[int | None] = []
    taken = set(own)
    for number, cell in enumerate(cells):
        fitting: list[int] = []
        for axes in {frozenset(name for name, _ in key) for key in others.values()}:
            shared = axes & cell.axes.keys()
            index = known.setdefault(axes | {f"={name}" for name in shared}, {})
            if not index:
                for each, key in others.items():
                    if frozenset(name for name, _ in key) == axes:
                        index.setdefault(_key(cells[each], shared), []).append(each)
            fitting += index.get(_key(cell, shared), [])
        found.append(fitting[0] if len(fitting) == 1 and number not in taken else None)
    return found


def read_baseline(
    text: str, choices: Mapping[str, Sequence[Scalar]], cases: Mapping[str, str], naming: Naming | None
) -> Baseline:
    """The baseline that a study file names: a case, a cell of a design by its name, or values of axes.

    choices: axis -> its values. cases: name -> label. Raises ValueError with what is wrong.
    """
    for name, label in cases.items():
        if text in (name, label):
            return Baseline(case=name)
    named = dict(_named(naming, choices)) if naming else {}
    if text in named:
        return Baseline(named[text])
    if parts := list(_assignments(text, choices)):
        return Baseline(dict(parts))
    every = [*cases, *named]
    raise ValueError(f"'{text}' is not a cell{nearest(text, every)}")


def _assignments(text: str, choices: Mapping[str, Sequence[Scalar]]) -> Iterator[tuple[str, Scalar]]:
    """The values in `first=crop second=color`, or with commas between them; none if the text does not begin so."""
    pieces = re.split(r"(?:^|[\s,]+)([^\s,=]+)=", text)
    if pieces[0].strip() or len(pieces) < 3:
        return
    for axis, given in zip(pieces[1::2], pieces[2::2], strict=True):
        if axis not in choices:
            raise ValueError(f"'{axis}' is not an axis{nearest(axis, choices)}")
        texts = texts_of(choices[axis])
        wanted = texts.get(given.strip(), given.strip())
        values = [value for value in choices[axis] if axis_text(value) == wanted or _equals(value, wanted)]
        if not values:
            raise ValueError(f"{axis} has no value {given.strip()}{nearest(given.strip(), texts)}")
        yield axis, values[0]


def _equals(value: Scalar, text: str) -> bool:
    """Whether a text writes the number that a value is: `1e-1` is 0.1."""
    try:
        return not isinstance(value, (str, bool)) and float(text) == value
    except ValueError:
        return False


def _named(naming: Naming, choices: Mapping[str, Sequence[Scalar]]) -> Iterator[tuple[str, Mapping[str, Scalar]]]:
    """The names of the cells that differ from the start in at most two axes, with their values there."""
    changes: list[dict[str, Scalar]] = [
        {axis: value}
        for axis in naming.start
        for value in choices.get(axis, ())
        if value_key(value) != value_key(naming.start[axis])
    ]
    pairs: Iterable[dict[str, Scalar]] = (
        one | other for one, other in itertools.combinations(changes, 2) if one.keys() != other.keys()
    )
    for change in ({}, *changes, *(pairs if naming.kind == "pairs" else ())):
        values = {**naming.start, **change}
        yield naming.name(Cell(values)), values


def _key(cell: Cell, axes: Iterable[str]) -> frozenset[Any]:
    return frozenset((name, value_key(cell.axes[name])) for name in axes)
