"""What is shown beside a verdict: descriptions of each comparison of a claim, which decide nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ablate.judge.answer import comparisons_of
from ablate.judge.published import at_paper_scale
from ablate.judge.statistics.describe import (
    Estimate,
    Sensitivity,
    correlation,
    improvement,
    interquartile_mean,
    paired_width,
    posterior,
    sensitivities,
    standardized,
)
from ablate.judge.statistics.formula import ROUNDING
from ablate.judge.statistics.image_variance import VarianceParts, variance_parts
from ablate.records.correct import Correct
from ablate.records.files import Results
from ablate.records.reading import result_if_any
from ablate.study.claims.comparison import Comparison

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence
    from ablate.judge.statistics.comparisons import Compared
    from ablate.judge.verdict import Verdict

ROPE = 1.0
"""Points of a metric in percent within which a difference counts as practically none (Benavoli et al. 2017)."""


class Posterior(NamedTuple):
    """The probabilities of the true effect by the region of practical equivalence, from -rope to rope."""

    rope: float
    below: float
    within: float
    above: float


@dataclass(frozen=True)
class Described:
    """One comparison with its descriptions; those that it cannot have are None."""

    compared: Compared
    standardized: float | None
    interquartile_mean: Estimate | None
    sensitivity: Sensitivity
    improvement: Estimate | None = None
    """This and the rest: only of a difference between two sides, each a mean of cells."""
    correlation: float | None = None
    paired_width: float | None = None
    posterior: Posterior | None = None
    variance: VarianceParts | None = None
    """None unless the trials kept which test images are right."""


@dataclass(frozen=True)
class Describer:
    """Describes the comparisons of a study's claims."""

    evidence: Evidence
    results: Results
    _kept: dict[tuple[int, int, str], Correct | None] = field(default_factory=dict)

    def describe(self, verdict: Verdict, only: Collection[int] | None = None) -> tuple[Described, ...]:
        """The comparisons of a verdict, described; empty if it has none.

        only: numbers of the comparisons to describe. p values that share variances use all of them in any case.
        """
        if verdict.decision is None:
            return ()
        every = verdict.decision.comparisons
        shared, asked = _shared(every), self._asked(verdict)
        return tuple(
            self._one(each, shared[number], asked)
            for number, each in enumerate(every)
            if only is None or number in only
        )

    def _asked(self, verdict: Verdict) -> Mapping[str, Sequence[Comparison]]:
        """Label -> the claim's comparisons of that name."""
        found: dict[str, list[Comparison]] = {}
        plan = self.evidence.plan
        around: dict[str, Any] = {"metric": plan.metric, "axes": plan.axis_values}
        around["at_paper_scale"] = at_paper_scale(plan)
        for each in comparisons_of(verdict.claim, self.evidence.cells, **around):
            if isinstance(each, Comparison):
                found.setdefault(each.label, []).append(each)
        return found

    def _one(
        self, compared: Compared, sensitivity: Sensitivity, asked: Mapping[str, Sequence[Comparison]]
    ) -> Described:
        values, within = compared.values, compared.within
        described = Described(
            compared,
            standardized(values, 0.0 if within else compared.bound, compared.unit),
            interquartile_mean(values) if values else None,
            Sensitivity(None, None) if within else sensitivity,
        )
        weighted = next((found for each in asked.get(compared.label, ()) if (found := self._of(compared, each))), None)
        if weighted is None:
            return described
        changes: dict[str, Any] = {"variance": self._variance(compared, weighted)}
        if (sides := self._sides(compared, weighted)) is not None:
            changes |= {
                "improvement": improvement(*sides),
                "correlation": correlation(*sides),
                "paired_width": paired_width(*sides),
                "posterior": self._posterior(compared, weighted),
            }
        return Described(**{**vars(described), **changes})

    def _of(self, compared: Compared, asked: Comparison) -> Mapping[tuple[int, str], float] | None:
        """(Number of a cell, metric) -> its weight in a comparison, if that is a weighted sum with these values."""
        linear = weights_of(asked.value, len(asked.wanted))
        if linear is None or not compared.values:
            return None
        weights, constant = linear
        found: dict[tuple[int, str], float] = {}
        for wanted, weight in zip(asked.wanted, weights, strict=True):
            found[wanted] = found.get(wanted, 0.0) + weight
        sums = [
            constant + math.fsum(weight * self._value(cell, metric, seed) for (cell, metric), weight in found.items())
            for seed in compared.seeds
        ]
        for sign in (1, -1):  # of an equivalence, the comparison may be the reverse of the one that is shown
            if np.allclose(np.array(sums) * sign, compared.values, rtol=1e-9, atol=ROUNDING * compared.unit):
                return {wanted: sign * weight for wanted, weight in found.items()}
        return None

    def _value(self, cell: int, metric: str, seed: int) -> float:
        return self.evidence.cells[cell].values(metric).get(seed, math.nan)

    def _sides(
        self, compared: Compared, weights: Mapping[tuple[int, str], float]
    ) -> tuple[list[float], list[float]] | None:
        """The values of both sides, one per seed; None if it is not a difference between two means."""
        parts = [{wanted: sign * weight for wanted, weight in weights.items() if sign * weight > 0} for sign in (1, -1)]
        if not all(math.isclose(math.fsum(part.values()), 1.0, rel_tol=1e-9) for part in parts):
            return None
        left, right = (
            [
                math.fsum(weight * self._value(cell, metric, seed) for (cell, metric), weight in part.items())
                for seed in compared.seeds
            ]
            for part in parts
        )
        return left, right

    def _posterior(self, compared: Compared, weights: Mapping[tuple[int, str], float]) -> Posterior | None:
        """With the claim's own margin for an equivalence, else with one point of a metric in percent."""
        in_percent = self.evidence.in_percent(*(metric for _, metric in weights))
        rope = -compared.bound if compared.within else ROPE if in_percent else None
        found = None if rope is None else posterior(compared.values, rope, compared.unit)
        return None if rope is None or found is None else Posterior(rope, *found)

    def _variance(self, compared: Compared, weights: Mapping[tuple[int, str], float]) -> VarianceParts | None:
        """The parts of the variance, if all trials kept which images of one test set are right."""
        if len(compared.seeds) < 2 or not self._same_images({cell for cell, _ in weights}):
            return None
        rows: list[NDArray[np.float64]] = []
        for seed in compared.seeds:
            kept = [(weight, self._right(cell, seed, metric), self._value(cell, metric, seed))
                    for (cell, metric), weight in weights.items()]  # fmt: skip
            if len({each.count if each else None for _, each, _ in kept}) > 1 or kept[0][1] is None:
                return None
            rows.append(sum(weight * _scaled(each, value) for weight, each, value in kept if each))  # type: ignore[arg-type]
        if len({len(row) for row in rows}) > 1:
            return None
        return variance_parts(np.stack(rows))

    def _same_images(self, cells: Collection[int]) -> bool:
        """Whether the settings of these cells name the same data."""
        found = [
            self.evidence.configs[trial.key].get("data")
            for trial in self.evidence.trials
            if trial.cell in cells and trial.key in self.evidence.configs
        ]
        return bool(found) and all(each == found[0] for each in found)

    def _right(self, cell: int, seed: int, metric: str) -> Correct | None:
        if (cell, seed, metric) not in self._kept:
            result = result_if_any(self.results.trial(key).result) if (key := self._keys.get((cell, seed))) else None
            kept = result.correct.get(metric) if result else None
            self._kept[cell, seed, metric] = Correct.model_validate(kept) if kept else None
        return self._kept[cell, seed, metric]

    @cached_property
    def _keys(self) -> Mapping[tuple[int, int], str]:
        return {(trial.cell, trial.seed): trial.key for trial in self.evidence.trials}


