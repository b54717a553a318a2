"""Attribution: what each part of a design contributes, as far as the cells that were run can tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from ablate.judge.combinations import Combinations, measured_combinations, shared
from ablate.judge.statistics.attribution import error_of_draws, fit, from_sample, orthogonal, pairs_of, weights
from ablate.judge.statistics.paired import t_interval
from ablate.study.schema.removal import CONTROL

if TYPE_CHECKING:
    from ablate.judge.evidence import Evidence

KINDS = {
    "shapley": "Shapley value",
    "main": "main effect",
    "removed": "effect in the full method",
    "random": "random removal in the full method",
    "added": "effect in the bare method",
    "interaction": "interaction",
}
"""The kinds of effects in words."""
_MOST_NAMED = 8
"""Cells without a result that are named."""
_DRAWN = (
    "random removals are the control of parts that remove as many items; their error is that of the choice of items"
)
_LOCAL = "only in that context"
_ALONE = "; its interactions with other parts were not measured"


@dataclass(frozen=True)
class Effect:
    """One quantity, with its value at every seed."""

    kind: str
    """One of `KINDS`."""
    parts: tuple[str, ...]
    values: tuple[float, ...]
    error: float | None = None
    """The standard error from the choice of combinations, or of random items, for those of a sample."""

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return fmean(self.values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval over seeds, by Student's t; None below 2 seeds."""
        return t_interval(self.values)

    def plain(self) -> dict[str, Any]:
        """All its numbers."""
        low, high = self.interval or (None, None)
        numbers = {"effect": self.mean, "low": low, "high": high, "seeds": len(self.values)}
        return {"kind": self.kind, "parts": list(self.parts), **numbers, "sampling_error": self.error}


@dataclass(frozen=True)
class Attribution:
    """The effects of a study's parts."""

    parts: tuple[str, ...]
    effects: tuple[Effect, ...]
    notes: tuple[str, ...]
    """What the numbers are, and what was not measured, in sentences."""
    bare: float | None
    """The mean without any part, of the seeds that all combinations share if there are any; None if it was not run."""
    full: float | None
    """The mean with all parts, of the same seeds; None if it was not run."""

    def plain(self) -> dict[str, Any]:
        """All its numbers and notes."""
        effects = [effect.plain() for effect in self.effects]
        ends = {"bare": self.bare, "full": self.full}
        return {"parts": list(self.parts), "effects": effects, **ends, "notes": list(self.notes)}

    def of(self, kind: str) -> list[Effect]:
        """The effects of a kind, in the order of the parts."""
        return [effect for effect in self.effects if effect.kind == kind]


def attribute(evidence: Evidence) -> Attribution | None:
    """The effects of the parts, the axes of two values; None without any. Without an effect, the notes say why."""
    measured = measured_combinations(evidence)
    if measured is None:
        return None
    rule = evidence.plan.rule
    kind = rule.get("kind", "factorial")
    count = len(measured.parts)
    if len(measured.values) == 2**count > 2:
        effects, notes = _exact(measured)
    elif kind in ("random", "sobol"):
        effects, notes = _sampled(measured)
    elif kind == "fractional":
        effects, notes = _contrasts(measured, rule.get("cells"))
    else:
        effects, notes = _local(measured)
        control, of_control = _random_removals(evidence, measured)
        effects += control
        notes += of_control
    notes += _missing(measured, effects)
    common = shared(measured.values.values())  # those of the effects, so that these add up
    found = [measured.values.get(end) for end in (0, measured.full)]
    ends = [fmean(each[seed] for seed in common or each) if each else None for each in found]
    return Attribution(measured.parts, tuple(effects), tuple(notes), *ends)


def _missing(measured: Combinations, effects: Sequence[Effect]) -> Iterator[str]:
    """Which results are missing, in sentences."""
    if lacking := measured.lacking:
        more = f" and {len(lacking) - _MOST_NAMED} more" if len(lacking) > _MOST_NAMED else ""
        names = ", ".join(f"'{label}'" for label in lacking[:_MOST_NAMED]) + more
        yield f"{len(lacking)} of {measured.cells} cells {'has' if len(lacking) == 1 else 'have'} no result: {names}"
    if effects and any(len(effect.values) < len(measured.seeds) for effect in effects):
        yield "some cells lack results of some seeds: each effect uses the seeds that all of its cells have"
    elif not effects and not lacking:
        yield "the cells that an effect needs were not planned, or have no seed in common"


def _sum(measured: Combinations, kind: str, parts: Sequence[int], terms: Mapping[int, float]) -> Iterator[Effect]:
    """A weighted sum over the seeds that its combinations share; nothing without a seed."""
    if not terms.keys() <= measured.values.keys():
        return
    seeds = shared(measured.values[each] for each in terms)
    found = tuple(sum(weight * measured.values[each][seed] for each, weight in terms.items()) for seed in seeds)
    if found:
        yield Effect(kind, tuple(measured.parts[part] for part in parts), found)


def _exact(measured: Combinations) -> tuple[list[Effect], list[str]]:
    seeds = shared(measured.values.values())
    if not seeds:
        return [], []
    table = np.array([[measured.values[each][seed] for seed in seeds] for each in range(measured.full + 1)])
    of = weights(len(measured.parts))
    effects = [
        Effect(kind, (part,), tuple(map(float, row @ table)))
        for kind, rows in (("shapley", of.shapley), ("main", of.main))
        for part, row in zip(measured.parts, rows, strict=True)
    ]
    for (one, two), row in zip(pairs_of(len(measured.parts)), of.pairs, strict=True):
        effects.append(
            Effect("interaction", (measured.parts[one], measured.parts[two]), tuple(map(float, row @ table)))
        )
    return effects, [
        "all combinations were run, so the values are exact apart from seed noise",
        "Shapley values add up to the difference between the full and the bare method",
    ]


