"""What parts contribute: against all orders of adding them, closed forms, and simulated studies."""

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablate.commands.attribute import attribute as command
from ablate.errors import UserError
from ablate.judge.attribution import Attribution, attribute
from ablate.judge.evidence import Evidence, MeasuredCell
from ablate.judge.statistics.attribution import fit, from_sample, orthogonal, pairs_of, weights
from ablate.judge.statistics.paired import t_interval
from ablate.records.plan_file import PlanAxis, PlanFile
from ablate.report.charts.attribution import attribution_figures
from ablate.study.cells.cell import Cell, Naming
from ablate.study.expansion.levels import fractional
from tests.report.charts.studied import rows
from tests.report.test_baseline import recorded


def game(count: int, seed: int = 0) -> list[float]:
    """Values of all combinations with interactions of every order."""
    return [float(each) for each in np.random.default_rng(seed).normal(50, 5, 2**count)]


def by_orders(values: list[float], count: int) -> list[float]:
    """Shapley values as their definition says: the mean marginal contribution over all orders."""
    found = [[] for _ in range(count)]  # type: list[list[float]]
    for order in itertools.permutations(range(count)):
        there = 0
        for part in order:
            found[part].append(values[there | 1 << part] - values[there])
            there |= 1 << part
    return [math.fsum(each) / math.factorial(count) for each in found]


def test_shapley_values_are_the_mean_contributions_over_all_orders() -> None:
    for count in (2, 3, 5, 6):
        values = game(count)
        found = weights(count).shapley @ np.array(values)
        assert found == pytest.approx(by_orders(values, count), abs=1e-12)
        assert math.fsum(found) == pytest.approx(values[-1] - values[0], abs=1e-11)


def test_all_effects_of_five_parts_are_those_of_another_library() -> None:
    values, of = np.array([(37 * each * each + 11 * each) % 101 for each in range(32)], float), weights(5)
    # shapiq 1.4.1, ExactComputer: "SV", "BV" and "BII" of order 2 (main effects are Banzhaf values)
    assert of.shapley @ values == pytest.approx([-3.5, 18.25, 11.25, -2.75, 19.75], abs=1e-12)
    assert of.main @ values == pytest.approx([-3.5, 5.625, -1.375, -15.375, 7.125], abs=1e-12)
    pairs = [-54.0, -7.0, -14.0, -28.0, 11.25, -2.75, -30.75, -30.75, 14.25, 3.25]
    assert of.pairs @ values == pytest.approx(pairs, abs=1e-12)


def test_main_effects_and_interactions_are_means_over_all_other_parts() -> None:
    count, values = 4, game(4, seed=2)
    of = weights(count)
    for part in range(count):
        steps = [values[each | 1 << part] - values[each] for each in range(16) if not each >> part & 1]
        assert of.main[part] @ np.array(values) == pytest.approx(math.fsum(steps) / 8, abs=1e-12)
    for (one, two), row in zip(pairs_of(count), of.pairs, strict=True):
        a, b = 1 << one, 1 << two
        grown = [values[e | a | b] - values[e | a] - values[e | b] + values[e] for e in range(16) if not e & (a | b)]
        assert row @ np.array(values) == pytest.approx(math.fsum(grown) / 4, abs=1e-12)


def test_of_a_closed_form_a_part_has_its_own_share_and_equal_shares_of_its_interactions() -> None:
    own, pair, triple = [3.0, -1.0, 0.5], {(0, 1): 2.0, (1, 2): -4.0}, 1.5
    values = []
    for each in range(8):
        there = [bool(each >> part & 1) for part in range(3)]
        value = sum(size for size, on in zip(own, there, strict=True) if on)
        value += sum(size for (one, two), size in pair.items() if there[one] and there[two])
        values.append(value + triple * all(there))
    expected = [3.0 + 1.0 + 0.5, -1.0 + 1.0 - 2.0 + 0.5, 0.5 - 2.0 + 0.5]
    assert weights(3).shapley @ np.array(values) == pytest.approx(expected, abs=1e-12)


def test_intervals_over_seeds_hold_the_true_values_at_their_level() -> None:
    random, of, true, held = np.random.default_rng(5), weights(3), np.array(game(3)), []
    rows = np.concatenate([of.shapley, of.pairs])
    for _ in range(500):
        runs = true[:, None] + random.normal(0, 2, (8, 4)) + random.normal(0, 3, 4)  # noise of each run and each seed
        for row in rows:
            low, high = t_interval([float(each) for each in row @ runs]) or (0.0, 0.0)
            held.append(low <= row @ true <= high)
    assert 0.935 < np.mean(held) < 0.965


