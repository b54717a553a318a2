"""Reading TOML files: their values with the position of every key, and syntax errors explained."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ablate.errors import Location, Problem, UserError
from ablate.study.toml.positions import Key, Source, keys_in, location_at

_LARGEST = 1_000_000
_DEEPEST = 20
_TOO_LONG = "a whole number of more than 64 bits, which TOML does not allow"
_TOO_DEEP = f"nested more than {_DEEPEST} levels deep"
_LONG_NUMBER = re.compile(r"\d[\d_]{4000}")
_LONG_KEY = re.compile(rf"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{_DEEPEST}}}""")


def read_toml(path: Path) -> tuple[Source, dict[str, Any]]:
    """A file's source and values. Raises UserError if it is not valid TOML, not UTF-8, or implausibly large."""
    text = _read(path)
    source = Source(path, text)
    if long := _LONG_KEY.search(text):
        raise UserError(f"a key of more than {_DEEPEST} parts", location=location_at(path, text, long.span()))
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(_syntax_problem(str(error), path, text)) from error
    except RecursionError as error:
        raise UserError(_TOO_DEEP, location=_last_location(path, text)) from error
    except ValueError as error:  # a number of thousands of digits
        number = _LONG_NUMBER.search(text)
        location = _last_location(path, text[: number.start()] if number else text)
        raise UserError(_TOO_LONG, location=location) from error
    if problems := [Problem(message, source.locate(key)) for message, key in _unusable(values)]:
        raise UserError(*problems)
    return source, values


