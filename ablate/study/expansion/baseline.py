"""The baseline of a study: what its file names, and whether there is such a cell."""

from collections.abc import Iterator

from ablate.study.cells.baseline import read_baseline
from ablate.study.cells.cell import Baseline, Cell, axis_text
from ablate.study.expansion.design import design, points
from ablate.study.schema.study import EVALUATION, Study
from ablate.study.toml.problems import Problems

_MOST_POINTS = 100_000
"""Combinations that are searched for the baseline; it then counts as found."""


def baseline_of(study: Study) -> Baseline | None:
    """The cell to which others are compared: the study's, or the one from which those of `[design]` differ.

    None without one, and for a text that names none, which `check_baseline` reports.
    """
    try:
        return _named(study)
    except ValueError:
        return None


def _named(study: Study) -> Baseline | None:
    naming = design(study).naming
    if study.baseline is None:
        return Baseline(naming.start) if naming else None
    cases = {case.name: case.label for case in study.every_case}
    return read_baseline(study.baseline, study.choices, cases, naming)


def check_baseline(study: Study) -> Problems:
    """The problem of a baseline that is no cell at any profile."""
    if study.baseline is None:
        return
    help = f"choose {' or '.join(_forms(study))}"
    try:
        baseline = _named(study)
    except ValueError as error:
        yield f"baseline: {error}", ("baseline",), help
        return
    if baseline is None or baseline.case is not None:
        return
    for profile in ("", *study.profile):
        varied = design(study, profile)
        if varied.size > _MOST_POINTS or any(baseline.is_of(Cell(point)) for point in points(study, varied)):
            return
    yield f"baseline: the study has no cell with {study.baseline}", ("baseline",), help


def _forms(study: Study) -> Iterator[str]:
    """What a baseline may be, with examples of the study."""
    if naming := design(study).naming:
        yield f"'{naming.name(Cell(naming.start))}', as `ablate plan` calls its cells,"
    values = [f"{name}={axis_text(each[0])}" for name, each in study.choices.items() if name != EVALUATION]
    if values:
        yield f"values of axes, as in {' '.join(values[:3])}"
    if study.cases:
        yield f"a case: {', '.join(case.name for case in study.cases)}"