def test_a_sample_estimates_without_bias_and_states_its_error() -> None:
    count, random = 6, np.random.default_rng(1)
    values, of = np.array(game(count, seed=4)) + 6.0 * (np.arange(64) & 1), weights(count)
    for row in (of.shapley[0], of.main[0]):
        found = []
        for _ in range(600):
            chosen = sorted(int(each) for each in random.choice(64, 32, replace=False))
            table = values[chosen][:, None]
            found.append(from_sample(row, chosen, table, fit(count, chosen, table)))
        errors = np.array([each.values[0] for each in found]) - row @ values
        assert abs(errors.mean()) < 4 * errors.std() / math.sqrt(600)
        assert np.mean([each.error for each in found]) == pytest.approx(errors.std(), rel=0.2)
    everything = list(range(64))
    whole = from_sample(of.shapley[1], everything, values[:, None], fit(count, everything, values[:, None]))
    assert whole.values[0] == pytest.approx(of.shapley[1] @ values, abs=1e-11)
    assert whole.error == 0


NAMES = ("crop", "color", "head", "blur")


def study(values: Mapping[int, Any], count: int, rule: dict[str, Any], start: bool | None = True) -> Evidence:
    """A study with these combinations; a value, or one for each seed."""
    names = NAMES[:count]
    naming = None if start is None else Naming(rule["kind"], dict.fromkeys(names, start))
    axes = tuple(PlanAxis(name, (True, False)) for name in names)
    plan = PlanFile("mine", "embedded", "d", axes, (), naming=naming, rule=rule)
    cells = []
    for combination, value in values.items():
        cell = Cell({name: bool(combination >> place & 1) for place, name in enumerate(names)})
        numbers = {seed: {"top1": each} for seed, each in enumerate(np.atleast_1d(value).tolist())}
        cells.append(MeasuredCell(cell, cell.label, cell.label, "top1", numbers, tuple(numbers)))
    return Evidence(plan, tuple(cells))


def means(found: Attribution | None, kind: str) -> dict[tuple[str, ...], float]:
    assert found is not None
    return {effect.parts: effect.mean for effect in found.of(kind)}


def test_a_factorial_has_every_effect_and_a_waterfall_that_adds_up() -> None:
    values = game(3)
    found = attribute(study(dict(enumerate(values)), 3, {"kind": "factorial"}, start=None))
    shapley = means(found, "shapley")
    assert shapley == pytest.approx(
        dict(zip(((name,) for name in NAMES), by_orders(values, 3), strict=False)), abs=1e-12
    )
    assert len(means(found, "main")) == len(means(found, "interaction")) == 3
    assert found is not None
    assert (found.bare, found.full) == (values[0], values[7])
    chart, interactions = attribution_figures(study({}, 3, {}, None), found)
    drawn = rows(chart.chart.to_dict())
    assert drawn[0]["end"] == values[0]
    assert drawn[-1]["end"] == pytest.approx(values[7])
    assert len(interactions.rows) == 3


def test_leave_one_out_and_add_one_in_have_only_effects_within_one_method_and_say_so() -> None:
    values = game(3, seed=7)
    out = attribute(study({each: values[each] for each in (7, 6, 5, 3)}, 3, {"kind": "leave_one_out"}))
    assert means(out, "removed") == pytest.approx(
        {("crop",): values[7] - values[6], ("color",): values[7] - values[5], ("head",): values[7] - values[3]}
    )
    into = attribute(study({each: values[each] for each in (0, 1, 2, 4)}, 3, {"kind": "add_one_in"}, start=False))
    assert means(into, "added") == pytest.approx(
        {("crop",): values[1] - values[0], ("color",): values[2] - values[0], ("head",): values[4] - values[0]}
    )
    for found in (out, into):
        assert found is not None
        assert {effect.kind for effect in found.effects} <= {"removed", "added"}
        assert found.notes[-1] == "therefore, main effects over all combinations and Shapley values cannot be estimated"


