"""Small grids with numbers, and claims on them, for tests of what claims ask."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from ablate.judge.cells import Measured
from ablate.judge.claims import NotMeasured, answer_of
from ablate.judge.formula import Formula, Joint, Leaf
from ablate.judge.published import Published
from ablate.study.claims import Claim, read_claims

Axes = Mapping[str, Sequence[Any]]


def claim(kind: str, **keys: Any) -> Claim:
    """A claim of a kind with these keys; `best="..."` is the key `is`."""
    if "best" in keys:
        keys["is"] = keys.pop("best")
    (read,) = read_claims([{"id": "A1", "text": "It is so.", "source": "section 1", "kind": kind, **keys}])
    return read


def grid(axes: Axes, values: Mapping[tuple[Any, ...], Sequence[float]], metric: str = "top1") -> list[Measured]:
    """A cell for each combination that has values, one a seed."""
    cells = []
    for place in product(*axes.values()):
        if place in values:
            numbers = {seed: {metric: value} for seed, value in enumerate(values[place])}
            label = ", ".join(map(str, place))
            cells.append(Measured(dict(zip(axes, place, strict=True)), None, label, len(numbers), numbers))
    return cells


def ask(
    asked: Claim, cells: Sequence[Measured], axes: Axes, paper: Sequence[float] = (), at_paper_scale: bool = True
) -> Formula | NotMeasured:
    """The claim's formula; `paper`: the published numbers of the first cells."""
    published = {number: {"top1": Published(value, "verified", None, "T")} for number, value in enumerate(paper)}
    answer = answer_of(asked, cells, metric="top1", axes=axes, published=published, at_paper_scale=at_paper_scale)
    return answer if isinstance(answer, NotMeasured) else answer.formula


def leaves(formula: Formula | NotMeasured) -> dict[str, tuple[tuple[float, ...], float]]:
    """Label -> differences, rounded, and bound of every comparison."""
    assert not isinstance(formula, NotMeasured), formula
    if isinstance(formula, Leaf):
        return {formula.label: (tuple(round(each, 6) for each in formula.differences), formula.bound)}
    assert isinstance(formula, Joint)
    return {label: leaf for part in formula.parts for label, leaf in leaves(part).items()}


def reason(formula: Formula | NotMeasured) -> str:
    """Why there is none."""
    assert isinstance(formula, NotMeasured), formula
    return formula.reason