def _sampled(measured: Combinations) -> tuple[list[Effect], list[str]]:
    seeds = shared(measured.values.values())
    combinations, count = list(measured.values), len(measured.parts)
    if not seeds or len(combinations) < 3:
        return [], []
    table = np.array([[measured.values[each][seed] for seed in seeds] for each in combinations])
    model, of = fit(count, combinations, table), weights(count)
    rows = [("shapley", (part,), row) for part, row in enumerate(of.shapley)]
    rows += [("main", (part,), row) for part, row in enumerate(of.main)]
    effects = []
    for kind, parts, row in rows:
        values, error = from_sample(row, combinations, table, model)
        effects.append(Effect(kind, tuple(measured.parts[part] for part in parts), tuple(map(float, values)), error))
    return effects, [
        f"estimated from {len(combinations)} of {2**count:,} combinations: the interval is over seeds, and the "
        "sampling error is the standard error from the choice of combinations",
        "interactions were not estimated",
    ]


def _contrasts(measured: Combinations, planned: int | None) -> tuple[list[Effect], list[str]]:
    """Main effects of a regular fraction: half of its combinations against the other half.

    planned: the combinations of the design. The others alone mix the effects of parts, even where each is balanced.
    """
    found, count = list(measured.values), len(measured.parts)
    effects: list[Effect] = []
    if found and len(found) == (planned or len(found)) and orthogonal(count, found):
        for part in range(count):
            terms = {each: (2 if each >> part & 1 else -2) / len(found) for each in found}
            effects += _sum(measured, "main", [part], terms)
    if not effects:
        every = f"all {planned} combinations" if planned else "all combinations"
        return [], [f"main effects need results of {every} of the fraction, at the same seeds"]
    return effects, [
        "each main effect is mixed with the interactions that `ablate plan` lists for this fraction",
        "interactions and Shapley values were not estimated; without interactions of three or more parts, and at "
        "resolution IV or higher, Shapley values equal the main effects",
    ]


def _local(measured: Combinations) -> tuple[list[Effect], list[str]]:
    """Effects within the full method and within the bare one, and interactions of two parts within the full one."""
    full, count = measured.full, len(measured.parts)
    effects: list[Effect] = []
    for part in range(count):
        effects += _sum(measured, "removed", [part], {full: 1.0, full & ~(1 << part): -1.0})
    if count == 1:
        return effects, ["a single part varies; its effect is the full method less the one without it"]
    for part in range(count):
        effects += _sum(measured, "added", [part], {1 << part: 1.0, 0: -1.0})
    pairs: list[Effect] = []
    for one, two in pairs_of(count):
        without = [full & ~(1 << one), full & ~(1 << two), full & ~(1 << one) & ~(1 << two)]
        pairs += _sum(
            measured, "interaction", [one, two], dict(zip((full, *without), (1.0, -1.0, -1.0, 1.0), strict=True))
        )
    notes = []
    if any(effect.kind == "removed" for effect in effects):
        notes.append(f"removing a part from the full method shows its effect {_LOCAL}{'' if pairs else _ALONE}")
    if any(effect.kind == "added" for effect in effects):
        notes.append(f"adding a part to the bare method shows its effect {_LOCAL}{_ALONE}")
    if count > 2 and len(pairs) == count * (count - 1) // 2:
        effects += _of_second_order(measured)
        notes.append("Shapley values hold if no three or more parts interact, which was not measured")
    elif notes:
        notes.append("therefore, main effects over all combinations and Shapley values cannot be estimated")
    return [*effects, *pairs], notes


def _random_removals(evidence: Evidence, measured: Combinations) -> tuple[list[Effect], list[str]]:
    """Of each number of items: the mean drop from the full method to the cells without as many random ones."""
    drawn: dict[str, dict[str, list[Mapping[int, float]]]] = {}
    for cell in evidence.cells if "random_removals" in evidence.plan.rule else ():
        if found := CONTROL.fullmatch(cell.case or ""):
            drawn.setdefault(found[1], {}).setdefault(found[0], []).append(cell.values(evidence.plan.metric))
    full = measured.values.get(measured.full, {})
    effects, notes = list[Effect](), list[str]()
    for size, planned in drawn.items():
        draws = [each for each in planned.values() if all(each)]  # those of all evaluations, as the full method has
        seeds = shared([full, *(values for each in draws for values in each)])
        if draws and seeds:
            drops = [[full[seed] - fmean(values[seed] for values in each) for seed in seeds] for each in draws]
            error = error_of_draws(list(map(fmean, drops)), evidence.plan.removable.get(size))
            name, means = f"{size} random items", tuple(map(fmean, zip(*drops, strict=True)))
            effects.append(Effect("random", (name,), means, error))
        if lacking := len(planned) - len(draws):
            notes.append(f"{lacking} of the {len(planned)} random removals of {size} items have no result yet")
    return effects, [_DRAWN, *notes] if effects else notes


def _of_second_order(measured: Combinations) -> Iterator[Effect]:
    """Shapley values without higher interactions: the effect of the removal less half of the part's interactions."""
    full, count = measured.full, len(measured.parts)
    for part in range(count):
        terms = {full: 1.0, full & ~(1 << part): -1.0}
        for other in (each for each in range(count) if each != part):
            one, two = full & ~(1 << part), full & ~(1 << other)
            for combination, weight in ((full, -0.5), (one, 0.5), (two, 0.5), (one & two, -0.5)):
                terms[combination] = terms.get(combination, 0.0) + weight
        yield from _sum(measured, "shapley", [part], terms)
