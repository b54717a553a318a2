"""The rows of metrics.jsonl as series, in which the store keeps them: a list for each name instead of millions of rows.

They are parsed by pydantic's parser, which takes a fifth of the time of Python's.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from ablate.records.reading import MOST_BYTES_OF_LINES, Damaged, content

COLUMNS = {
    "key": "VARCHAR", "attempt": "VARCHAR", "phase": "VARCHAR", "rows": "BIGINT[]", "epochs": "DOUBLE[]",
    "steps": "DOUBLE[]", "names": "VARCHAR[]", "columns": "DOUBLE[][]",
}  # fmt: skip
"""A row of the table has the lines of an attempt that have the same phase and names; `rows` are their line numbers."""
METRICS = """SELECT key, attempt, unnest(rows) AS row, phase, unnest(epochs) AS epoch, unnest(steps) AS step, name,
    unnest("values") AS value
FROM (SELECT *, unnest(names) AS name, unnest("columns") AS "values" FROM internal.series)"""
"""The view with a row for each number. DuckDB applies conditions on the key and the name before it unnests."""
_PLACES = ("phase", "epoch", "step")
_NUMBERS = {int, float, type(None)}
_MOST_VALUES = 200_000
"""Numbers in a row of the table; DuckDB reads no line of JSON that is longer than 32 MiB."""


def series_of(path: Path | str) -> Iterator[dict[str, Any]]:
    """The rows of the table for a metrics.jsonl; a line that is damaged, or that a crash truncated, is skipped.

    Kept are numbers and nulls; NaN, and what is beyond floating point, become null. A long series has several rows.
    """
    for row in _series(path):
        step = max(1, _MOST_VALUES // len(row["names"]))
        if len(row["rows"]) <= step:
            yield row
            continue
        for first in range(0, len(row["rows"]), step):
            part = slice(first, first + step)
            lists = {name: row[name][part] for name in ("rows", "epochs", "steps") if row.get(name)}
            yield row | lists | {"columns": [column[part] for column in row["columns"]]}


def _series(path: Path | str) -> Iterator[dict[str, Any]]:
    try:
        lines = content(path, MOST_BYTES_OF_LINES).split(b"\n")
    except (FileNotFoundError, Damaged):
        return
    for (phase, *names), (numbers, columns) in _alike(_parsed(lines)).items():
        of = dict(zip(names, columns, strict=True))
        about = {"phase": phase, "rows": numbers}
        about |= {f"{place}s": _place(of[place]) for place in ("epoch", "step") if place in of}
        returned = {name: column for name, column in of.items() if name not in _PLACES}
        kinds = {name: set(map(type, column)) for name, column in returned.items()}
        whole = [name for name, of_column in kinds.items() if of_column <= _NUMBERS]
        if whole:
            yield about | {"names": whole, "columns": [_floats(returned[name], kinds[name]) for name in whole]}
        for name in returned.keys() - set(whole):  # of lines that have no number there, nothing is kept
            kept = [place for place, value in enumerate(returned[name]) if type(value) in _NUMBERS]
            own = {part: [about[part][place] for place in kept] for part in about if part != "phase" and about[part]}
            yield about | own | {"names": [name], "columns": [_numbers([returned[name][place] for place in kept])]}


_Alike = dict[tuple[Any, ...], tuple[list[int], list[tuple[Any, ...]]]]


def _alike(rows: list[Any]) -> _Alike:
    """Phase and names -> the numbers and the columns of the lines that have them."""
    if (found := _all_alike(rows)) is not None:
        return found
    numbers: dict[tuple[Any, ...], list[int]] = {}
    for number, row in enumerate(rows):
        if type(row) is dict:
            phase = row.get("phase")
            numbers.setdefault((phase if type(phase) is str else None, *row), []).append(number)
    found = {}
    for key, places in numbers.items():
        alike = map(rows.__getitem__, places)
        found[key] = ([place + 1 for place in places], list(zip(*map(dict.values, alike), strict=True)))
    return found


def _all_alike(rows: list[Any]) -> _Alike | None:
    """The same for lines of one phase with the same names, which most files have; None for others."""
    if not rows or set(map(type, rows)) != {dict} or not all(map(tuple(rows[0]).__eq__, map(tuple, rows))):
        return None
    columns = dict(zip(rows[0], zip(*map(dict.values, rows), strict=True), strict=True))
    phase = columns.get("phase", (None,))
    if "phase" in columns and (type(phase[0]) is not str or phase.count(phase[0]) != len(phase)):
        return None
    return {(phase[0], *columns): (list(range(1, len(rows) + 1)), list(columns.values()))}


def _parsed(lines: list[bytes]) -> list[Any]:
    """The values of the lines, parsed at once if all are valid; None for one that is not."""
    lines = list(filter(None, lines))
    try:
        found = list(from_json(b"[" + b",".join(lines) + b"]"))
    except ValueError:
        found = []
    return found if len(found) == len(lines) else list(map(_value, lines))  # two halves of a line may look like one


def _value(line: bytes) -> Any:
    try:
        return from_json(line)
    except ValueError:
        return None


def _place(column: Sequence[Any]) -> list[float | None] | None:
    """A column of epochs or steps as numbers; None if it contains none."""
    places = _numbers(column)
    return None if all(place is None for place in places) else places


def _numbers(column: Sequence[Any]) -> list[float | None]:
    """A column as numbers; None for any other value."""
    kinds = set(map(type, column))
    if not kinds <= _NUMBERS:
        column = [value if type(value) in _NUMBERS else None for value in column]
        kinds = set(map(type, column))
    return _floats(column, kinds)


def _floats(column: Sequence[Any], kinds: set[type]) -> list[float | None]:
    """A column of numbers and nulls as floating point. kinds: the types in it."""
    if int not in kinds:
        return list(column)
    try:
        return list(map(float, column)) if type(None) not in kinds else list(map(_float, column))
    except OverflowError:
        return list(map(_float, column))


def _float(number: float | None) -> float | None:
    try:
        return None if number is None else float(number)
    except OverflowError:
        return None
