"""What the numbers say, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from ablate.judge import told
from ablate.judge.scale import at_paper_scale
from ablate.report.measured import Cell, Measured
from ablate.report.words import named

if TYPE_CHECKING:
    from ablate.judge.study import Judged
    from ablate.judge.verdict import Verdict

_DIFFERENCES = ("best", "greater", "equivalent", "closing_gap", "monotone", "symmetric", "share")
"""Kinds of claims whose effect is a difference between values of a metric."""


def lead(judged: Judged) -> Verdict | None:
    """The verdict that answers the study's question: of the first required claim that was judged, else of the first."""
    found = [verdict for verdict in judged.verdicts if verdict.decision]
    return next((verdict for verdict in found if verdict.claim.required), next(iter(found), None))


def answer(measured: Measured, judged: Judged) -> str:
    """The answer to a study's question in one sentence, drawn from its verdicts."""
    if measured.lacking:
        return _stopped(measured.lacking)
    if not any(cell.values for cell in measured.cells):
        return f"Nothing is measured yet: {measured.done} of {told_count(measured.asked, 'trial')} are done."
    if (verdict := lead(judged)) is None:
        why = "None of its claims can be judged yet" if judged.verdicts else "It makes no claims"
        return f"{why}. {findings(measured)[0]}"
    assert verdict.decision is not None
    decision, text = verdict.decision, named(verdict.claim.text.rstrip("."))
    where = "at the paper's scale" if at_paper_scale(judged.plan) else "at this scale"
    where = f" {where}" if measured.of_paper else ""
    seeds = told_count(decision.seeds, "seed")
    numbers = "; ".join([_effect(measured, verdict), seeds, *verdict.notes])
    if verdict.state != "undecided":
        return f"{verdict.told.capitalize()}{where}: {text} ({numbers})."
    if decision.p is None:
        way = {"supports": "to it", "refutes": "against it", "neither": "neither way"}[decision.leaning]
        points = f"point{'s' if decision.seeds == 1 else ''} {way}"
        number = {1: "one seed", 2: "two seeds"}.get(decision.seeds, seeds)
        return f"Not settled, {number} {points}{where}: {text} ({numbers}; {told.settled_by(verdict)})."
    side = {"supports": "supported", "refutes": "refuted", "neither": "neither"}[decision.leaning]
    return f"Undecided{where}, leaning to {side}: {text} ({numbers}; {told.settled_by(verdict)})."


def findings(measured: Measured) -> list[str]:
    """What the numbers say, in sentences: best cell, best single one, cases, axes, agreement with the paper."""
    done = [cell for cell in measured.grid if cell.mean is not None]
    others = [
        (named(cell.label[:1].upper() + cell.label[1:]), cell)
        for cell in measured.cells
        if cell.case and cell.mean is not None
    ]
    if measured.lacking:
        return [_stopped(measured.lacking)]
    if not done:
        return [f"{label}: {_value(measured, cell)}." for label, cell in others] or ["No trial is done yet."]
    best, said = max(done, key=_mean), [_extremes(measured, done)]
    if (single := _diagonal(measured, done)) is not None:
        others.insert(0, (f"{_top(measured)} on the diagonal: {named(single.label)}", single))
    for label, cell in others:
        apart = _mean(best) - _mean(cell)
        distance = f"{abs(apart):.1f} points" if measured.percent else f"{abs(apart):.4g}"
        of_grid = "" if apart >= 0 else " of the grid"
        side = f"{distance} {'below' if apart >= 0 else 'above'} the {_top(measured).lower()}{of_grid}"
        said.append(f"{label}: {_value(measured, cell)}, {side}.")
    said += _by_axis(measured, done)
    said += _beside_paper(measured, done)
    if max(len(cell.values) for cell in measured.cells) == 1:
        said.append("One seed a cell: this points to an answer, it is no verdict.")
    return said


