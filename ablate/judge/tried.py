"""What each cell tried by `[tune]`, and which of it it chose, as a plan has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.study.cells.cell import Cell, axis_text

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence


@dataclass(frozen=True)
class Tries:
    """What one cell tried."""

    title: str
    values: tuple[Mapping[str, Any], ...]
    scores: tuple[float | None, ...]
    place: int
    """Which of them it chose."""

    @property
    def best(self) -> float | None:
        """The score of what it chose; None if every value diverged."""
        return self.scores[self.place]

    @property
    def words(self) -> tuple[str, ...]:
        """The combinations in words."""
        return tuple(map(_in_words, self.values))


def tries_of(measured: Evidence) -> list[Tries]:
    """What the cells tried, called as on the page; empty without `[tune]`."""
    labels, found = {each.cell: each.label for each in measured.cells}, []
    for each in measured.plan.tuned.get("cells", ()):
        cell, values = Cell(each["axes"], each["case"]), tuple(score["values"] for score in each["scores"])
        title = labels.get(cell) or measured.plan.title_of(cell)
        found.append(
            Tries(title, values, tuple(score["score"] for score in each["scores"]), values.index(each["values"]))
        )
    return found


def _in_words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {axis_text(value)}" for name, value in values.items()) or "not tuned"
