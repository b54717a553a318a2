"""What each cell chose by `[tune]`, as the page shows it: the scores of all values, and the ranking without tuning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ablate.judge.tried import Tries, tries_of
from ablate.records.plain import plural
from ablate.study.cells.cell import axis_text
from ablate.study.expansion.tune import beyond
from ablate.trainer.find import DEFAULT_TRAINER, limits_of

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence


_MOST_NAMED = 8
"""Cells that a warning names."""


@dataclass(frozen=True)
class TunedCell:
    """One cell's choice."""

    title: str
    chosen: str
    """`learning_rate 0.3`."""
    score: str
    """At what it chose, or `diverged`."""
    rank: int
    """By that score, from 1."""
    untuned_score: str
    """At the first values."""
    untuned_rank: int


@dataclass(frozen=True)
class ScoreTable:
    """The scores of cells that tried the same combinations. The fewer of the two are columns, so that it is narrow."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, bool], ...]], ...]
    """Of each row: its heading, then each score, or `diverged`, and whether its cell chose that combination."""


@dataclass(frozen=True)
class Tuning:
    """The choices of all cells."""

    cells: tuple[TunedCell, ...]
    tables: tuple[ScoreTable, ...]
    """One, or several if some settings are tuned in some cells only."""
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
    plan, found = measured.plan, tries_of(measured)
    if not plan.tuned:
        return None
    lowest = plan.tuned["lowest"]
    ranks = _ranks([each.best for each in found], lowest)
    untuned = _ranks([each.scores[0] for each in found], lowest)
    cells = tuple(
        TunedCell(
            each.title,
            each.words[each.place] + (" (every value diverged)" if each.best is None else ""),
            *(_score(each.best), rank, _score(each.scores[0]), before),
        )
        for each, rank, before in zip(found, ranks, untuned, strict=True)
    )
    alike: dict[tuple[str, ...], list[Tries]] = {}
    for each in found:
        alike.setdefault(each.words, []).append(each)
    titles = [each.title for each in found]
    return Tuning(
        cells,
        tuple(_table(words, own) for words, own in alike.items()),
        _about(plan.tuned, [len(each.values) for each in found]),
        tuple(_warnings(found, partial(limits_of, plan.trainer or DEFAULT_TRAINER))),
        _ranking(titles, ranks, untuned),
        plan.tuned["study"],
    )


def _table(words: tuple[str, ...], cells: Sequence[Tries]) -> ScoreTable:
    scores = [[(_score(score), at == each.place) for at, score in enumerate(each.scores)] for each in cells]
    titles = tuple(each.title for each in cells)
    rows, head = (words, titles) if len(words) > len(cells) else (titles, words)
    by_row = zip(*scores, strict=True) if rows is words else map(tuple, scores)
    return ScoreTable(head, tuple(zip(rows, by_row, strict=True)))


def _score(score: float | None) -> str:
    return "diverged" if score is None else f"{score:.4g}"


def _about(tuned: Mapping[str, Any], counts: Sequence[int]) -> str:
    by = "lowest" if tuned["lowest"] else "highest"
    rule = "the middle one of its three best values" if tuned["choose"] != "best" else "the value"
    seeds = plural(len(tuned["seeds"]), "seed")
    where = f"the mean {tuned['metric']} over {seeds} that the comparison does not use"
    ends = f"by {where} ({by} is best)" if tuned["choose"] != "best" else f"with the {by} {where.removeprefix('the ')}"
    effort = "the same values"
    if len(set(counts)) > 1:
        effort = f"all combinations of the settings that it tunes, {min(counts)} to {max(counts)} of them"
    return f"Each cell uses {rule} {ends}. Every cell tried {effort}."


def _ranks(scores: Sequence[float | None], lowest: bool) -> list[int]:
    """1 for the best; equal scores share the better rank. What diverged, None, is the worst."""
    losses = [math.inf if score is None else score if lowest else -score for score in scores]
    return [1 + sum(other < loss for other in losses) for loss in losses]


def _warnings(cells: Sequence[Tries], limits: Callable[[str], tuple[float, float]]) -> Iterator[str]:
    """Of each value on the edge, the cells that chose it and what to try. limits: those of a setting."""
    edges: dict[tuple[str, Any, float], list[str]] = {}
    for each in cells:
        for name, value in each.values[each.place].items() if each.best is not None else ():
            further = beyond(list(dict.fromkeys(tried[name] for tried in each.values)), value)
            if further is None:
                continue
            least, most = limits(name)
            if (further := float(min(max(further, least), most))) != value:  # nothing to try beyond a limit
                edges.setdefault((name, value, further), []).append(each.title)
    for (name, value, further), titles in edges.items():
        shown, more = titles[:_MOST_NAMED], len(titles) - _MOST_NAMED
        where = "; ".join([*shown, *([f"{more} more"] if more > 0 else [])])
        edge = f"{where}: {name} {axis_text(value)} is the {'lowest' if further < value else 'highest'} value that was"
        yield f"{edge} tried, so a better one may lie beyond: try {axis_text(further)}, too"


def _ranking(titles: Sequence[str], tuned: Sequence[int], untuned: Sequence[int]) -> str:
    if list(tuned) == list(untuned):
        return "With the first values in every cell, the ranking would be the same."
    before = [title for _, title in sorted(zip(untuned, titles, strict=True), key=lambda each: each[0])]
    after = [title for _, title in sorted(zip(tuned, titles, strict=True), key=lambda each: each[0])]
    if before[0] != after[0]:
        return f"With the first values in every cell, {before[0]} would be the best instead of {after[0]}."
    return f"With the first values in every cell, the ranking would differ, with {after[0]} the best all the same."
