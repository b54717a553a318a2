"""Tables of runs: CSV, TSV, JSON lines and Parquet."""

import csv
import json
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
from pydantic_core import from_json

from ablate.errors import InvalidValue, UserError
from ablate.records.source import PLACE, Source, digest_of, from_rows, typed, unreadable

SUFFIXES = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".jsonl": "", ".ndjson": "", ".json": "", ".parquet": ""}
"""Suffix of a table -> the separator of its fields."""
_JSON_LINES = (".jsonl", ".ndjson")


def read_table(path: Path) -> Source:
    """The rows of a table; `row 1` is the first one below the names of the columns. Raises UserError.

    The values of a CSV are typed column by column: whole numbers, numbers, truth values, or text. Nested objects of
    JSON become columns such as `config.lr`.
    """
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            rows = pl.read_parquet(path)
        elif kind in _JSON_LINES:
            rows = _json_lines(path)
        elif kind == ".json":
            rows = from_rows(json_rows(path))
        else:
            rows = _csv(path, SUFFIXES[kind])
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, getattr(error, "strerror", None) or error) from error
    if rows.is_empty():
        raise UserError(f"{path} has no rows", help="a table of runs has one row for each run, or for each epoch")
    rows = _flat(rows, path)
    if twice := [name for name, count in Counter(map(str.strip, rows.columns)).items() if count > 1]:
        raise _two_columns(path, twice[0])
    rows = rows.rename({name: name.strip() for name in rows.columns})
    places = pl.Series(PLACE, range(1, rows.height + 1)).cast(pl.String)
    blank = pl.all_horizontal(pl.exclude(PLACE).is_null())  # as Excel appends them
    return Source(path, digest_of([path]), rows.with_columns(("row " + places).alias(PLACE)).filter(~blank))


def _csv(path: Path, separator: str) -> pl.DataFrame:
    text = _text_of(path)
    header = text.partition("\n")[0]
    if separator == "," and "," not in header and ";" in header:
        separator = ";"
    names = next(csv.reader(StringIO(text), delimiter=separator), [])
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise _two_columns(path, twice[0])
    unnamed = [number for number, name in enumerate(names, 1) if not name.strip()]
    if unnamed not in ([], [1]):  # pandas writes its index as a first column without a name
        raise UserError(f"{path}: column {unnamed[-1]} has no name", help="name it in the first line")
    try:
        rows = pl.read_csv(text.encode(), infer_schema=False, separator=separator, new_columns=names)
    except pl.exceptions.ComputeError as error:
        raise unreadable(path, _odd_line(text, separator, len(names)) or error) from error
    if unnamed:
        rows = rows.drop(rows.columns[0])
    return rows.select(typed(rows[name]) for name in rows.columns)


def _text_of(path: Path) -> str:
    """The text of a CSV, also of one that Excel saved as UTF-16, or with the line ends of old Macs."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-16" if content[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise unreadable(path, f"line {line} is not UTF-8", help="save it as UTF-8: `CSV UTF-8` in Excel") from error
    return text if "\n" in text else text.replace("\r", "\n")


def _odd_line(text: str, separator: str, count: int) -> str | None:
    """What is wrong with the first line of a CSV that cannot be read. count: its columns."""
    lines = csv.reader(StringIO(text), delimiter=separator, strict=True)
    try:
        for line in lines:
            if len(line) > count:
                return f"line {lines.line_num} has {len(line)} values, and the first line {count}"
    except csv.Error as error:
        return f"line {lines.line_num}: {error}"
    return None


def _two_columns(path: Path, name: str) -> UserError:
    return UserError(f"{path} has two columns '{name}'", help="rename one of them")


def _json_lines(path: Path) -> pl.DataFrame:
    """The fast reader stops at NaN, at a column of several types and at damage: then each line is read by itself."""
    lines = {number: line for number, line in enumerate(path.read_bytes().splitlines(), 1) if line.strip()}
    rows = ((f"{path}, line {number},", _parsed(line, f"{path}, line {number},")) for number, line in lines.items())
    try:
        fast = pl.read_ndjson(path, infer_schema_length=None)
    except pl.exceptions.PolarsError:
        return from_rows([flat(_object(row, place), place) for place, row in rows])
    for _ in rows:  # the fast reader takes one of two values with the same name
        pass
    return fast


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidValue(f"'{Counter(name for name, _ in pairs).most_common(1)[0][0]}'", "remove one of them")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_once)


def _parsed(text: bytes, place: str) -> Any:
    """JSON whose objects have each name once. Raises UserError with its place, such as its file and line."""
    try:
        from_json(text)  # stricter than Python: no half of a character (\ud800), and a limit of depth
        return _DECODER.decode(text.decode())
    except InvalidValue as error:
        raise UserError(f"{place} has two values named {error}", help=error.help) from error
    except (ValueError, RecursionError) as error:
        help = "a run may still write it; import again when it has ended"
        raise UserError(f"{place} is not valid JSON: {error}", help=help) from error


def _object(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise UserError(f"{place} is not an object", help='for example {"lr": 0.1, "accuracy": 0.9}')
    return row


def json_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON file: the objects of its list, or its only object."""
    value = _parsed(path.read_bytes(), str(path))
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in values):
        raise UserError(f"{path} is not a list of objects", help='for example [{"lr": 0.1, "accuracy": 0.9}]')
    return [flat(each, f"{path}, row {number},") for number, each in enumerate(values, 1)]


def flat(row: dict[str, Any], place: object, above: str = "") -> dict[str, Any]:
    """An object without nested ones: `{"config": {"lr": 0.1}}` becomes `{"config.lr": 0.1}`; a list becomes text.

    Raises UserError with its place, such as its file and row, if two values have the same name then.
    """
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            inner = flat(value, place, f"{above}{name}.")
        else:
            inner = {f"{above}{name}": json.dumps(value) if isinstance(value, list) else value}
        if twice := found.keys() & inner.keys():
            raise UserError(f"{place} has two values named '{min(twice)}'", help="rename one of them")
        found |= inner
    return found


def _flat(rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The table without nested columns, dates and other types that settings do not have."""
    while nested := [name for name, kind in rows.schema.items() if isinstance(kind, pl.Struct)]:
        for name in nested:
            fields = rows[name].struct.unnest()
            fields = fields.rename({inner: f"{name}.{inner}" for inner in fields.columns})
            rows = rows.drop(name)
            if twice := [each for each in fields.columns if each in rows.columns]:
                raise _two_columns(path, twice[0])
            rows = rows.hstack(fields)
    return rows.select(_plain(rows[name]) for name in rows.columns)


def _plain(column: pl.Series) -> pl.Series:
    kind = column.dtype
    if kind.is_float() or kind.is_decimal():  # by its text, 0.1 in 32 bits is 0.1 and not 0.10000000149011612
        return (column if kind == pl.Float64 else column.cast(pl.String)).cast(pl.Float64)
    if kind.is_integer():
        whole = column.cast(pl.Int64, strict=False)  # null where it has more than 64 bits
        return whole if whole.null_count() == column.null_count() else column.cast(pl.String)
    if kind in (pl.Boolean, pl.String):
        return column
    if isinstance(kind, pl.List | pl.Array):
        texts = [None if each is None else json.dumps(list(each), default=str) for each in column]
        return pl.Series(column.name, texts, pl.String)
    if kind in (pl.Binary, pl.Duration):
        return pl.Series(column.name, [None if each is None else str(each) for each in column], pl.String)
    return column.cast(pl.String)
