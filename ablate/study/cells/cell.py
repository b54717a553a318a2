"""Cell: one combination of axis values, or a named case, with the key that identifies it everywhere."""

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from ablate.errors import visible

_LONGEST = 120
"""Characters of a value that people see."""
Scalar = str | bool | int | float
"""A value of an axis."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One combination of axis values, or a case. Two cells are equal if and only if their keys are."""

    axes: Mapping[str, Scalar]
    """Axis -> value, for the axes that the cell has."""
    case: str | None = None

    @cached_property
    def key(self) -> str:
        """The identity of the cell: canonical JSON of its case and axes, in which 1.0 is 1, and true is not."""
        axes = (f"{_quoted(name)}:{_json(self.axes[name])}" for name in sorted(self.axes))
        return f"[{_quoted(self.case)},{{{','.join(axes)}}}]"

    @cached_property
    def label(self) -> str:
        """The cell as commands take and print it: `first=crop second=color`; a case by its name."""
        axes = [f"{name}={shown_text(value)}" for name, value in self.axes.items()]
        return " ".join([self.case, *axes] if self.case else axes)

    def title(self, case_label: str | None = None) -> str:
        """The cell as pages call it: `crop, color`; a case by its label."""
        return ", ".join([*([case_label or self.case] if self.case else []), *map(shown_text, self.axes.values())])

    def without(self, axes: Sequence[str]) -> "Cell":
        """The same cell without some of its axes."""
        return Cell({name: value for name, value in self.axes.items() if name not in axes}, self.case)

    def __eq__(self, other: object) -> bool:
        """Whether both are the same cell, whatever the order of their axes."""
        return isinstance(other, Cell) and self.key == other.key

    def __hash__(self) -> int:
        """Of the key."""
        return hash(self.key)


def _json(value: Scalar) -> str:
    if isinstance(value, str):
        return _quoted(value)
    return axis_text(int(value) if isinstance(value, float) and value.is_integer() else value)


@cache
def _quoted(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)


def is_number(value: object) -> bool:
    """Whether an axis value is a number; true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def value_key(value: Scalar) -> tuple[str, Scalar]:
    """An axis value as a key that distinguishes true from 1."""
    return type(value).__name__, value


def axis_text(value: object) -> str:
    """An axis value as commands, labels and charts write it: text unchanged, numbers and truth values as in JSON."""
    if isinstance(value, str):
        return value
    return repr(value) if is_number(value) else json.dumps(value)


def shown_text(value: object) -> str:
    """An axis value as people see it: on one line, every character visible; of a long text, the start and a digest."""
    text = axis_text(value)
    if len(text) > _LONGEST:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        text = f"{text[:_LONGEST]}... ({len(text):,} characters, SHA-256 {digest[:8]})"
    return visible(text)


def texts_of(values: Iterable[object]) -> dict[str, str]:
    """Each way to write these values on a command line -> the value's text: that text, or what labels show."""
    texts = [axis_text(value) for value in values]
    return {shown_text(text): text for text in texts} | {text: text for text in texts}


def first_value(text: str, known: Iterable[str]) -> str | None:
    """The longest known value with which a text begins, up to a comma, a space or the end; None without any."""
    found = [each for each in known if text.startswith(each) and text[len(each) : len(each) + 1] in ("", *", \t\n")]
    return max(found, key=len, default=None)


def split_values(text: str, known: Mapping[str, str]) -> list[str]:
    """A list of values separated by commas, of which known ones may contain commas themselves."""
    found: list[str] = []
    rest = text.strip(", ")
    while rest or not found:
        value = first_value(rest, (each for each in known if each)) or rest.partition(",")[0].strip()
        found.append(known.get(value, value))
        rest = rest[len(value) :].strip(", ")
    return found


def described(axis: str, value: object) -> str:
    """An axis value that says what it is a value of: `crop`, `temperature 0.1`; true is `axis`, false `not axis`."""
    if isinstance(value, bool):
        return axis if value else f"not {axis}"
    return shown_text(value) if isinstance(value, str) else f"{axis} {axis_text(value)}"


