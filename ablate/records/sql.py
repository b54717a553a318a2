"""What reaches DuckDB: names, texts and paths, made harmless; statements of users, which may only read."""

import os
import re
import tempfile
from collections.abc import Iterable
from typing import Any

import duckdb

from ablate.errors import UserError
from ablate.records.plain import FORMULA, NUMBER, csv_cell

_PLAIN = re.compile(r"[\w./+-]+", re.ASCII)
_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI)  # MULTI: PIVOT
_EXAMPLE = 'for example: ablate query "SELECT * FROM trials"'


def sql_name(name: str) -> str:
    """A quoted name of a view or a column, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def sql_text(text: str) -> str:
    """A quoted string, whatever characters it has."""
    return "'" + text.replace("'", "''") + "'"


def number_sql(text: str, type: str, kind: str = "DOUBLE") -> str:
    """A returned number; NULL for text that looks like one."""
    return f"CASE WHEN {type} IN ('BIGINT', 'UBIGINT', 'DOUBLE') THEN TRY_CAST({text} AS {kind}) END"


_POINTER = "('/' || replace(replace(cells.metric, '~', '~0'), '/', '~1'))"  # it can name any key
VALUE = number_sql(f"trials.numbers ->> {_POINTER}", f"json_type(trials.numbers, {_POINTER})")
"""What the trial of a cell returned as the study's metric; NULL unless it is a number."""


def sql_type(values: list[Any]) -> str:
    """The type of a column with these values."""
    kinds = {type(value) for value in values}
    return {frozenset({bool}): "BOOLEAN", frozenset({int}): "BIGINT", frozenset({float}): "DOUBLE",
            frozenset({int, float}): "DOUBLE"}.get(frozenset(kinds), "VARCHAR")  # fmt: skip


def column_names(ours: Iterable[str], axes: Iterable[str], metrics: Iterable[str] = ()) -> tuple[dict[str, str], ...]:
    """Axis -> column, and metric -> column, of a table whose own columns are `ours`.

    A name is its column, unless the tool (or, for a metric, an axis) has a column of that name: then the column is
    `axis.NAME` or `metric.NAME`. Names count as the same regardless of case, as in SQL.
    """
    taken = {name.casefold() for name in ours}
    found: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for kind, names, columns in (("axis", axes, found[0]), ("metric", metrics, found[1])):
        for name in names:
            column = name
            # A blank name cannot be a column, and a prefix is given to names that begin with it, so that no two meet.
            while not column.strip() or column.casefold() in taken or (column == name and name.startswith(f"{kind}.")):
                column = f"{kind}.{column}"
            taken.add(column.casefold())
            columns[name] = column
    return found


def is_plain(path: str) -> bool:
    r"""Whether an absolute path means the same to DuckDB as to the system.

    DuckDB takes `*`, `?` and `[` for patterns, `~` for the home folder, `\` for a separator and what follows `?` for
    options, and rejects paths that are not UTF-8.
    """
    return _PLAIN.fullmatch(path) is not None


def plain_place() -> str:
    """The folder for temporary files that DuckDB opens, with a plain path: copies and links of files with odd paths."""
    usual = tempfile.gettempdir()
    candidates = (usual, "/tmp", "/var/tmp", "/dev/shm")
    return next((each for each in candidates if is_plain(each) and os.access(each, os.W_OK)), usual)


def csv_columns(store: duckdb.DuckDBPyConnection, view: str) -> str:
    """The columns of a view as cells of CSV (see `csv_cell`)."""
    texts = []
    for name, kind, *_ in store.execute(f"DESCRIBE {sql_name(view)}").fetchall():
        column, header = sql_name(name), sql_name(csv_cell(name))
        runs = f"regexp_matches({column}, {sql_text(FORMULA)}) AND NOT regexp_matches({column}, {sql_text(NUMBER)})"
        safe = f"CASE WHEN {runs} THEN '''' || {column} ELSE {column} END" if kind == "VARCHAR" else column
        texts.append(f"{safe} AS {header}")
    return ", ".join(texts)


def check_reads(sql: str) -> None:
    """Raise UserError unless a text is exactly one statement that only reads."""
    sql.encode()  # raises UnicodeError for half a character, which DuckDB answers with a TypeError
    statements = duckdb.extract_statements(sql)
    if not statements:
        raise UserError("the query is empty", help=_EXAMPLE)
    if len(statements) > 1:
        raise UserError(f"the query has {len(statements)} statements", help="give one statement at a time")
    if statements[0].type not in _READING:
        kind = statements[0].type.name
        raise UserError(f"the query is a statement of the type {kind}, which may change something", help=_EXAMPLE)


def check_condition(text: str) -> None:
    """Raise ValueError unless a text is one SQL expression, which no part of the statement around it can escape."""
    text.encode()  # raises UnicodeError, a ValueError, for half a character
    depth = 0
    for offset, kind in duckdb.tokenize(text):
        token = text.encode()[offset : offset + 1]
        if kind == duckdb.token_type.comment:
            raise ValueError("a condition has no comments")
        if kind == duckdb.token_type.operator:
            depth += {b"(": 1, b")": -1}.get(token, 0)
            if depth < 0:
                raise ValueError("a closing parenthesis without an opening one")
            if token == b";":
                raise ValueError("a condition has no semicolon")
    if not text.strip():
        raise ValueError("the condition is empty")
    if depth:
        raise ValueError("a parenthesis is not closed")
