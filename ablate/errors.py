"""The errors that users see: what is wrong, where, and what to do.

AblateError            exit code 1, as an OSError: the command was valid, and may succeed when it is run again
├── UserError          exit code 2: invalid input, in a file or on the command line; printed without a traceback
└── TrialsFailed       exit code 1: the command was valid, but some trials failed
"""

import datetime
import difflib
import itertools
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
"""Characters that control a terminal, reorder or hide text, or are halves of a character."""


def visible(text: str, longest: int | None = None) -> str:
    r"""A text on one line in which every character can be seen: others as `\n`, `\x1b`, `\u202e`; a long one is cut."""
    if longest is not None and len(text) > longest:
        text = f"{text[:longest]}... ({len(text):,} characters)"
    return text if text.isascii() and text.isprintable() else _HIDDEN.sub(_escape, text)


def visible_lines(text: str) -> str:
    """The same for a text of several lines or tab-separated fields: line ends and tabs are kept."""
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))


def _escape(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]


class AblateError(Exception):
    """An error that users see; its message is complete."""

    exit_code = 1


class TrialsFailed(AblateError):
    """Some trials of a run failed; the others are done."""


class InvalidValue(ValueError):
    """What a validator raises for a value of a file: what is wrong, and what to do about it."""

    def __init__(self, message: str, help: str | None = None, item: int | None = None) -> None:
        super().__init__(message)
        self.help = help
        self.item = item
        """The index of the invalid item, if the value is a list."""


@dataclass(frozen=True)
class Location:
    """A position in a file: line and column count from 1, `text` is the line, `length` how much of it to mark."""

    path: Path
    line: int | None = None
    column: int = 1
    text: str = ""
    length: int = 1

    def __str__(self) -> str:
        if self.line is None:
            return f"  --> {visible(str(self.path))}"
        margin = len(str(self.line))
        begin = max(0, self.column - 1 - _CONTEXT)
        cut = "".join(map(_visible, self.text[begin : begin + _WIDEST]))
        before = "".join("\t" if each == "\t" else " " * _width(each) for each in cut[: self.column - 1 - begin])
        marked = cut[self.column - 1 - begin :][: self.length]
        dots = "... " if begin else ""
        line = f"{dots}{cut}{' ...' if len(self.text) > begin + _WIDEST else ''}"
        return "\n".join(
            (
                f"  --> {visible(str(self.path))}:{self.line}:{self.column}",
                f"{'':{margin}} |",
                f"{self.line} | {line}".rstrip(),
                f"{'':{margin}} | {'':{len(dots)}}{before}{'^' * max(1, sum(map(_width, marked)))}",
            )
        )


_WIDEST = 140
"""The most characters of a line that are shown."""
_CONTEXT = 60
"""The most characters shown before the marked ones."""


def _visible(character: str) -> str:
    return character if character == "\t" or not _HIDDEN.match(character) else "\ufffd"  # one column, for the caret


def _width(character: str) -> int:
    """The number of terminal columns that a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


@dataclass(frozen=True)
class Problem:
    """One problem: what is wrong, where, and what to do about it."""

    message: str
    location: Location | None = None
    help: str | None = None
    kind: str = "error"
    """`error`, `warning` (valid but probably unintended) or `note` (about the other problems)."""

    def __str__(self) -> str:
        help = f"  help: {self.help}" if self.help else ""
        parts = [f"{self.kind}: {self.message}", str(self.location or ""), help]
        return "\n".join(part for part in parts if part)


class UserError(AblateError):
    """Invalid input: one or more problems, all reported at once."""

    exit_code = 2

    def __init__(self, *problems: Problem | str, location: Location | None = None, help: str | None = None) -> None:
        self.problems = tuple(
            Problem(problem, location, help) if isinstance(problem, str) else problem for problem in problems
        )
        super().__init__("\n\n".join(map(str, self.problems)))


def as_path(path: str | Path) -> Path:
    """A path that a user gave, with `~` as the home folder, which shells leave as it is in `--results=~/x`."""
    try:
        if str(path).startswith("~"):
            return Path(path).expanduser()
    except RuntimeError as error:
        help = "write ./~ for a folder named ~"
        raise UserError(f"{visible(str(path))}: this user does not exist", help=help) from error
    found = Path(path)
    return found.absolute() if str(found).startswith("~") else found  # ./~, which pathlib shortens


_LONGEST = 60
_MOST_NAMES = 1000


def missing_torch(module: str = "torch") -> UserError:
    """The error where torch or torchvision is needed and a light installation has neither."""
    help = "pip install torch torchvision; judge, import, report, status and query work without it"
    return UserError(f"{module} is not installed; training and the pictures of SimCLR need it", help=help)


def nearest(name: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the valid name closest to `name`, or an empty string if none is close."""
    names = list(itertools.islice(valid, _MOST_NAMES))
    begun = [each for each in names if each.startswith(f"{name}_")]  # 'gpus' is 'gpus_per_node' rather than 'cpus'
    close = begun or difflib.get_close_matches(name[:_LONGEST], names, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def value_text(value: Any) -> str:
    """A value as messages show it: text in single quotes, long values cut."""
    text = _text(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _text(value: Any) -> str:
    if isinstance(value, str):
        plain = "'" not in value and value.isprintable()
        return f"'{value}'" if plain else json.dumps(value[:_LONGEST], ensure_ascii=False)
    if isinstance(value, dict):
        return "{...}" if value else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(value_text, value[:_LONGEST]))}]"
    return toml(value)


def toml(value: Any) -> str:
    """A value as TOML writes it, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return (
            f"{{ {', '.join(f'{_key(str(name))} = {toml(each)}' for name, each in value.items())} }}" if value else "{}"
        )
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)


def _key(name: str) -> str:
    """A key as TOML writes it: a path, for example, in quotes."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