def _unusable(values: dict[str, Any]) -> Iterator[tuple[str, Key]]:
    """Values that tomllib accepts but later steps cannot handle."""
    left: list[tuple[Key, Any]] = [((), values)]
    while left:
        key, value = left.pop()
        if len(key) > _DEEPEST:
            yield _TOO_DEEP, key
        elif isinstance(value, (dict, list)):
            items: Iterable[tuple[str | int, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
            left += [((*key, name), inner) for name, inner in items]
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            yield _TOO_LONG, key


def _last_location(path: Path, text: str) -> Location:
    """The location of the last readable key."""
    keys = keys_in(text)
    return location_at(path, text, keys[-1][1]) if keys else Location(path)


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > _LARGEST:
        message = f"{path} has {len(content):,} bytes, too many for a study or profile"
        raise UserError(message, help="check that this is the right file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        message = f"{path}:{line} is not UTF-8: byte 0x{content[error.start]:02x}"
        raise UserError(message, help="save the file as UTF-8") from error


_MESSAGES = (
    (r"Invalid statement", "this line is neither KEY = VALUE, nor [TABLE], nor a # comment"),
    (r"Invalid initial character for a key part", "a key is missing here"),
    (r"Expected '=' after a key.*", "'=' is missing after the key"),
    (r"Expected newline or end of document after a statement", "unexpected text after the value"),
    (r"Expected '\]' at the end of a table declaration", "']' is missing after the table's name"),
    (r"Expected '\]\]' at the end of an array declaration", "']]' is missing after the table's name"),
    (r"Unclosed array", "expected ',' or ']' before this"),
    (r"Unclosed inline table", "expected ',' or '}' before this"),
    (r"Unescaped .* in a string", "a backslash in double quotes starts an escape, and this escape is invalid"),
    (r"Illegal character '\\n'", "the closing quote is missing"),
    (r"Illegal character (.*)", r"the character \1 is not allowed here"),
    (r"Found invalid character (.*)", r"the character \1 is not allowed here"),
    (r"Unterminated string|Expected .*\"\"\".*|Expected .*'''.*|Expected \"'\"", "a string is never closed"),
    (r"Invalid hex value", "the escape must be followed by hexadecimal digits"),
    (r"Escaped character is not a Unicode scalar value", "this escape is not a valid character"),
    (r"Invalid date or datetime", "this date does not exist"),
    (r"Invalid value", "invalid value"),
)
_TWICE = ("Cannot overwrite a value", "Cannot declare", "Duplicate inline", "Cannot mutate", "Cannot redefine")
_OPEN = ("Unclosed", "Unterminated", 'Expected \'"""\'', 'Expected "\'"', "Expected \"'''\"")
_INVALID_KEY = "Invalid initial character for a key part"


def _syntax_problem(error: str, path: Path, text: str) -> Problem:
    """The problem that tomllib reports as "... (at line 3, column 7)" or "... (at end of document)"."""
    message, _, where = error.rpartition(" (at ")
    at = _offset(where, text)
    if message.startswith(_TWICE):
        return _defined_twice(path, text, at)
    line = text[text.rfind("\n", 0, at) + 1 :].split("\n", 1)[0]
    if message.startswith(_OPEN) and (problem := _never_closed(message, path, text, at, line)):
        return problem
    words = next((re.sub(known, plain, message) for known, plain in _MESSAGES if re.fullmatch(known, message)), message)
    here = text[at : at + 1]
    if message.startswith(_INVALID_KEY) and here in ("\n", "\r", "#", "}"):
        words = "an inline table cannot end with a comma" if here == "}" else "an inline table must be on one line"
    if message == "Invalid value" and (word := re.match(r"[\w.+-]+", text[at : at + 60])):
        words = f"{word[0]} is not a TOML value"
    return Problem(f"invalid TOML: {words}", location_at(path, text, (at, at + 1)), _hint(message, text, at, line))


def _never_closed(message: str, path: Path, text: str, at: int, line: str) -> Problem | None:
    """That a string, list or table is never closed; None if its end is just malformed."""
    keys = [(key[-1], span) for key, span in keys_in(text) if span[0] < at and not key[-1].isdigit()]
    name, span = keys[-1] if keys else ("", (0, 0))
    began_above = "\n" in text[span[0] : at]
    ends = at >= len(text.rstrip()) or (began_above and re.match(r"\s*(\[|[\w.-]+\s*=)", line))
    if not name or not ends:
        return None
    what = "string" if message.startswith(_OPEN[1:]) else "list" if message == "Unclosed array" else "table"
    return Problem(f"invalid TOML: the {what} of '{name}' is never closed", location_at(path, text, span))


def _offset(where: str, text: str) -> int:
    numbers = [int(number) for number in re.findall(r"\d+", where)]
    if len(numbers) != 2:
        return len(text)
    return sum(len(line) + 1 for line in text.split("\n")[: numbers[0] - 1]) + numbers[1] - 1


def _defined_twice(path: Path, text: str, at: int) -> Problem:
    """A key or a table that already has a value."""
    keys = [(key, span) for key, span in keys_in(text) if span[0] < at and not _is_item(text, key, span)]
    if not keys:
        return Problem("invalid TOML: a key is defined twice", location_at(path, text, (at, at + 1)))
    key, span = keys[-1]
    location = location_at(path, text, span)
    for end in range(len(key), 0, -1):
        first = next((other for known, other in keys if known == key[:end] and other[0] < span[0]), None)
        if first:
            line = text.count("\n", 0, first[0]) + 1
            name = ".".join(key[:end])
            if end < len(key):
                message = f"invalid TOML: '{name}' already has a value, so it cannot also be a table"
                return Problem(message, location, f"the value is on line {line}")
            message = f"invalid TOML: '{name}' is defined twice"
            return Problem(message, location, f"it is first defined on line {line}; remove one of them")
    return Problem(f"invalid TOML: '{'.'.join(key)}' cannot be added here", location)


def _is_item(text: str, key: tuple[str, ...], span: tuple[int, int]) -> bool:
    """Whether a position is that of an item of a list rather than of a key."""
    header = text[: span[0]].rstrip(" \t[").endswith(("\n", "\r")) or not text[: span[0]].strip(" \t[")
    named = header and text[span[0] : span[1]].strip("\"'").endswith(key[-1])
    return key[-1].isdigit() and not named and not re.match(r"[ \t]*[.=]", text[span[1] : span[1] + 100])


def _hint(message: str, text: str, at: int, line: str) -> str | None:
    """What such a line was most likely meant to be."""
    key, equals, value = (part.strip() for part in line.partition("="))
    value = value.partition("#")[0].strip()
    if message.startswith("Unescaped") or message == "Invalid hex value":
        return r"write \\, or use 'single quotes', in which backslashes are literal"
    if message.startswith(_INVALID_KEY):
        if text[at : at + 1] in ("\n", "\r", "#", "}"):
            return "write { } on one line without a trailing comma, or use [TABLE] with one key per line"
        return "keys consist of letters, digits, _ and -, or are quoted"
    if colon := re.fullmatch(r"\s*([\w.-]+)\s*:\s*(.*)", line):
        return f"write {colon[1]} = {colon[2]}"
    if not equals:
        return f"comments start with #, not {key[:2]}" if key.startswith(("//", "--")) else None
    if message == "Invalid value":
        return _value_hint(key, value, text[at : at + 40])
    if re.fullmatch(r"[+-]?\d+,\d+", value):
        return f"use a decimal point: {key} = {value.replace(',', '.')}"
    if re.fullmatch(r"[+-]?0\d+", value):
        return f"numbers cannot have leading zeros: {key} = {value.lstrip('0') or 0}"
    return None


def _value_hint(key: str, value: str, here: str) -> str | None:
    word = re.match(r"[\w.+-]*", here)
    name = word[0] if word else ""
    whole = name == value
    if name in ("True", "False"):
        return f"write {f'{key} = ' if whole else ''}{name.lower()}"
    if name.lower() in ("none", "null", "nil"):
        return 'TOML has no such value: omit the key, or write "none" for a setting that may be a number or nothing'
    if not value:
        return f'for example {key} = 1, or {key} = "text"'
    if re.fullmatch(r"[+-]?\.\d+", name):
        return f"write {f'{key} = ' if whole else ''}{name.replace('.', '0.')}"
    if here[0] in "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb\u0060":  # typographic quotes
        return 'use straight quotes: "..."'
    if name[:1].isalpha():
        return f'put text in quotes: {key} = "{value}"' if whole or " " in value else f'put text in quotes: "{name}"'
    return None
