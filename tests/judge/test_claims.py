"""What each kind of claim compares, with differences that were computed by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ablate.judge.answer import NotMeasured
from ablate.judge.evidence import MeasuredCell
from ablate.judge.statistics.decide import Decision, decide, decide_sequentially
from ablate.judge.statistics.formula import Joint, Leaf, effect, holds, unit_of
from ablate.judge.statistics.paired import t_tests
from ablate.study.claims import Claim
from tests.judge.claimed import Axes, ask, claim, grid, leaves, measured, reason

PAIRS: Axes = {"first": ["crop", "color", "blur"], "second": ["crop", "color", "blur"]}
PAIR_VALUES = {
    ("crop", "crop"): [33, 34],
    ("crop", "color"): [56, 58],
    ("crop", "blur"): [35, 35],
    ("color", "crop"): [55, 56],
    ("color", "color"): [19, 18],
    ("color", "blur"): [17, 16],
    ("blur", "crop"): [34, 34],
    ("blur", "color"): [20, 19],
    ("blur", "blur"): [3, 2],
}
HEADS: Axes = {"head": ["nonlinear", "linear", "none"], "dimension": [32, 64]}
HEAD_VALUES = {
    ("nonlinear", 32): [64, 65],
    ("nonlinear", 64): [66, 65],
    ("linear", 32): [60, 62],
    ("linear", 64): [61, 61],
    ("none",): [50, 51],
}


def heads() -> list[MeasuredCell]:
    """Two heads at two dimensions, and none, which has no dimension."""
    cells = grid(HEADS, {place: value for place, value in HEAD_VALUES.items() if len(place) == 2})
    none = measured({"head": "none"}, None, "none", 2, {0: {"top1": 50.0}, 1: {"top1": 51.0}})
    return [*cells, none]


def test_the_best_of_two_cells_is_one_of_them_above_every_other() -> None:
    best = claim("best", best="first == 'crop' and second == 'color' or first == 'color' and second == 'crop'")
    formula = ask(best, grid(PAIRS, PAIR_VALUES), PAIRS)
    assert isinstance(formula, Joint)
    assert formula.needed == 1
    assert [len(part.parts) for part in formula.parts if isinstance(part, Joint)] == [7, 7]
    assert leaves(formula)["crop, color - crop, blur"] == ((21, 23), 0.0)
    assert holds(formula)


def test_the_best_of_one_cell_is_it_above_every_other() -> None:
    formula = ask(claim("best", best="first == 'blur' and second == 'blur'"), grid(PAIRS, PAIR_VALUES), PAIRS)
    assert isinstance(formula, Joint)
    assert formula.needed == len(formula.parts)
    assert len(formula.parts) == 8
    assert not holds(formula)


def test_a_condition_on_the_cells_leaves_the_others_out() -> None:
    best = claim("best", best="first == 'crop'", cells="first == second")
    assert leaves(ask(best, grid(PAIRS, PAIR_VALUES), PAIRS)) == {
        "crop, crop - color, color": ((14, 16), 0.0),
        "crop, crop - blur, blur": ((30, 32), 0.0),
    }


def test_greater_compares_means_seed_by_seed_and_names_the_conditions() -> None:
    greater = claim("greater", left="head == 'nonlinear'", right="head == 'linear'", margin=3)
    told = "head == 'nonlinear' - head == 'linear'"
    assert leaves(ask(greater, heads(), HEADS)) == {told: ((65 - 60.5, 65 - 61.5), 3.0)}


def test_greater_at_each_value_of_an_axis_is_one_comparison_a_value() -> None:
    greater = claim("greater", left="head == 'nonlinear'", right="head == 'linear'", each=["dimension"])
    assert leaves(ask(greater, heads(), HEADS)) == {
        "nonlinear, dimension 32 - linear, dimension 32": ((4, 3), 0.0),
        "nonlinear, dimension 64 - linear, dimension 64": ((5, 4), 0.0),
    }


def test_a_cell_that_lacks_an_axis_stands_at_each_of_its_values() -> None:
    greater = claim("greater", left="head == 'nonlinear'", right="head == 'none'", each=["dimension"])
    assert leaves(ask(greater, heads(), HEADS)) == {
        "nonlinear, dimension 32 - none": ((14, 14), 0.0),
        "nonlinear, dimension 64 - none": ((16, 14), 0.0),
    }


def test_groups_of_several_cells_are_named_with_their_axis() -> None:
    greater = claim("greater", left="first == 'crop'", right="first != 'crop'", each=["second"])
    told = "crop, color - first != 'crop' at second color"
    assert leaves(ask(greater, grid(PAIRS, PAIR_VALUES), PAIRS))[told] == ((56 - 19.5, 58 - 18.5), 0.0)


def test_greater_with_every_compares_each_cell_with_each() -> None:
    greater = claim("greater", left="head == 'nonlinear'", right="head == 'linear'", every=True)
    assert len(leaves(ask(greater, heads(), HEADS))) == 4


def test_a_margin_counts_at_the_papers_scale_only_unless_it_is_below_zero() -> None:
    for margin, elsewhere in ((3.0, 0.0), (-1.0, -1.0)):
        greater = claim("greater", left="head == 'nonlinear'", right="head == 'linear'", margin=margin)
        ((_, at_paper),) = leaves(ask(greater, heads(), HEADS)).values()
        ((_, here),) = leaves(ask(greater, heads(), HEADS, at_paper_scale=False)).values()
        assert (at_paper, here) == (margin, elsewhere)


def test_an_equivalence_keeps_its_margin_at_every_scale() -> None:
    same = claim("equivalent", margin=1.5, cells="head == 'nonlinear'")
    for at_paper_scale in (True, False):
        assert leaves(ask(same, heads(), HEADS, at_paper_scale=at_paper_scale)) == {
            "nonlinear, dimension 32 - nonlinear, dimension 64": ((-2, 0), -1.5),
            "nonlinear, dimension 64 - nonlinear, dimension 32": ((2, 0), -1.5),
        }


def test_an_equivalence_of_two_sides_is_one_of_their_means() -> None:
    same = claim("equivalent", margin=5, left="head == 'nonlinear'", right="head == 'linear'")
    assert [leaf[0] for leaf in leaves(ask(same, heads(), HEADS)).values()] == [(4.5, 3.5), (-4.5, -3.5)]


def test_any_two_cells_are_compared_within_a_group_only() -> None:
    same = claim("equivalent", margin=5, each=["head"], cells="head != 'none'")
    assert set(leaves(ask(same, heads(), HEADS))) == {
        "nonlinear, dimension 32 - nonlinear, dimension 64",
        "nonlinear, dimension 64 - nonlinear, dimension 32",
        "linear, dimension 32 - linear, dimension 64",
        "linear, dimension 64 - linear, dimension 32",
    }


def test_monotone_compares_each_value_with_the_next_in_the_order_of_the_file() -> None:
    axes: Axes = {"strength": ["1/8", "1/4", "1"]}
    cells = grid(axes, {("1/8",): [59, 60], ("1/4",): [61, 60], ("1",): [63, 64]})
    assert leaves(ask(claim("monotone", along="strength"), cells, axes)) == {
        "1/4 - 1/8": ((2, 0), 0.0),
        "1 - 1/4": ((2, 4), 0.0),
    }
    down = leaves(ask(claim("monotone", along="strength", direction="down"), cells, axes))
    assert down == {"1/8 - 1/4": ((-2, 0), 0.0), "1/4 - 1": ((-2, -4), 0.0)}


def test_monotone_averages_the_other_axes_or_holds_at_each_of_their_values() -> None:
    cells = [cell for cell in heads() if cell.axes["head"] != "none"]
    rises = leaves(ask(claim("monotone", along="dimension"), cells, HEADS))
    assert rises == {"dimension 64 - dimension 32": ((1.5, -0.5), 0.0)}
    each = leaves(ask(claim("monotone", along="dimension", each=["head"]), cells, HEADS))
    assert each == {
        "nonlinear, dimension 64 - nonlinear, dimension 32": ((2, 0), 0.0),
        "linear, dimension 64 - linear, dimension 32": ((1, -1), 0.0),
    }


def test_a_step_of_an_incomplete_grid_is_taken_where_both_ends_are() -> None:
    axes: Axes = {"depth": [18, 50], "width": [1, 2]}
    cells = grid(axes, {(18, 1): [50], (50, 1): [64], (50, 2): [70]})
    assert leaves(ask(claim("monotone", along="depth"), cells, axes)) == {
        "depth 50, width 1 - depth 18, width 1": ((14,), 0.0)
    }


def test_a_gap_that_closes_is_the_gap_before_less_the_gap_after() -> None:
    axes: Axes = {"batch": [256, 8192], "epochs": [100, 200, 400]}
    low, high = [57, 62, 65], [65, 67, 68]
    values = {(256, epochs): [value] for epochs, value in zip(axes["epochs"], low, strict=True)}
    values |= {(8192, epochs): [value] for epochs, value in zip(axes["epochs"], high, strict=True)}
    closing = claim("closing_gap", left="batch == 8192", right="batch == 256", along="epochs", margin=1)
    assert leaves(ask(closing, grid(axes, values), axes)) == {
        "gap at epochs 100 - gap at epochs 200": ((3,), 1.0),
        "gap at epochs 200 - gap at epochs 400": ((2,), 1.0),
    }


def test_rank_correlation_is_of_the_means_of_the_cells_that_the_paper_has() -> None:
    axes: Axes = {"size": [1, 2, 3, 4]}
    cells = grid(axes, {(1,): [10, 30, 10], (2,): [20, 20, 30], (3,): [30, 29, 20], (4,): [0, 0, 0]})
    formula = ask(claim("rank_correlation", at_least=0.5), cells, axes, paper=(1, 2, 3))
    assert isinstance(formula, Leaf)
    assert (formula.label, formula.bound) == ("rank correlation with the paper", 0.5)
    assert effect(formula) == pytest.approx(1.0)  # of 16.7, 23.3, 26.3, though single seeds have 1, -0.5 and 0.5


def test_rank_correlation_by_an_axis_is_of_its_means() -> None:
    cells = grid(PAIRS, PAIR_VALUES)
    formula = ask(claim("rank_correlation", at_least=0.5, by="first"), cells, PAIRS, paper=(3, 3, 3, 2, 2, 2, 1, 1, 1))
    assert isinstance(formula, Leaf)
    assert formula.label == "rank correlation with the paper of means by first"
    assert effect(formula) == pytest.approx(1.0)


def test_a_share_is_that_more_than_so_many_cells_are_above_all_their_rivals() -> None:
    rivals = [{"second": "first"}, {"first": "second"}]
    cells = grid(PAIRS, PAIR_VALUES)
    most = ask(claim("share", rivals=rivals, cells="first != second", at_least=0.5), cells, PAIRS)
    assert isinstance(most, Joint)
    assert (most.count, most.needed) == (6, 4)
    assert [holds(part) for part in most.parts] == [True, True, True, False, True, True]  # all but color, blur
    every = ask(claim("share", rivals=rivals, cells="first != second", at_least=1), cells, PAIRS)
    assert isinstance(every, Joint)
    assert (every.count, every.needed) == (6, 6)
    assert len(leaves(every)) == 12
    assert leaves(every)["color, blur - color, color"] == ((-2, -2), 0.0)


@pytest.mark.parametrize(("share", "needed"), [(0, 1), (0.3, 4), (1 / 3, 4), (0.95, 10), (1, 10)])
def test_a_share_of_ten_is_exceeded_by_the_next_whole_number(share: float, needed: int) -> None:
    axes: Axes = {"head": ["a", "b"], "size": list(range(10))}
    cells = grid(axes, {(head, size): [1.0] for head in "ab" for size in range(10)})
    formula = ask(claim("greater", left="head == 'a'", right="head == 'b'", each=["size"], at_least=share), cells, axes)
    assert isinstance(formula, Joint)
    assert formula.needed == needed


def test_symmetry_is_the_root_of_the_mean_squared_change_without_what_noise_adds() -> None:
    formula = ask(claim("symmetric", axes=["first", "second"], margin=2), grid(PAIRS, PAIR_VALUES), PAIRS)
    assert isinstance(formula, Leaf)
    assert formula.label == "2 - change (root mean square) by swapping first and second"
    changes = [(1, 2), (1, 1), (-3, -3)]  # of color, crop; blur, crop; blur, color at either seed
    assert formula.shown(effect(formula)) == pytest.approx(2 - (sum(one * two for one, two in changes) / 3) ** 0.5)


def test_the_symmetry_of_one_pair_is_an_equivalence() -> None:
    values = {place: PAIR_VALUES[place] for place in (("crop", "color"), ("color", "crop"), ("crop", "crop"))}
    assert leaves(ask(claim("symmetric", axes=["first", "second"], margin=2), grid(PAIRS, values), PAIRS)) == {
        "crop, color - color, crop": ((1, 2), -2),
        "color, crop - crop, color": ((-1, -2), -2),
    }


def test_the_best_of_an_error_is_the_lowest() -> None:
    axes: Axes = {"degree": [1, 3, 5]}
    cells = grid(axes, {(1,): [0.9], (3,): [0.1], (5,): [0.2]}, metric="error")
    formula = ask(claim("best", best="degree == 3", metric="error", margin=0.05, lowest=True), cells, axes)
    assert leaves(formula) == {"degree 1 - degree 3": ((0.8,), 0.05), "degree 5 - degree 3": ((0.1,), 0.05)}
    assert not isinstance(formula, NotMeasured)
    assert holds(formula)


def test_limits_are_of_each_cell() -> None:
    axes: Axes = {"size": [1, 2]}
    cells = grid(axes, {(1,): [90], (2,): [95]})
    assert leaves(ask(claim("at_least", value=92), cells, axes)) == {
        "size 1 - 92": ((-2,), 0.0),
        "size 2 - 92": ((3,), 0.0),
    }
    assert leaves(ask(claim("at_most", value=92), cells, axes)) == {
        "92 - size 1": ((2,), 0.0),
        "92 - size 2": ((-3,), 0.0),
    }


def test_a_value_is_near_the_published_one_and_at_the_papers_scale_only() -> None:
    axes: Axes = {"size": [1, 2]}
    cells = grid(axes, {(1,): [69], (2,): [74]})
    value = claim("value", margin=0.5)
    assert leaves(ask(value, cells, axes, paper=(69.3,))) == {
        "size 1 - published 69.3": ((-0.3,), -0.5),
        "published 69.3 - size 1": ((0.3,), -0.5),
    }
    assert "only be reproduced at the paper's scale" in reason(
        ask(value, cells, axes, paper=(69.3,), at_paper_scale=False)
    )


def test_parts_share_the_claims_cells_and_each_comparison_has_the_seeds_of_its_own() -> None:
    cells = heads()
    cells[0] = measured(cells[0].axes, None, cells[0].label, 3, {1: {"top1": 65.0}, 2: {"top1": 1.0}})
    both = claim(
        "all",
        cells="head == 'nonlinear'",
        parts=[
            {"kind": "at_least", "value": 60},
            {"kind": "any", "cells": "head == 'linear'", "parts": [{"kind": "at_most", "value": 70}]},
        ],
    )
    assert leaves(ask(both, cells, HEADS)) == {
        "nonlinear, dimension 32 - 60": ((5, -59), 0.0),
        "nonlinear, dimension 64 - 60": ((6, 5), 0.0),
        "70 - linear, dimension 32": ((10, 8), 0.0),
        "70 - linear, dimension 64": ((9, 9), 0.0),
    }


def test_a_case_is_compared_where_it_is_named_and_nowhere_else() -> None:
    cells = [*heads(), measured({}, "untrained", "untrained encoder", 1, {0: {"top1": 9.0}})]
    above = claim("greater", left="head == 'none'", right="case == 'untrained'")
    assert leaves(ask(above, cells, HEADS)) == {"none - untrained encoder": ((41,), 0.0)}
    best = leaves(ask(claim("best", best="head == 'none'"), cells, HEADS))
    assert len(best) == 4
    with_case = leaves(ask(claim("best", best="head == 'none'", cells="case != 'other'"), cells, HEADS))
    assert len(with_case) == 5


def test_a_claim_on_a_number_of_its_own_is_asked_of_that() -> None:
    axes: Axes = {"size": [1, 2]}
    cells = grid(axes, {(1,): [0.5], (2,): [0.7]}, metric="entropy")
    rises = claim("monotone", along="size", metric="entropy")
    assert leaves(ask(rises, cells, axes)) == {"size 2 - size 1": ((0.2,), 0.0)}
    assert reason(ask(claim("monotone", along="size", metric="entropi"), cells, axes)) == (
        "no trial returned 'entropi'; did you mean 'entropy'?"
    )


def test_two_numbers_of_the_same_cells_are_compared_cell_by_cell_or_by_their_means() -> None:
    axes: Axes = {"target": ["color", "rotation"]}
    cells = [
        measured({"target": target}, None, target, 1, {0: {"h": h, "z": z}})
        for target, h, z in (("color", 99.0, 97.0), ("rotation", 68.0, 26.0))
    ]
    keeps = claim("greater", metric="h", right_metric="z", each=["target"])
    assert leaves(ask(keeps, cells, axes)) == {"color: h - z": ((2,), 0.0), "rotation: h - z": ((42,), 0.0)}
    assert leaves(ask(claim("greater", metric="h", right_metric="z"), cells, axes)) == {
        "all cells: h - z": ((22,), 0.0)
    }
    near = claim(
        "equivalent", metric="h", right_metric="z", margin=5, left="target == 'color'", right="target != 'color'"
    )
    assert leaves(ask(near, cells, axes)) == {
        "color, h - rotation, z": ((73,), -5.0),
        "rotation, z - color, h": ((-73,), -5.0),
    }


@pytest.mark.parametrize("at_paper_scale", [True, False])
def test_no_worse_allows_a_loss_up_to_the_margin_at_every_scale(at_paper_scale: bool) -> None:
    no_worse = claim("no_worse", left="head == 'linear'", right="head == 'nonlinear'", margin=5)
    formula = ask(no_worse, heads(), HEADS, at_paper_scale=at_paper_scale)
    assert leaves(formula) == {"head == 'linear' - head == 'nonlinear'": ((-4.5, -3.5), -5.0)}
    assert holds(formula)
    lowest = claim("no_worse", left="head == 'linear'", right="head == 'nonlinear'", margin=5, lowest=True)
    ((differences, bound),) = leaves(ask(lowest, heads(), HEADS)).values()
    assert (differences, bound) == ((4.5, 3.5), -5.0)


def test_two_metrics_correlate_by_the_ranks_of_their_means() -> None:
    axes: Axes = {"epochs": [10, 20, 30, 40]}
    cells = [
        measured({"epochs": epochs}, None, str(epochs), 1, {0: {"top1": linear, "finetuned": tuned}})
        for epochs, linear, tuned in ((10, 50.0, 70.0), (20, 55.0, 60.0), (30, 56.0, 80.0), (40, 70.0, 90.0))
    ]
    formula = ask(claim("correlates", right_metric="finetuned", at_least=0.5), cells, axes)
    assert isinstance(formula, Leaf)
    assert effect(formula) == pytest.approx(1 - 6 * 2 / (4 * 15))  # Spearman's formula without ties
    assert (
        reason(ask(claim("correlates", right_metric="top1"), cells, axes))
        == "right_metric is the claim's own metric, top1"
    )


CONSTANT = [
    claim("best", best="first == 'crop'"),
    claim("monotone", along="second"),
    claim("closing_gap", left="first == 'crop'", right="first == 'color'", along="second"),
    claim("greater", left="first == 'crop'", right="first == 'color'"),
    claim("greater", right_metric="other"),
    claim("equivalent", left="first == 'crop'", right="first == 'color'", margin=1),
    claim("no_worse", left="first == 'crop'", right="first == 'color'", margin=1),
    claim("contributes", part="first", cells="first != 'blur'", every=True),
    claim("contributes", part="first", cells="first != 'blur'"),
    claim("interacts", axes=["first", "second"], cells="first != 'blur' and second != 'blur'", direction="either"),
    claim("rank_correlation", at_least=0.5),
    claim("correlates", right_metric="other"),
    claim("share", rivals=[{"second": "first"}], cells="first != second", at_least=0.5),
    claim("symmetric", axes=["first", "second"], margin=2),
    claim("at_least", value=1),
    claim("at_most", value=1),
    claim("value", margin=0.5),
]


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_values_that_are_all_equal_make_no_kind_fail(seeds: int) -> None:
    cells = [
        replace(each, numbers={seed: {"top1": 1.0, "other": 1.0} for seed in range(seeds)}, asked=tuple(range(seeds)))
        for each in grid(PAIRS, PAIR_VALUES)
    ]
    assert {each.kind for each in CONSTANT} == Claim.kinds().keys() - {"all", "any"}
    asked = {
        f"{each.kind} {number}": ask(each, cells, PAIRS, paper=range(1, 10)) for number, each in enumerate(CONSTANT)
    }
    correlations = {name: each for name, each in asked.items() if isinstance(each, NotMeasured)}
    assert [name.split()[0] for name in correlations] == ["rank_correlation", "correlates"]
    formulas = {name: each for name, each in asked.items() if not isinstance(each, NotMeasured)}
    for decisions in (decide(formulas), decide_sequentially(formulas)):
        assert all(math.isfinite(each.effect) for each in decisions.values())
        assert decisions["greater 3"].state == "undecided"


def test_a_correlation_with_a_constant_is_not_defined() -> None:
    axes: Axes = {"size": ["s", "m", "l", "xl"]}
    cells = grid(axes, {("s",): [1, 2, 1, 2], ("m",): [3, 4, 4, 3], ("l",): [6, 5, 6, 5], ("xl",): [8, 9, 8, 9]})
    with_other = [
        replace(each, numbers={seed: {**numbers, "other": 1.0} for seed, numbers in each.numbers.items()})
        for each in cells
    ]
    correlates = claim("correlates", right_metric="other")
    assert reason(ask(correlates, with_other, axes)) == (
        "the rank correlation of top1 with other is not defined: the second metric is the same in all cells"
    )
    one_of = claim("any", parts=[{"kind": "correlates", "right_metric": "other"}, {"kind": "at_least", "value": 0}])
    formula = ask(one_of, with_other, axes)  # the other part decides
    assert not isinstance(formula, NotMeasured)
    assert decide({"A1": formula})["A1"].state == "supported"
    equal = [replace(each, numbers={seed: {"top1": 1.0} for seed in each.numbers}) for each in cells]
    assert reason(ask(claim("rank_correlation", at_least=0), equal, axes, paper=(1, 2, 3, 4))) == (
        "the rank correlation with the paper is not defined: the measured values are the same in all cells"
    )


@pytest.mark.parametrize("unit", [2.0**-3, 2.0**-40, 2.0**-200, 2.0**90])
def test_a_verdict_does_not_depend_on_the_unit_of_the_metric(unit: float) -> None:
    """As for the error of a solver, which may be 1e-10. The units are powers of 2, which round nothing."""
    random = np.random.default_rng(3)
    noise = {place: random.normal(scale=2, size=(4, 2)) for place in PAIR_VALUES}

    def decided(unit: float) -> dict[str, Decision]:
        cells = [
            replace(each, numbers={seed: {"top1": unit * (PAIR_VALUES[place][0] + own), "other": unit * other}
                                   for seed, (own, other) in enumerate(noise[place])}, asked=tuple(range(4)))
            for each, place in zip(grid(PAIRS, PAIR_VALUES), PAIR_VALUES, strict=True)
        ]  # fmt: skip
        sizes = [name for each in CONSTANT for name in ("margin", "value") if hasattr(each, name)]
        asked = [
            each.model_copy(update={name: unit * getattr(each, name) for name in sizes if hasattr(each, name)})
            for each in CONSTANT
        ]
        paper = [unit * values[1] for values in PAIR_VALUES.values()]
        formulas = {str(number): ask(each, cells, PAIRS, paper=paper) for number, each in enumerate(asked)}
        return decide({name: each for name, each in formulas.items() if not isinstance(each, NotMeasured)})

    expected, found = decided(1.0), decided(unit)
    assert len({each.state for each in expected.values()}) == 3
    for name, each in expected.items():
        assert (found[name].state, found[name].more_seeds) == (each.state, each.more_seeds), name
        assert found[name].p == pytest.approx(each.p, rel=1e-9), name


def test_rounding_is_no_difference_however_small_the_values_are() -> None:
    alike = [(70.1e-10 - 60.1e-10), (50.3e-10 - 40.3e-10), (10.1e-10 - 0.1e-10)]
    leaf = Leaf("errors", tuple(alike), bound=1e-9, unit=unit_of([[70.1e-10]]))
    assert len(set(alike)) > 1
    assert not holds(leaf)
    assert t_tests([leaf, replace(leaf, bound=0.9e-9)]) == [1.0, 1 / 8]


@pytest.mark.parametrize("kind", ["greater", "equivalent", "no_worse"])
def test_cells_are_not_compared_with_themselves(kind: str) -> None:
    margin = {} if kind == "greater" else {"margin": 1}
    one, two = "head == 'none'", "head not in ['linear', 'nonlinear']"
    assert reason(ask(claim(kind, left=one, right=two, **margin), heads(), HEADS)) == (
        f"{one} and {two} are the same cells"
    )


def test_comparisons_of_two_parts_that_would_have_one_label_name_the_cells_of_their_part() -> None:
    sides = {"kind": "greater", "left": "first == 'crop'", "right": "first == 'blur'"}
    cells = ("second != 'crop'", "second != 'color'")
    both = claim("all", parts=[{**sides, "cells": each} for each in cells])
    label = "first == 'crop' - first == 'blur'"
    assert set(leaves(ask(both, grid(PAIRS, PAIR_VALUES), PAIRS))) == {f"{label} ({each})" for each in cells}
    one = claim("all", parts=[{**sides, "cells": cells[0]}])
    assert set(leaves(ask(one, grid(PAIRS, PAIR_VALUES), PAIRS))) == {label}
