"""Reading TOML files: their values, and where in them each key stands."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ablate.errors import Place, Problem, UserError
from ablate.study.locate import Key, Spans, find_key, keys_in, place_at, spans
from ablate.study.syntax import syntax_problem

_LARGEST = 1_000_000
_DEEPEST = 20
_TOO_LONG = "a whole number of more than 64 bits, which TOML does not have"
_LONG_NUMBER = re.compile(r"\d[\d_]{4000}")
_LONG_KEY = re.compile(rf"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{_DEEPEST}}}""")


@dataclass(frozen=True)
class Source:
    """A TOML file as it was read, with those that it extends: to say where a mistake stands."""

    path: Path
    text: str
    below: tuple["Source", ...] = ()
    """The files that it extends, in the order in which they win."""

    @cached_property
    def _spans(self) -> Spans:
        return spans(self.text)

    def find(self, key: Key) -> tuple[int, Place]:
        """How many parts of a key stand in this file or in one below it, and where the last of them does."""
        found = find_key(self._spans, key)
        own = (found[0], place_at(self.path, self.text, found[1])) if found else (0, Place(self.path))
        return max([own, *(source.find(key) for source in self.below)], key=lambda each: each[0])

    def place(self, key: Key) -> Place:
        """Where a key stands, or the nearest key above it."""
        return self.find(key)[1]

    @property
    def whole(self) -> str:
        """The text of this file and of all it extends, each once, under its name."""
        if not self.below:
            return self.text
        files = {source.path: source.text for source in self.all_sources}
        return "\n".join(f"# {path}\n{text}" for path, text in files.items())

    @property
    def all_sources(self) -> list["Source"]:
        """The file itself, and all below it."""
        return [self, *(source for below in self.below for source in below.all_sources)]


def read_toml(path: Path) -> tuple[Source, dict[str, Any]]:
    """A file's source and its values. Raises UserError where it is not TOML, not UTF-8, or too large to be meant."""
    text = _read(path)
    source = Source(path, text)
    if long := _LONG_KEY.search(text):
        raise UserError(f"a key of more than {_DEEPEST} parts", place=place_at(path, text, long.span()))
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(syntax_problem(str(error), path, text)) from error
    except RecursionError as error:
        raise UserError(_too_deep(), place=_last_place(path, text)) from error
    except ValueError as error:  # a number of thousands of digits
        number = _LONG_NUMBER.search(text)
        raise UserError(_TOO_LONG, place=_last_place(path, text[: number.start()] if number else text)) from error
    if problems := [Problem(told, source.place(key)) for told, key in _unusable(values)]:
        raise UserError(*problems)
    return source, values


def _unusable(values: dict[str, Any]) -> Iterator[tuple[str, Key]]:
    """What TOML allows, or tomllib does, and nothing after it could carry."""
    left: list[tuple[Key, Any]] = [((), values)]
    while left:
        key, value = left.pop()
        if len(key) > _DEEPEST:
            yield _too_deep(), key
        elif isinstance(value, (dict, list)):
            left += [((*key, name), inner) for name, inner in _items(value)]
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            yield _TOO_LONG, key


def _items(value: dict[str, Any] | list[Any]) -> Iterable[tuple[str | int, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _too_deep() -> str:
    return f"nested more than {_DEEPEST} deep, which no study or profile needs"


def _last_place(path: Path, text: str) -> Place:
    """Where the last key stands that could be read."""
    keys = keys_in(text)
    return place_at(path, text, keys[-1][1]) if keys else Place(path)


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > _LARGEST:
        told = f"{path} has {len(content):,} bytes, which no study or profile needs"
        raise UserError(told, help="is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        told = f"{path}:{line} is not UTF-8: byte 0x{content[error.start]:02x}"
        raise UserError(told, help="save the file as UTF-8, which is what TOML is written in") from error
