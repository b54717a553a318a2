"""What a study's claims are worth on the paper's own numbers, which are one run a cell."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ablate.judge.cells import Measured
from ablate.judge.claims import NotMeasured, answer_of
from ablate.judge.comparison import Asked, Comparison, Hold
from ablate.judge.formula import binding, compared, effect, holds
from ablate.judge.published import Published, as_published, published_cells
from ablate.study.cells import at_paper_scale
from ablate.study.load import LoadedStudy
from ablate.study.schema import Study


@dataclass(frozen=True)
class OnPaper:
    """A claim on the paper's numbers, by the values alone: one run a cell bears no test."""

    holds: bool
    effect: float
    """Of the comparison that decides."""
    bound: float
    compared: str
    sure: bool = True
    """Whether it is so wherever within their error the numbers lie that were read off a figure."""


def on_paper(loaded: LoadedStudy) -> dict[str, OnPaper]:
    """Each claim of a study on the published numbers; without those whose numbers the paper does not print."""
    plan, bare = paper_cells(loaded)
    published = published_cells(plan, bare)
    numbers = as_published(bare, published)
    axes = {axis["name"]: axis["values"] for axis in plan["axes"]}
    about: dict[str, Any] = {"axes": axes, "published": published, "at_paper_scale": True}
    found = {}
    for claim in loaded.study.claims:
        answer = answer_of(claim, numbers, metric=loaded.study.metric, **about)
        if isinstance(answer, NotMeasured):
            continue
        formula, decides = answer.formula, binding(answer.formula)
        told = holds(formula), decides.shown(effect(decides)), decides.bound, compared(formula, decides)
        against = partial(_moved, published=published, sign=-1 if holds(formula) else 1)
        worst = answer_of(claim, numbers, metric=loaded.study.metric, **about, doubting=against)
        assert not isinstance(worst, NotMeasured)
        found[claim.id] = OnPaper(*told, sure=claim.with_paper or holds(worst.formula) == holds(formula))
    return found


def _moved(asked: Asked, published: Mapping[int, Mapping[str, Published]], sign: int) -> Asked:
    """What is asked, with each comparison as far up or down as the errors of its numbers let it be."""
    if isinstance(asked, Hold):
        return replace(asked, parts=tuple(_moved(part, published, sign) for part in asked.parts))
    errors = [published[number][metric].err or 0.0 for number, metric in asked.wanted]

    def moved(at: Sequence[float]) -> float:
        return asked.value(at) + sign * sum(_moves(asked.value, at, place, err) for place, err in enumerate(errors))

    return Comparison(asked.label, asked.wanted, moved, asked.bound)


def _moves(value: Callable[[Sequence[float]], float], at: Sequence[float], place: int, err: float) -> float:
    """How far a value moves where one of its numbers does."""
    if not err:
        return 0.0
    ends = [value([*at[:place], at[place] + way * err, *at[place + 1 :]]) for way in (1, -1)]
    return abs(ends[0] - ends[1]) / 2


def paper_cells(loaded: LoadedStudy) -> tuple[Mapping[str, Any], list[Measured]]:
    """The study's cells at the paper's scale, with nothing measured, and the part of a plan that says what they are."""
    study = loaded.study
    axes, cells = at_paper_scale(study, loaded.source)
    labels = {case.name: case.label for case in study.cases}
    bare = [Measured(cell.axes, cell.case, _label(cell.axes, labels.get(cell.case or "")), 0, {}) for cell in cells]
    return _plan(study, {name: axis.names for name, axis in axes.items()}), bare


def _plan(study: Study, axes: Mapping[str, list[Any]]) -> dict[str, Any]:
    return {
        "study": study.name,
        "profile": study.paper_profile,
        "paper_profile": study.paper_profile,
        "metric": study.metric,
        "references": [reference.model_dump(mode="json", exclude_unset=True) for reference in study.reference],
        "axes": [{"name": name, "values": values} for name, values in axes.items()],
    }


def _label(axes: Mapping[str, Any], case: str | None) -> str:
    return ", ".join([*([case] if case else []), *map(str, axes.values())])