def told_count(count: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _effect(measured: Measured, verdict: Verdict) -> str:
    """The effect of the comparison that decides, in points where it is a difference of percent."""
    decision, claim = verdict.decision, verdict.claim
    assert decision is not None
    if claim.kind in _DIFFERENCES and measured.in_percent(claim.metric or measured.metric_name):
        between = f" [{decision.interval[0]:.1f}, {decision.interval[1]:.1f}]" if decision.interval else ""
        bound = f", bound {decision.bound:.3g}" if decision.bound else ""
        effect = f"{decision.effect:+.1f} points{between}{bound}"
    else:
        effect = told.effect(decision)
    return f"{effect} for {named(decision.compared)}"


def _extremes(measured: Measured, done: Sequence[Cell]) -> str:
    """The best cell; of a metric of which one cannot know whether more is better, the highest and the lowest."""
    best, worst = max(done, key=_mean), min(done, key=_mean)
    if measured.percent:
        return f"Best: {_called(best)}, with {_value(measured, best)} {measured.title}{_sure(measured, best)}."
    if len(done) == 1:
        return f"{_called(best)}: {measured.metric} {measured.shown(best.mean)}{_sure(measured, best)}."
    low = f"lowest: {_called(worst)}, with {_value(measured, worst)}{_sure(measured, worst)}"
    return f"Highest: {_called(best)}, with {measured.metric} {_value(measured, best)}{_sure(measured, best)}; {low}."


def _sure(measured: Measured, cell: Cell) -> str:
    if cell.interval is None:
        return ""
    low, high = map(measured.shown, cell.interval)
    return f" (95 % interval {low} to {high}, {told_count(len(cell.values), 'seed')})"


def _by_axis(measured: Measured, done: Sequence[Cell]) -> list[str]:
    """For each axis the values with the highest and the lowest mean, where each meets the same values of the others."""
    if len(measured.axes) < 2:
        return []
    said = []
    for axis in measured.plan["axes"]:
        name, groups = axis["name"], _groups(axis["name"], done)
        met = {frozenset(group) for group in groups.values()}
        if len(groups) < 2 or len(met) != 1 or len(next(iter(met))) < 2:
            continue
        means = {value: fmean(group.values()) for value, group in groups.items()}
        high, low = max(means, key=lambda each: means[each]), min(means, key=lambda each: means[each])
        over = f"means over {len(next(iter(met)))} cells"
        top, bottom = (f"{named(value)} ({measured.shown(means[value])})" for value in (high, low))
        said.append(f"By {named(axis.get('label') or name)}: highest at {top}, lowest at {bottom}, {over}.")
    return said


def _groups(axis: str, done: Sequence[Cell]) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Value of an axis -> place on the other axes -> mean."""
    groups: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for cell in done:
        others = tuple((name, str(value)) for name, value in cell.axes.items() if name != axis)
        if axis in cell.axes:
            groups.setdefault(str(cell.axes[axis]), {})[others] = _mean(cell)
    return groups


def _beside_paper(measured: Measured, done: Sequence[Cell]) -> list[str]:
    """Where the paper's best cell stands here, and how alike the orders are."""
    said = []
    if published := [cell for cell in measured.grid if cell.paper is not None]:
        top = max(published, key=lambda cell: cell.paper or 0)
        if top.mean is not None:
            place = 1 + sum(_mean(cell) > top.mean for cell in done)
            here = f"Here it has {_value(measured, top)}, place {place} of {len(done)}."
            said.append(f"Best of these cells in {named(measured.plan['reference']['label'])}: {_called(top)}. {here}")
    if (rank := measured.rank_correlation) is not None:
        count = sum(cell.mean is not None and cell.paper is not None for cell in measured.grid)
        label = named(measured.plan["reference"]["label"])
        said.append(f"Rank correlation with {label} over {count} cells: {rank:.2f} (Spearman).")
    return said


def _diagonal(measured: Measured, done: Sequence[Cell]) -> Cell | None:
    """The best cell with one value on every axis, where the axes have the same values, as in Fig. 5."""
    values = [axis["values"] for axis in measured.plan["axes"]]
    if len(values) < 2 or any(each != values[0] for each in values):
        return None
    single = [cell for cell in done if len(set(map(str, cell.axes.values()))) == 1]
    return max(single, key=_mean, default=None)


def _stopped(sentence: str) -> str:
    return f"{sentence}{'' if sentence.endswith('?') else '.'}"


def _top(measured: Measured) -> str:
    return "Best" if measured.percent else "Highest"


def _called(cell: Cell) -> str:
    return named(cell.label)


def _value(measured: Measured, cell: Cell) -> str:
    return f"{measured.shown(cell.mean)}{' %' if measured.percent else ''}"


def _mean(cell: Cell) -> float:
    assert cell.mean is not None
    return cell.mean
