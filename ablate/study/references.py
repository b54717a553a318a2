"""What is wrong with the references of a study: tables, columns, axes, cases and conditions that are not there."""

from collections.abc import Iterator

from ablate.errors import UserError, nearest
from ablate.paper.reader import Row, published
from ablate.study.expression import wrong_condition
from ablate.study.locate import Key
from ablate.study.mistakes import Mistakes
from ablate.study.schema import Reference, Study
from ablate.study.values import Scalar
from ablate.study.words import toml, value_text


def references(study: Study) -> Mistakes:
    """Of each: its table and columns, and what of the study it names."""
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
        yield from _names(study, reference, key)


def _columns(study: Study, reference: Reference, rows: list[Row], key: Key) -> Mistakes:
    columns, table = list(rows[0]), f"the paper's table '{reference.table}'"
    listed = f"its columns are: {', '.join(columns)}"
    for column, place in _named_columns(reference, key):
        if column not in columns:
            yield f"{table} has no column {column}{nearest(column, columns)}", place, listed
    in_table = [name for name in study.all_axes if reference.columns.get(name) is None]
    if missing := [name for name in in_table if name not in columns]:
        told = f"{table} has no column {', '.join(missing)}"
        help = f"axes are called like its columns, which are: {', '.join(columns)}"
        yield told, key, f'{help}; or say columns.{missing[0]} = "COLUMN", or = false where it has none'
    if reference.value in columns and not any(_is_number(row[reference.value]) for row in rows):
        yield f"{table} has no number in the column {reference.value}", (*key, "value"), listed


def _named_columns(reference: Reference, key: Key) -> Iterator[tuple[str, Key]]:
    yield reference.value, (*key, "value")
    yield from ((column, (*key, "where", column)) for column in reference.where)
    for axis, column in reference.columns.items():
        if isinstance(column, str):
            yield column, (*key, "columns", axis)
    for case, values in reference.cases.items():
        yield from ((column, (*key, "cases", case, column)) for column in values)


def _names(study: Study, reference: Reference, key: Key) -> Mistakes:
    choices = study.choices
    for table in ("columns", "values"):
        for axis in getattr(reference, table):
            if axis not in choices:
                told = f"reference.{table}.{axis} is not an axis of the study{nearest(axis, choices)}"
                yield told, (*key, table, axis), f"axes are: {', '.join(choices)}"
    yield from _cases_and_values(study, reference, key, choices)
    if reference.cells is not None:
        for told in wrong_condition(reference.cells, study.choices_and_cases):
            yield f"reference.cells: {told}", (*key, "cells"), None


def _cases_and_values(study: Study, reference: Reference, key: Key, choices: dict[str, list[Scalar]]) -> Mistakes:
    cases = [case.name for case in study.cases]
    for case in reference.cases:
        if case not in cases:
            help = f"cases are: {', '.join(cases)}" if cases else "it has no cases"
            yield (
                f"reference.cases.{case} is not a case of the study{nearest(case, cases)}",
                (*key, "cases", case),
                help,
            )
    for axis, names in reference.values.items():
        known = [value if isinstance(value, str) else toml(value) for value in choices.get(axis, [])]
        for name in names if known else ():
            if name not in known:
                told = f"reference.values.{axis}: {axis} has no value '{name}'{nearest(name, known)}"
                yield told, (*key, "values", axis, name), f"it has: {', '.join(known)}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