def _shared(every: Sequence[Compared]) -> dict[int, Sensitivity]:
    """The p values that share variances, by the number of the comparison: of different metrics, these are not alike."""
    found: dict[int, Sensitivity] = {}
    for metrics in {each.metrics for each in every}:
        own = {number: each for number, each in enumerate(every) if each.metrics == metrics}
        p = sensitivities([each.values for each in own.values()], [each.bound for each in own.values()])
        found |= zip(own, p, strict=True)
    return found


def _scaled(correct: Correct, value: float) -> NDArray[np.float64]:
    """1 for each image that is right, or 100 if the metric is in percent."""
    bits = np.unpackbits(np.frombuffer(correct.data, np.uint8), count=correct.count)
    percent = math.isclose(value, 100 * correct.share, rel_tol=1e-6)
    return np.asarray(bits * (100.0 if percent else 1.0), dtype=np.float64)


def weights_of(value: Callable[[Sequence[float]], float], count: int) -> tuple[list[float], float] | None:
    """The weights of `count` values and the constant of a function that is their sum; None for any other function."""
    zeros = [0.0] * count
    constant = value(zeros)
    weights = [value([*zeros[:place], 1.0, *zeros[place + 1 :]]) - constant for place in range(count)]
    for shift in (0.7, -31.0):
        at = [shift + math.sin(1 + 9 * place) for place in range(count)]
        expected = constant + math.fsum(weight * each for weight, each in zip(weights, at, strict=True))
        if not math.isclose(value(at), expected, rel_tol=1e-9, abs_tol=1e-9):
            return None
    return weights, constant