def test_pairs_give_shapley_values_where_no_three_parts_interact() -> None:
    own, pair = [3.0, -1.0, 0.5, 2.0], {(0, 1): 2.0, (1, 3): -4.0}
    values = [
        sum(size for part, size in enumerate(own) if each >> part & 1)
        + sum(size for (one, two), size in pair.items() if each >> one & 1 and each >> two & 1)
        for each in range(16)
    ]
    run = [15, *(15 & ~(1 << a) for a in range(4)), *(15 & ~(1 << a) & ~(1 << b) for a, b in pairs_of(4))]
    found = attribute(study({each: values[each] for each in run}, 4, {"kind": "pairs"}))
    assert list(means(found, "shapley").values()) == pytest.approx(by_orders(values, 4), abs=1e-12)
    assert means(found, "interaction")["color", "blur"] == pytest.approx(-4.0)


def test_a_fraction_has_main_effects_that_are_mixed_with_interactions() -> None:
    values = game(4, seed=3)
    run = [sum((1 - level) << part for part, level in enumerate(levels)) for levels in fractional(4, 8)]
    found = attribute(study({each: values[each] for each in run}, 4, {"kind": "fractional", "cells": 8}, None))
    expected = [sum(values[e] * (1 if e >> part & 1 else -1) for e in run) / 4 for part in range(4)]
    assert list(means(found, "main").values()) == pytest.approx(expected, abs=1e-12)
    assert found is not None
    assert "mixed with the interactions" in found.notes[0]
    assert found.of("shapley") == []


def test_an_incomplete_fraction_has_no_main_effects_and_names_what_is_missing() -> None:
    run = [sum((1 - level) << part for part, level in enumerate(levels)) for levels in fractional(4, 8)]
    values = {each: [float(each)] if each not in (0, 15) else [] for each in run}  # both ends are not run yet
    rule = {"kind": "fractional", "cells": 8}
    found = attribute(study(values, 4, rule, None))
    assert found is not None
    assert found.effects == ()
    assert found.notes[0] == "main effects need results of all 8 combinations of the fraction, at the same seeds"
    assert found.notes[1].startswith("2 of 8 cells have no result: ")
    assert attribution_figures(study(values, 4, rule, None), found) == []
    unplanned = attribute(study({each: float(each) for each in run if each not in (0, 15)}, 4, rule, None))
    assert unplanned is not None
    assert unplanned.effects == ()
    for parts in range(2, 5):  # against sums over all pairs of columns
        for combinations in (run, run[:6], run[1:], [0, 3, 5, 6], list(range(8)), [0, 15, 1, 14]):
            columns = [
                [1] * len(combinations),
                *([1 if e >> p & 1 else -1 for e in combinations] for p in range(parts)),
            ]
            pairs = itertools.combinations(columns, 2)
            expected = all(sum(a * b for a, b in zip(*pair, strict=True)) == 0 for pair in pairs)
            assert orthogonal(parts, combinations) == expected


def test_missing_seeds_are_left_out_and_told() -> None:
    values = game(2)
    uneven = attribute(study({0: [values[0]] * 3, 1: values[1], 2: [values[2]] * 2, 3: values[3]}, 2, {}, None))
    assert uneven is not None
    assert {len(effect.values) for effect in uneven.effects} == {1}
    assert uneven.effects[0].interval is None
    assert uneven.effects[0].mean == pytest.approx(by_orders(values, 2)[0])
    assert uneven.bare is not None
    assert uneven.full == pytest.approx(uneven.bare + sum(effect.mean for effect in uneven.of("shapley")))
    assert uneven.notes[-1].startswith("some cells lack results of some seeds")
    incomplete = attribute(study({0: 1.0, 1: [], 2: 2.0, 3: 3.0}, 2, {}, None))
    assert means(incomplete, "added") == {("color",): 1.0}
    assert incomplete is not None
    assert incomplete.notes[-1].startswith("1 of 4 cells has no result: ")
    for kind in ("factorial", "fractional", "random", "sobol", "leave_one_out", "pairs"):
        none = attribute(study(dict.fromkeys(range(4), ()), 2, {"kind": kind}, None))
        evidence = study(dict.fromkeys(range(4), 1.0), 2, {"kind": kind}, None)
        cells = (replace(cell, numbers={seed: {"top1": 1.0}}) for seed, cell in enumerate(evidence.cells))
        evidence = replace(evidence, cells=tuple(cells))  # each cell has another seed
        for found in (none, attribute(evidence)):
            assert found is not None
            assert found.effects == ()
            assert found.notes


