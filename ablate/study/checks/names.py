"""Names in claims, references and the chart of a study that do not exist, and charts that cannot be drawn."""

from collections.abc import Iterable, Iterator, Sequence

from ablate.errors import UserError, nearest, toml, value_text
from ablate.paper import Row, as_number, published
from ablate.study.cells.cell import Scalar, is_number
from ablate.study.cells.condition import wrong_condition
from ablate.study.claims import Claim
from ablate.study.schema.chart import AXIS_KEYS, CASE, PARAMETERS
from ablate.study.schema.study import EVALUATION, Reference, Study
from ablate.study.toml.positions import Key
from ablate.study.toml.problems import Problems
from ablate.trainer.find import parameter_counter


def check_names(study: Study, profiles: Iterable[str]) -> Problems:
    """Problems of references, chart and claims. profiles: the existing ones."""
    yield from _references(study)
    yield from _chart(study)
    yield from _claims(study, profiles)


def _claims(study: Study, profiles: Iterable[str]) -> Problems:
    known = sorted(profiles)
    if study.paper_profile not in known and "paper_profile" in study.model_fields_set:
        message = f"paper_profile: there is no profile '{study.paper_profile}'{nearest(study.paper_profile, known)}"
        yield message, ("paper_profile",), f"profiles are: {', '.join(known)}"
    seen: set[str] = set()
    for number, claim in enumerate(study.claims):
        key: Key = ("claims", number)
        if claim.id in seen:
            yield f"there are two claims '{claim.id}'", (*key, "id"), "change the id of one of them"
        seen.add(claim.id)
        for index, profile in enumerate(claim.profiles or ()):
            if profile not in known:
                message = f"claim '{claim.id}', profiles: there is no profile '{profile}'{nearest(profile, known)}"
                yield message, (*key, "profiles", index), f"profiles are: {', '.join(known)}"
        for inner, part in _with_parts(claim, key):
            scoped = claim.cells is not None or part.cells is not None
            yield from _names_in_claim(study, claim.id, inner, part, scoped)


def _choose_two(axis: str, values: Sequence[Scalar]) -> str | None:
    if len(values) < 2:
        return None
    one, other = (repr(value) if isinstance(value, str) else toml(value) for value in values[:2])
    return f'choose two of them, for example cells = "{axis} == {one} or {axis} == {other}"'


def _names_in_claim(study: Study, id: str, key: Key, claim: Claim, scoped: bool) -> Problems:
    for name, condition in claim.conditions():
        for message in wrong_condition(condition, study.choices_and_cases):
            yield f"claim '{id}', {name}: {message}", (*key, name), None
    axes = study.choices
    for inner, axis in claim.named_axes():
        if axis not in axes:
            message = f"claim '{id}', {inner[0]}: '{axis}' is not an axis{nearest(axis, axes)}"
            yield message, (*key, *inner), f"axes are: {', '.join(axes)}"
        elif inner[0] in claim.two_valued and (len(axes[axis]) < 2 or (len(axes[axis]) > 2 and not scoped)):
            values = f"{len(axes[axis])} value{'' if len(axes[axis]) == 1 else 's'}"
            message = f"claim '{id}', {inner[0]}: '{axis}' has {values}, and the claim compares two"
            yield message, (*key, *inner), _choose_two(axis, axes[axis])


def _with_parts(claim: Claim, key: Key) -> Iterator[tuple[Key, Claim]]:
    yield key, claim
    for number, part in enumerate(claim.inner()):
        yield from _with_parts(part, (*key, "parts", number))


def _references(study: Study) -> Problems:
    """Problems of each reference: its table and columns, and the names of the study that it uses."""
    for number, reference in enumerate(study.reference):
        key: Key = ("reference", number)
        try:
            rows = published(reference.table)
        except (OSError, ValueError):  # a name that no file can have
            yield f"the paper has no table {value_text(reference.table)}", (*key, "table"), None
            continue
        except UserError as error:
            yield error.problems[0].message, (*key, "table"), error.problems[0].help
            continue
        yield from _columns(study, reference, rows, key)
        yield from _names_in_reference(study, reference, key)


def _columns(study: Study, reference: Reference, rows: list[Row], key: Key) -> Problems:
    columns, table = list(rows[0]), f"the paper's table '{reference.table}'"
    listed = f"its columns are: {', '.join(columns)}"
    for column, at in _named_columns(reference, key):
        if column not in columns:
            yield f"{table} has no column {column}{nearest(column, columns)}", at, listed
    in_table = [name for name in study.all_axes if reference.columns.get(name) is None]
    if missing := [name for name in in_table if name not in columns]:
        help = f"axis names must match the table's columns, which are: {', '.join(columns)}"
        help += f'; or set columns.{missing[0]} = "COLUMN", or = false if the table has no such column'
        yield f"{table} has no column {', '.join(missing)}", key, help
    if reference.value in columns and not any(as_number(row[reference.value]) is not None for row in rows):
        yield f"the column {reference.value} of {table} is not numeric", (*key, "value"), listed


