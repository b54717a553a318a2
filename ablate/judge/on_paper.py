"""What a study's claims are worth on the paper's own numbers, which are one run a cell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ablate.judge.cells import Measured
from ablate.judge.claims import NotMeasured, formula_of
from ablate.judge.formula import binding, effect, holds
from ablate.judge.published import as_published, published_cells
from ablate.study.cells import cells, design
from ablate.study.load import LoadedStudy
from ablate.study.schema import ProfileOverrides, Study


@dataclass(frozen=True)
class OnPaper:
    """A claim on the paper's numbers, by the values alone: one run a cell bears no test."""

    holds: bool
    effect: float
    """Of the comparison that decides."""
    bound: float
    compared: str


def on_paper(loaded: LoadedStudy) -> dict[str, OnPaper]:
    """Each claim of a study on the published numbers; without those whose numbers the paper does not print."""
    plan, bare = paper_cells(loaded)
    published = published_cells(plan, bare)
    numbers = as_published(bare, published)
    axes = {axis["name"]: axis["values"] for axis in plan["axes"]}
    found = {}
    for claim in loaded.study.claims:
        formula = formula_of(
            claim, numbers, metric=loaded.study.metric, axes=axes, published=published, at_paper_scale=True
        )
        if not isinstance(formula, NotMeasured):
            decides = binding(formula)
            found[claim.id] = OnPaper(holds(formula), effect(decides), decides.bound, decides.label)
    return found


def paper_cells(loaded: LoadedStudy) -> tuple[Mapping[str, Any], list[Measured]]:
    """The study's cells at the paper's scale, with nothing measured, and the part of a plan that says what they are."""
    study = loaded.study
    varied = design(study, study.profile.get(study.paper_profile, ProfileOverrides()), study.paper_profile)
    labels = {case.name: case.label for case in study.cases}
    bare = [
        Measured(cell.axes, cell.case, _label(cell.axes, labels.get(cell.case or "")), 0, {})
        for cell in cells(study, varied, loaded.source)
    ]
    return _plan(study, {name: axis.names for name, axis in varied.axes.items()}), bare


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