def varying_axes(cells: Sequence[Cell]) -> list[list[str]]:
    """The axes on which cells differ; axes that always change together are grouped."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for axis in dict.fromkeys(axis for cell in cells for axis in cell.axes):
        numbers: dict[object, int] = {}
        values = (_json(cell.axes[axis]) if axis in cell.axes else None for cell in cells)
        pattern = tuple(numbers.setdefault(value, len(numbers)) for value in values)
        if len(numbers) > 1:
            groups.setdefault(pattern, []).append(axis)
    return list(groups.values())


def short_titles(cells: Sequence[Cell], titles: Sequence[str]) -> list[str]:
    """The cells of the grid called by what tells them apart: `crop, color`, `normalize, temperature 0.1`.

    Axes with one value, and all but one of those that change together, are left out. Cases, and cells that nothing
    tells apart, keep the title that is given.
    """
    telling = [group[0] for group in varying_axes([cell for cell in cells if cell.case is None])]

    def title(cell: Cell) -> str:
        return ", ".join(described(axis, cell.axes[axis]) for axis in telling if axis in cell.axes)

    return [given if cell.case else title(cell) or given for cell, given in zip(cells, titles, strict=True)]


def distinct(cells: Sequence[Cell], titles: Sequence[str]) -> list[str]:
    """The titles; a case labelled like another cell has its name after it, since titles identify cells."""
    pairs, count = zip(cells, titles, strict=True), Counter(titles)
    return [f"{title} ({cell.case})" if cell.case and count[title] > 1 else title for cell, title in pairs]


@dataclass(frozen=True)
class Naming:
    """The cell from which a design's others differ, and the kind of the design."""

    kind: str
    start: Mapping[str, Scalar]
    """Axis -> its value there, for the axes that the design combines."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Axis -> its label, for those that have one."""

    def name(self, cell: Cell) -> str:
        """`full method`, `without color and blur`; `bare method`, `only color`; `baseline`, `temperature 0.1`.

        Values of axes that the design does not combine follow after a comma; a case keeps its own name.
        """
        if cell.case is not None:
            return cell.title()
        changed = [axis for axis, value in cell.axes.items() if self._changes(axis, value)]
        others = [described(axis, value) for axis, value in cell.axes.items() if axis not in self.start]
        return ", ".join([self._differs(cell, changed), *others])

    def _changes(self, axis: str, value: Scalar) -> bool:
        return axis in self.start and value_key(value) != value_key(self.start[axis])

    def _differs(self, cell: Cell, changed: list[str]) -> str:
        if self.kind == "one_at_a_time":
            return ", ".join(described(self._label(axis), cell.axes[axis]) for axis in changed) or "baseline"
        full = "bare method" if self.kind == "add_one_in" else "full method"
        word = "only" if self.kind == "add_one_in" else "without"
        return f"{word} {' and '.join(map(self._label, changed))}" if changed else full

    def _label(self, axis: str) -> str:
        return self.labels.get(axis) or axis.replace("_", " ")

    def plain(self) -> dict[str, Any]:
        """The form of plan files."""
        return {"kind": self.kind, "start": dict(self.start), "labels": dict(self.labels)}


@dataclass(frozen=True)
class Baseline:
    """A case, or the values of some axes: then a cell is compared to the one that has them and is otherwise alike."""

    axes: Mapping[str, Scalar] = field(default_factory=dict)
    case: str | None = None

    def plain(self) -> dict[str, Any]:
        """The form of plan files."""
        return {"axes": dict(self.axes), "case": self.case}

    def is_of(self, cell: Cell) -> bool:
        """Whether a cell is the baseline of some cells."""
        return cell.case == self.case and all(
            axis in cell.axes and value_key(cell.axes[axis]) == value_key(value) for axis, value in self.axes.items()
        )


Tried = Mapping[str, Scalar]
"""Name of a tuned setting, as an axis -> one of its values."""


@dataclass(frozen=True)
class Choice:
    """What a cell chose, with its evidence."""

    cell: Cell
    values: Tried
    scores: tuple[tuple[Tried, float | None], ...]
    """Every combination of values in the order of the file, with the mean of the metric over seeds; None: diverged."""


def as_seen(text: str) -> str:
    """What a reader sees of a text: accents in one form, single spaces, and no hidden characters."""
    shown = "".join(each for each in text if visible(each) == each)
    return " ".join(unicodedata.normalize("NFC", shown).split())