def _named_columns(reference: Reference, key: Key) -> Iterator[tuple[str, Key]]:
    yield reference.value, (*key, "value")
    yield from ((column, (*key, "where", column)) for column in reference.where)
    for axis, column in reference.columns.items():
        if isinstance(column, str):
            yield column, (*key, "columns", axis)
    for case, values in reference.cases.items():
        yield from ((column, (*key, "cases", case, column)) for column in values)


def _names_in_reference(study: Study, reference: Reference, key: Key) -> Problems:
    choices = study.choices
    for table in ("columns", "values"):
        for axis in getattr(reference, table):
            if axis not in choices:
                message = f"reference.{table}.{axis} is not an axis of the study{nearest(axis, choices)}"
                yield message, (*key, table, axis), f"axes are: {', '.join(choices)}"
    yield from _cases_and_values(study, reference, key, choices)
    if reference.cells is not None:
        for message in wrong_condition(reference.cells, study.choices_and_cases):
            yield f"reference.cells: {message}", (*key, "cells"), None


def _cases_and_values(study: Study, reference: Reference, key: Key, choices: dict[str, list[Scalar]]) -> Problems:
    cases = [case.name for case in study.cases]
    for case in reference.cases:
        if case not in cases:
            message = f"reference.cases.{case} is not a case of the study{nearest(case, cases)}"
            help = f"cases are: {', '.join(cases)}" if cases else "the study has no cases"
            yield message, (*key, "cases", case), help
    for axis, names in reference.values.items():
        known = [value if isinstance(value, str) else toml(value) for value in choices.get(axis, [])]
        for name in names if known else ():
            if name not in known:
                message = f"reference.values.{axis}: {axis} has no value '{name}'{nearest(name, known)}"
                yield message, (*key, "values", axis, name), f"values are: {', '.join(known)}"


def _chart(study: Study) -> Problems:
    """Unknown names in the chart; if there are none, what its form does not allow, and axes that it leaves out."""
    names = list(_names_in_chart(study))
    yield from names
    if not names:
        yield from _form(study)
        yield from _left_out(study)


def _names_in_chart(study: Study) -> Problems:
    seen: dict[str, Key] = {}
    for key, name in _named_by_chart(study):
        known = list(study.choices)
        if key[1] == "x":
            known += [*([CASE] if study.cases else []), *([PARAMETERS] if parameter_counter(study.trainer) else [])]
        if name not in known:
            message = f"{_path(key)}: '{name}' is not an axis{nearest(name, known)}"
            yield message, key, f"choose from: {', '.join(known)}" if known else "the study has no axes"
        elif name in seen:
            yield f"{_path(key)}: '{name}' is already assigned to {_path(seen[name])}", key, "name it once"
        seen.setdefault(name, key)


def _named_by_chart(study: Study) -> Iterator[tuple[Key, str]]:
    for key in AXIS_KEYS:
        named = getattr(study.chart, key)
        if isinstance(named, str):
            yield ("chart", key), named
        for number, name in enumerate(named if isinstance(named, list) else ()):
            yield ("chart", key, number), name


def _form(study: Study) -> Problems:
    chart = study.chart
    if chart.y is not None and chart.form != "heatmap":
        yield "chart.y applies to heatmaps only", ("chart", "y"), 'set form = "heatmap", or use color instead of y'
    if chart.color and chart.form == "heatmap":
        yield "chart.color: a heatmap shows the value by color", ("chart", "color"), "assign the axis to x, y or facet"
    if chart.x == PARAMETERS and chart.form != "scatter":
        yield "chart.x: parameters need a scatter plot", ("chart", "x"), 'set form = "scatter"'
    numbers = chart.x == PARAMETERS or (chart.x in study.choices and all(map(is_number, study.choices[chart.x])))
    if chart.form == "scatter" and chart.x is not None and not numbers:
        yield "chart.x: a scatter plot needs a numeric axis", ("chart", "x"), 'choose one, or set form = "bars"'
    if chart.log and not numbers:
        yield "chart.log needs a numeric x axis", ("chart", "log"), "remove log, or choose a numeric x"
    elif chart.log and any(not value > 0 for value in study.choices.get(chart.x or "", [])):  # type: ignore[operator]
        yield f"chart.log: {chart.x} has values that are not above 0", ("chart", "log"), "remove log"


def _left_out(study: Study) -> Problems:
    """Axes that the chart cannot show: cells that differ only in them would overlap."""
    chart = study.chart
    shown = {name for _, name in _named_by_chart(study)}
    channels = ("x", "y", "facet") if chart.form == "heatmap" else ("x", "color", "facet")
    free = sum(not getattr(chart, channel) for channel in channels)
    groups = [list(factor) for factor in study.factors] + ([[EVALUATION]] if study.evaluate else [])
    left = [group for group in groups if not shown & set(group) and any(len(study.choices[name]) > 1 for name in group)]
    if chart.x == PARAMETERS or not study.chart.model_fields_set or len(left) <= free:
        return
    names = ", ".join(f"'{group[0]}'" for group in left)
    them = "it" if len(left) == 1 else "them"
    message = f"the chart does not show {names}, so cells that differ only in {them} overlap"
    best = f'best_of = ["{left[-1][0]}"]'
    yield message, ("chart",), f"assign it to {', '.join(channels)}, or show only the best value: {best}"


def _path(key: Key) -> str:
    return f"{key[0]}.{key[1]}"
