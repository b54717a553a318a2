"""Small grids with numbers, and claims on them, for tests of what claims ask."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product, zip_longest
from typing import Any

from ablate.judge.answer import NotMeasured, answer_of
from ablate.judge.evidence import MeasuredCell
from ablate.judge.published import Published
from ablate.judge.statistics.formula import Formula, Joint, Leaf
from ablate.study.cells.cell import Cell, short_titles
from ablate.study.claims import Claim, read_claims

Axes = Mapping[str, Sequence[Any]]


def claim(kind: str, **keys: Any) -> Claim:
    """A claim of a kind with these keys; `best="..."` is the key `is`."""
    if "best" in keys:
        keys["is"] = keys.pop("best")
    (read,) = read_claims([{"id": "A1", "text": "It is so.", "source": "section 1", "kind": kind, **keys}])
    return read


def measured(
    axes: Mapping[str, Any], case: str | None, label: str, planned: int, numbers: Mapping[int, Mapping[str, float]]
) -> MeasuredCell:
    """A cell with these numbers, of which the first seeds were asked for."""
    return MeasuredCell(Cell(axes, case), label, label, "top1", numbers, tuple(range(planned)))


def grid(axes: Axes, values: Mapping[tuple[Any, ...], Sequence[float]], metric: str = "top1") -> list[MeasuredCell]:
    """A cell for each combination that has values, one a seed."""
    cells = []
    for place in product(*axes.values()):
        if place in values:
            numbers = {seed: {metric: value} for seed, value in enumerate(values[place])}
            label = ", ".join(map(str, place))
            cells.append(measured(dict(zip(axes, place, strict=True)), None, label, len(numbers), numbers))
    return cells


def ask(
    asked: Claim, cells: Sequence[MeasuredCell], axes: Axes, paper: Sequence[float] = (), at_paper_scale: bool = True
) -> Formula | NotMeasured:
    """The claim's formula; `paper`: the published numbers of the first cells."""
    of_paper = [{"top1": Published(value, "verified", None, "T")} for value in paper]
    labels = short_titles([each.cell for each in cells], [each.title for each in cells])
    found = [
        replace(each, label=label, published=published or {})
        for each, label, published in zip_longest(cells, labels, of_paper)
    ]
    answer = answer_of(asked, found, metric="top1", axes=axes, at_paper_scale=at_paper_scale)
    return answer if isinstance(answer, NotMeasured) else answer.formula


def leaves(formula: Formula | NotMeasured) -> dict[str, tuple[tuple[float, ...], float]]:
    """Label -> differences, rounded, and bound of every comparison."""
    assert not isinstance(formula, NotMeasured), formula
    if isinstance(formula, Leaf):
        label = " - ".join(reversed(formula.label.split(" - "))) if formula.turned else formula.label
        return {label: (tuple(round(each, 6) for each in formula.differences), formula.bound)}
    assert isinstance(formula, Joint)
    return {label: leaf for part in formula.parts for label, leaf in leaves(part).items()}


def reason(formula: Formula | NotMeasured) -> str:
    """Why there is none."""
    assert isinstance(formula, NotMeasured), formula
    return formula.reason


def every(parts: Sequence[Formula]) -> Joint:
    """All of the parts hold."""
    return Joint(tuple(parts), len(parts))


def some(parts: Sequence[Formula]) -> Joint:
    """At least one of the parts holds."""
    return Joint(tuple(parts), 1)