def test_shapley_values_that_do_not_add_up_are_not_drawn_as_steps() -> None:
    values, run = game(4, seed=9), [0, *(15 & ~(1 << a) & ~(1 << b) for a in range(4) for b in range(4)), 15]
    evidence = study({each: values[each] for each in run}, 4, {"kind": "pairs"})
    estimated = attribute(evidence)
    assert estimated is not None
    kinds = {row["kind"] for row in rows(attribution_figures(evidence, estimated)[0].chart.to_dict())}
    assert "total" not in kinds


def test_a_random_sample_has_errors_and_values_of_seeds_that_all_cells_share() -> None:
    run = [0, 3, 5, 6, 9, 10, 12, 15]
    values = {each: [float(each), each + 2.0, each + 1.0][: 2 + (each != 5)] for each in run}
    found = attribute(study(values, 4, {"kind": "random", "cells": 8}, None))
    assert found is not None
    for part, effect in enumerate(found.of("shapley")):
        assert effect.values == pytest.approx((2.0**part, 2.0**part))  # an additive game, which the model holds
        assert effect.error == pytest.approx(0.0, abs=1e-9)


def test_the_command_prints_the_effects_with_their_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = recorded(tmp_path)
    command("mine", json=True, results=results.root)
    printed = json.loads(capsys.readouterr().out)
    assert printed["parts"] == ["color", "head"]
    (color,) = (each for each in printed["effects"] if each["parts"] == ["color"])
    assert (color["kind"], color["effect"], color["seeds"]) == ("removed", pytest.approx(10.375), 4)
    command("mine", results=results.root)
    assert "effect in the full method\tcolor\t10.375\t" in capsys.readouterr().out


def test_a_study_without_parts_is_told_so(tmp_path: Path) -> None:
    results = recorded(
        tmp_path, axes=[{"name": "color", "values": [1, 2, 3]}, {"name": "head", "values": [True]}], naming=None
    )
    with pytest.raises(UserError, match="a part is an axis of two values"):
        command("mine", results=results.root)


def test_random_removals_are_shown_beside_the_parts_with_the_error_of_their_draws() -> None:
    values = {7: [80.0, 82.0], 6: [60.0, 61.0], 5: [75.0, 77.0], 3: [79.0, 80.0]}
    drawn = {
        "random_2_1": [70.0, 74.0],
        "random_2_2": [76.0, 76.0],
        "random_2_3": [77.0, 81.0],
        "untrained": [1.0, 1.0],
    }
    evidence = study(values, 3, {"kind": "leave_one_out", "random_removals": 3})
    cells = [
        MeasuredCell(
            Cell({}, name), name, name, "top1", {seed: {"top1": each} for seed, each in enumerate(top1)}, (0, 1)
        )
        for name, top1 in drawn.items()
    ]
    evidence = replace(evidence, cells=(*evidence.cells, *cells))
    found = attribute(evidence)
    assert found is not None
    (control,) = found.of("random")
    assert control.parts == ("2 random items",)
    assert control.values == pytest.approx(((10 + 4 + 3) / 3, (8 + 6 + 1) / 3))
    assert control.error == pytest.approx(np.std([9.0, 5.0, 2.0], ddof=1) / math.sqrt(3))
    (figure,) = attribution_figures(evidence, found)
    bars = rows(figure.chart.to_dict())
    assert [(bar["label"], bar["kind"]) for bar in bars] == [
        ("crop", "up"), ("color", "up"), ("head", "up"), ("2 random items", "random"),
    ]  # fmt: skip
    assert bars[-1]["end"] == pytest.approx(16 / 3)
    assert any("control of parts" in note for note in found.notes)
    without = attribute(study(values, 3, {"kind": "leave_one_out"}))
    assert without is not None
    assert without.of("random") == []
    assert not any("control of parts" in note for note in without.notes)


