"""Checks of `[design]`, and of axes that remove items of a list."""

import math
from collections.abc import Iterator, Sequence

from ablate.errors import nearest, value_text
from ablate.study.cells.cell import value_key
from ablate.study.expansion.combinations import Factor, combines, sizes_of
from ablate.study.expansion.levels import MOST_WORDS
from ablate.study.schema.design import RANDOM_REMOVALS, SAMPLED, SEEDED, TWO_VALUED, DesignTable
from ablate.study.schema.removal import CONTROL
from ablate.study.schema.study import Study, axes_of
from ablate.study.toml.problems import Problems


def check_design(study: Study) -> Problems:
    """Problems of `[design]`: keys that its kind does not have, names and values that do not exist, sizes."""
    yield from _removals(study)
    rule = study.design
    if rule is None:
        return
    for number, name in enumerate(rule.axes or ()):
        if name not in study.all_axes:
            message = f"design.axes: '{name}' is not an axis{nearest(name, study.all_axes)}"
            yield message, ("design", "axes", number), f"axes are: {', '.join(study.all_axes)}"
            return
    yield from _keys(rule)
    yield from _control(study, rule)
    yield from _baseline(study, rule)
    for profile, values in (("", {}), *((name, overrides.axes) for name, overrides in study.profile.items())):
        where = f" at profile {profile}" if profile else ""
        factors: list[Factor] = [
            {name: list(values.get(name, axis.names)) for name, axis in factor.items()}
            for factor in study.factors
            if combines(rule, factor)
        ]
        problems = list(_sizes(rule, factors))
        yield from ((f"{message}{where}", key, help) for message, key, help in problems)
        if problems:
            return


def _removals(study: Study) -> Problems:
    for key, name, axis in axes_of(study):
        if axis.remove is not None and {value_key(value) for value in axis.names} != {("bool", True), ("bool", False)}:
            removed = ", ".join(map(value_text, axis.remove))
            message = f"the axis '{name}' removes {removed}: its values are true and false"
            yield message, (*key, "values"), "leave out values"


def _keys(rule: DesignTable) -> Problems:
    if rule.kind in SAMPLED and rule.cells is None:
        yield f"design: kind = '{rule.kind}' needs the number of cells", ("design", "kind"), "for example cells = 8"
    wrong = {
        "cells": (rule.cells is not None and rule.kind not in SAMPLED, SAMPLED),
        "seed": (rule.seed is not None and rule.kind not in SEEDED and not rule.random_removals, SEEDED),
        "random_removals": (rule.random_removals is not None and rule.kind != "leave_one_out", {"leave_one_out"}),
        "baseline": (bool(rule.baseline) and rule.kind != "one_at_a_time", {"one_at_a_time"}),
    }
    for key, (is_wrong, kinds) in wrong.items():
        if is_wrong:
            message = f"design.{key} has no effect with kind = '{rule.kind}'"
            yield message, ("design", key), f"kinds with it: {', '.join(sorted(kinds))}"


def _control(study: Study, rule: DesignTable) -> Problems:
    """Problems of cells without random items, which are compared with a single full method."""
    if rule.random_removals is None:
        return
    if rule.axes is not None:
        message = "design.random_removals needs a design of all axes, not of some of them"
        yield message, RANDOM_REMOVALS, "remove design.axes"
    lists = {axis.setting for axis in study.all_axes.values() if axis.remove and len(axis.remove) > 1}
    if len(lists) != 1:
        found = f"parts remove several items of {' and of '.join(sorted(lists))}" if lists else "there is none"
        message = f"design.random_removals needs parts that remove several items of one list; {found}"
        help = "of parts with one item each, the others are the control: the mean effect of removing one item"
        yield message, RANDOM_REMOVALS, None if lists else help
    if others := [name for name, axis in study.all_axes.items() if not axis.remove]:
        message = f"design.random_removals needs axes that all remove items, unlike {', '.join(others)}"
        yield message, RANDOM_REMOVALS, "put others into another study: these cells would lack their first values"
    for number, case in enumerate(study.cases):
        if CONTROL.fullmatch(case.name):
            message = f"the case '{case.name}' has the name of a cell of design.random_removals"
            yield message, ("cases", number, "name"), "rename it"


def _baseline(study: Study, rule: DesignTable) -> Problems:
    for name, value in rule.baseline.items():
        key = ("design", "baseline", name)
        axis = study.all_axes.get(name)
        if axis is None or (rule.axes is not None and name not in rule.axes):
            known = rule.axes if rule.axes is not None else list(study.all_axes)
            yield f"design.baseline: '{name}' is not an axis of the design{nearest(name, known)}", key, None
        elif value_key(value) not in {value_key(each) for each in axis.names}:
            listed = f"values are: {', '.join(map(value_text, axis.names))}"
            yield f"design.baseline.{name}: {value_text(value)} is not one of its values", key, listed


def _sizes(rule: DesignTable, factors: Sequence[Factor]) -> Problems:
    sizes = sizes_of(factors)
    for factor, size in zip(factors, sizes, strict=True):
        if rule.kind in TWO_VALUED and size != 2:
            message = f"design: kind = '{rule.kind}' needs axes of two values, but '{next(iter(factor))}' has {size}"
            yield message, ("design", "kind"), "first the value with the part, then the one without it"
            return
    if not sizes:
        yield "design: there are no axes to combine", ("design", "kind"), "add [axes]"
    elif rule.kind in SAMPLED and rule.cells is not None:
        yield from _cells(rule, rule.cells, sizes)


def _cells(rule: DesignTable, cells: int, sizes: Sequence[int]) -> Iterator[tuple[str, tuple[str, ...], str | None]]:
    key, total = ("design", "cells"), math.prod(sizes)
    if cells > total:
        yield f"design.cells = {cells}: there are only {total} combinations", key, "use kind = 'factorial' for all"
    elif rule.kind == "fractional" and (cells & (cells - 1) or cells <= len(sizes)):
        least = 2 ** math.ceil(math.log2(len(sizes) + 1))
        message = f"design.cells = {cells}: a fraction for {len(sizes)} axes has a power of 2 that is at least {least}"
        yield message, key, f"for example cells = {least}"
    elif rule.kind == "fractional" and total > cells * MOST_WORDS:
        message = f"design.cells = {cells}: that is too small a fraction of {total:,} combinations to find its aliases"
        yield message, key, f"for example cells = {total // MOST_WORDS}"
