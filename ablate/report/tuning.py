"""What each cell chose by `[tune]`, as the page shows it: the scores of all values, and the ranking without tuning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.records.plain import plural
from ablate.study.cells.cell import Cell, axis_text
from ablate.study.expansion.tune import beyond

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence


@dataclass(frozen=True)
class TunedCell:
    """One cell's choice."""

    title: str
    chosen: str
    """`learning_rate 0.3`."""
    scores: tuple[tuple[str, bool], ...]
    """The score at each combination, or `diverged`, and whether it was chosen; in the order of `Tuning.tried`."""
    rank: int
    """By its score at what it chose, from 1."""
    untuned_rank: int
    """By its score at the first values."""


@dataclass(frozen=True)
class Tuning:
    """The choices of all cells."""

    tried: tuple[str, ...]
    """The combinations of values: `learning_rate 0.1`."""
    cells: tuple[TunedCell, ...]
    about: str
    """By what was chosen, in a sentence."""
    warnings: tuple[str, ...]
    """Choices on the edge of the values, with what to try."""
    ranking: str
    """How the ranking would look without tuning, in a sentence."""
    study: str
    """The study of the trials that chose."""


def tuning_of(measured: Evidence) -> Tuning | None:
    """The choices by which the cells were trained; None without `[tune]`."""
    plan = measured.plan
    if not plan.tuned:
        return None
    found, lowest = plan.tuned["cells"], plan.tuned["lowest"]
    titles = [plan.title_of(Cell(each["axes"], each["case"])) for each in found]
    tried = [score["values"] for score in found[0]["scores"]]
    scores = [[score["score"] for score in each["scores"]] for each in found]
    places = [tried.index(each["values"]) for each in found]
    best = [own[place] for own, place in zip(scores, places, strict=True)]
    ranks, untuned = _ranks(best, lowest), _ranks([own[0] for own in scores], lowest)
    cells = tuple(
        TunedCell(
            title,
            _words(tried[place]) + (" (every value diverged)" if own[place] is None else ""),
            tuple(("diverged" if score is None else f"{score:.4g}", at == place) for at, score in enumerate(own)),
            rank,
            before,
        )
        for title, own, place, rank, before in zip(titles, scores, places, ranks, untuned, strict=True)
    )
    warnings = [
        warning
        for title, place, score in zip(titles, places, best, strict=True)
        if score is not None
        for warning in _edges(title, tried, tried[place])
    ]
    study = plan.tuned["study"]
    return Tuning(
        tuple(map(_words, tried)), cells, _about(plan.tuned), tuple(warnings), _ranking(titles, ranks, untuned), study
    )


def _about(tuned: Mapping[str, Any]) -> str:
    by = "lowest" if tuned["lowest"] else "highest"
    rule = "the middle one of its three best values" if tuned["choose"] != "best" else "the value"
    seeds = plural(len(tuned["seeds"]), "seed")
    where = f"the mean {tuned['metric']} over {seeds} that the comparison does not use"
    ends = f"by {where} ({by} is best)" if tuned["choose"] != "best" else f"with the {by} {where.removeprefix('the ')}"
    return f"Each cell uses {rule} {ends}. Every cell tried the same values."


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {axis_text(value)}" for name, value in values.items())


def _ranks(scores: Sequence[float | None], lowest: bool) -> list[int]:
    """1 for the best; equal scores share the better rank. What diverged, None, is the worst."""
    losses = [math.inf if score is None else score if lowest else -score for score in scores]
    return [1 + sum(other < loss for other in losses) for loss in losses]


def _edges(title: str, tried: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]) -> list[str]:
    found = []
    for name, value in chosen.items():
        further = beyond(list(dict.fromkeys(values[name] for values in tried)), value)
        if further is not None:
            end = "lowest" if further < value else "highest"
            edge = f"{title}: {name} {axis_text(value)} is the {end} value that was tried"
            found.append(f"{edge}, so a better one may lie beyond: try {axis_text(further)}, too")
    return found


def _ranking(titles: Sequence[str], tuned: Sequence[int], untuned: Sequence[int]) -> str:
    if list(tuned) == list(untuned):
        return "With the first values in every cell, the ranking would be the same."
    before = [title for _, title in sorted(zip(untuned, titles, strict=True), key=lambda each: each[0])]
    after = [title for _, title in sorted(zip(tuned, titles, strict=True), key=lambda each: each[0])]
    if before[0] != after[0]:
        return f"With the first values in every cell, {before[0]} would be the best instead of {after[0]}."
    return f"With the first values in every cell, the ranking would differ, with {after[0]} the best all the same."