@pytest.mark.parametrize("values", [(0, 1), (1, 0), (0.0, 1.0), (False, True)])
def test_of_0_and_1_the_part_is_there_with_1_in_either_order(values: tuple[Any, Any]) -> None:
    evidence = study({0: 50.0, 1: 58.0, 2: 51.0, 3: 60.0}, 2, {"kind": "factorial"}, start=None)
    axes = tuple(replace(axis, values=values) for axis in evidence.plan.axes)
    cells = [
        replace(each, cell=Cell({name: type(values[0])(value) for name, value in each.axes.items()}))
        for each in evidence.cells
    ]
    found = attribute(Evidence(replace(evidence.plan, axes=axes), tuple(cells)))
    assert means(found, "main") == {(NAMES[0],): 8.5, (NAMES[1],): 1.5}
    assert found is not None
    assert (found.bare, found.full) == (50.0, 60.0)


def _removals(drops: list[float], possible: int) -> Evidence:
    """Two parts, and random removals of two items that lower 80 by so much."""
    evidence = study({3: 80.0, 2: 60.0, 1: 75.0}, 2, {"kind": "leave_one_out", "random_removals": len(drops)})
    cells = [
        MeasuredCell(Cell({}, name), name, name, "top1", {0: {"top1": 80 - drop}}, (0,))
        for name, drop in ((f"random_2_{number + 1}", drop) for number, drop in enumerate(drops))
    ]
    return Evidence(replace(evidence.plan, removable={"2": possible}), (*evidence.cells, *cells))


@pytest.mark.parametrize("count", [2, 3, 6, 7])
def test_over_all_draws_of_random_removals_the_squared_error_is_on_average_the_variance_of_their_mean(
    count: int,
) -> None:
    every = [3.0, -1.0, 4.0, 1.5, 9.0, 2.0, 6.0]
    means, squares = [], []
    for drops in itertools.combinations(every, count):
        found = attribute(_removals(list(drops), len(every)))
        assert found is not None
        (control,) = found.of("random")
        assert control.error is not None
        means.append(control.mean)
        squares.append(control.error**2)
    assert np.mean(squares) == pytest.approx(np.var(means), abs=1e-12)
    assert np.mean(means) == pytest.approx(np.mean(every))


def test_a_damaged_plan_with_more_draws_than_can_be_drawn_has_no_error_of_draws() -> None:
    found = attribute(_removals([1.0, 2.0, 4.0], 2))
    assert found is not None
    assert [effect.error for effect in found.of("random")] == [0.0]


def test_a_single_part_has_an_effect_beside_its_control() -> None:
    evidence = study({1: [80.0, 82.0], 0: [70.0, 71.0]}, 1, {"kind": "leave_one_out", "random_removals": 1})
    values = {0: {"top1": 79.0}, 1: {"top1": 80.0}}
    drawn = MeasuredCell(Cell({}, "random_2_1"), "one", "one", "top1", values, (0, 1))
    evidence = replace(evidence, cells=(*evidence.cells, drawn))
    found = attribute(evidence)
    assert found is not None
    assert [(effect.kind, effect.values) for effect in found.effects] == [
        ("removed", (10.0, 11.0)), ("random", (1.0, 2.0)),
    ]  # fmt: skip
    assert (found.bare, found.full) == (70.5, 81.0)
    (figure,) = attribution_figures(evidence, found)
    assert figure.summary == "Largest: crop +10.5."


def test_a_random_removal_that_lacks_one_of_its_cells_is_no_draw_and_is_counted() -> None:
    values = {7: [80.0, 82.0], 6: [60.0, 61.0], 5: [75.0, 77.0], 3: [79.0, 80.0]}
    evidence = study(values, 3, {"kind": "leave_one_out", "random_removals": 2})
    cells = [
        MeasuredCell(
            Cell({"evaluation": on}, name), name, name, "top1", {seed: {"top1": each} for seed, each in found}, (0, 1)
        )
        for name, on, found in (
            ("random_2_1", "knn", [(0, 70.0), (1, 74.0)]),
            ("random_2_1", "linear", []),
            ("random_2_2", "knn", [(0, 75.0), (1, 75.0)]),
            ("random_2_2", "linear", [(0, 77.0), (1, 77.0)]),
        )
    ]
    found = attribute(replace(evidence, cells=(*evidence.cells, *cells)))
    assert found is not None
    (control,) = found.of("random")
    assert control.values == pytest.approx((4.0, 6.0))
    assert control.error is None
    assert "1 of the 2 random removals of 2 items have no result yet" in found.notes
    none = attribute(replace(evidence, cells=(*evidence.cells, cells[1])))
    assert none is not None
    assert none.of("random") == []
    assert "1 of the 1 random removals of 2 items have no result yet" in none.notes
