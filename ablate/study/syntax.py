"""What is wrong with a text that is not TOML: tomllib's messages in words, where they belong, with what to write."""

import re
from pathlib import Path

from ablate.errors import Problem
from ablate.study.locate import Span, keys_in, place_at

_WORDS = (
    (r"Invalid statement", "this line is neither KEY = VALUE, nor [TABLE], nor a # comment"),
    (r"Invalid initial character for a key part", "a key is missing here"),
    (r"Expected '=' after a key.*", "'=' is missing after the key"),
    (r"Expected newline or end of document after a statement", "the line goes on after its value"),
    (r"Expected '\]' at the end of a table declaration", "']' is missing at the end of the table's name"),
    (r"Expected '\]\]' at the end of an array declaration", "']]' is missing at the end of the table's name"),
    (r"Unclosed array", "a list goes wrong before this: ',' or ']' is missing"),
    (r"Unclosed inline table", "a table in { } goes wrong before this: ',' or '}' is missing"),
    (r"Unescaped .* in a string", "a backslash in double quotes begins an escape, and this is none"),
    (r"Illegal character '\\n'", "the text is not closed: a quote is missing at its end"),
    (r"Illegal character (.*)", r"the character \1 may not stand here"),
    (r"Found invalid character (.*)", r"the character \1 may not stand here"),
    (r"Unterminated string|Expected .*\"\"\".*|Expected .*'''.*|Expected \"'\"", "a text is never closed"),
    (r"Invalid hex value", "an escape in double quotes needs hexadecimal digits"),
    (r"Escaped character is not a Unicode scalar value", "this escape is no character"),
    (r"Invalid date or datetime", "there is no such date"),
    (r"Invalid value", "this is no value"),
)
_TWICE = ("Cannot overwrite a value", "Cannot declare", "Duplicate inline", "Cannot mutate", "Cannot redefine")
_OPEN = ("Unclosed", "Unterminated", 'Expected \'"""\'', 'Expected "\'"', "Expected \"'''\"")


def syntax_problem(error: str, path: Path, text: str) -> Problem:
    """The mistake that tomllib tells as "... (at line 3, column 7)" or "... (at end of document)"."""
    message, _, where = error.rpartition(" (at ")
    at = _offset(where, text)
    if message.startswith(_TWICE):
        return _twice(path, text, at)
    words = next((re.sub(known, told, message) for known, told in _WORDS if re.fullmatch(known, message)), message)
    line = _line(text, at)
    if message.startswith(_OPEN):
        name, span = _last_key(text, at)
        began_above = "\n" in text[span[0] : at]
        ends = at >= len(text.rstrip()) or (began_above and re.match(r"\s*(\[|[\w.-]+\s*=)", line))
        if name and ends:
            what = "text" if message.startswith(_OPEN[1:]) else "list" if message == "Unclosed array" else "table"
            return Problem(f"not TOML: the {what} of '{name}' is never closed", place_at(path, text, span))
    here = text[at : at + 1]
    if message.startswith("Invalid initial character for a key part") and here in ("\n", "\r", "#", "}"):
        words = (
            "a table in { } goes on after a comma" if here == "}" else "a table in { } goes over the end of its line"
        )
    if message == "Invalid value" and (word := re.match(r"[\w.+-]+", text[at : at + 60])):
        words = f"{word[0]} is no value"
    return Problem(f"not TOML: {words}", place_at(path, text, (at, at + 1)), _hint(message, text, at, line))


def _offset(where: str, text: str) -> int:
    numbers = [int(number) for number in re.findall(r"\d+", where)]
    if len(numbers) != 2:
        return len(text)
    start = 0
    for _ in range(numbers[0] - 1):
        start = text.index("\n", start) + 1
    return start + numbers[1] - 1


def _line(text: str, at: int) -> str:
    return text[text.rfind("\n", 0, at) + 1 :].split("\n", 1)[0]


def _last_key(text: str, before: int) -> tuple[str, Span]:
    """The last key, or table, that begins before a place."""
    keys = [(key, span) for key, span in keys_in(text) if span[0] < before and not key[-1].isdigit()]
    return (keys[-1][0][-1], keys[-1][1]) if keys else ("", (0, 0))


def _twice(path: Path, text: str, at: int) -> Problem:
    """A key or a table that has a value already."""
    keys = [(key, span) for key, span in keys_in(text) if span[0] < at]
    if not keys:
        return Problem("not TOML: a key stands twice", place_at(path, text, (at, at + 1)))
    key, span = keys[-1]
    for end in range(len(key), 0, -1):
        first = next((other for known, other in keys if known == key[:end] and other[0] < span[0]), None)
        if first:
            line = text.count("\n", 0, first[0]) + 1
            name = ".".join(key[:end])
            if end < len(key):
                told = f"not TOML: '{name}' has a value, and cannot have keys below it too"
                return Problem(told, place_at(path, text, span), f"its value is in line {line}")
            told = f"not TOML: '{name}' stands twice"
            return Problem(told, place_at(path, text, span), f"the first one is in line {line}; keep one of them")
    return Problem(f"not TOML: '{'.'.join(key)}' cannot be added here", place_at(path, text, span))


def _hint(message: str, text: str, at: int, line: str) -> str | None:
    """What is most often meant by such a line."""
    key, equals, value = (part.strip() for part in line.partition("="))
    value = value.partition("#")[0].strip()
    here = text[at : at + 1]
    if message.startswith("Unescaped") or message == "Invalid hex value":
        return r"write \\, or put the text in 'single quotes', where a backslash is a backslash"
    if message.startswith("Invalid initial character for a key part"):
        if here in ("\n", "\r", "#", "}"):
            return "a table in { } stands on one line, without a comma at its end; or write it as [TABLE], a key a line"
        return "a key is of letters, digits, _ and -, or stands in quotes"
    if colon := re.fullmatch(r"\s*([\w.-]+)\s*:\s*(.*)", line):
        return f"write {colon[1]} = {colon[2]}"
    if not equals:
        return f"{key[:2]} begins no comment: # does" if key.startswith(("//", "--")) else None
    if message == "Invalid value":
        return _value_hint(key, value, text[at : at + 40])
    if re.fullmatch(r"[+-]?\d+,\d+", value):
        return f"a decimal point is a point: {key} = {value.replace(',', '.')}"
    if re.fullmatch(r"[+-]?0\d+", value):
        return f"a number has no zeros before it: {key} = {value.lstrip('0') or 0}"
    return None


def _value_hint(key: str, value: str, here: str) -> str | None:
    word = re.match(r"[\w.+-]*", here)
    name = word[0] if word else ""
    whole = name == value
    if name in ("True", "False"):
        return f"write {f'{key} = ' if whole else ''}{name.lower()}"
    if name.lower() in ("none", "null", "nil"):
        return "TOML has no such value: leave the key out"
    if not value:
        return f'for example {key} = 1, or {key} = "text"'
    if re.fullmatch(r"[+-]?\.\d+", name):
        return f"write {f'{key} = ' if whole else ''}{name.replace('.', '0.')}"
    if here[0] in "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb\u0060":  # quotes of books
        return 'text stands in straight quotes: "..."'
    if name[:1].isalpha():
        return (
            f'text stands in quotes: {key} = "{value}"' if whole or " " in value else f'text stands in quotes: "{name}"'
        )
    return None
