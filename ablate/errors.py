"""The one family of errors that a person sees: what is wrong, where, and what to do.

AblateError            exit code 1
├── UserError          exit code 2: a mistake in a file or on the command line, told without a traceback
└── TrialsFailed       exit code 1: the command was right, but trials failed
"""

import difflib
import itertools
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class AblateError(Exception):
    """Something a person must hear of; the message is complete."""

    exit_code = 1


class TrialsFailed(AblateError):
    """Some trials of a run failed; the others are done."""


@dataclass(frozen=True)
class Place:
    """A spot in a file: line and column count from 1, `text` is the line, `length` what to mark of it."""

    path: Path
    line: int | None = None
    column: int = 1
    text: str = ""
    length: int = 1

    def __str__(self) -> str:
        if self.line is None:
            return f"  --> {self.path}"
        margin = len(str(self.line))
        begin = max(0, self.column - 1 - _BEFORE)
        cut = "".join(map(_visible, self.text[begin : begin + _WIDEST]))
        before = "".join("\t" if each == "\t" else " " * _width(each) for each in cut[: self.column - 1 - begin])
        marked = cut[self.column - 1 - begin :][: self.length]
        dots = "... " if begin else ""
        line = f"{dots}{cut}{' ...' if len(self.text) > begin + _WIDEST else ''}"
        return "\n".join(
            (
                f"  --> {self.path}:{self.line}:{self.column}",
                f"{'':{margin}} |",
                f"{self.line} | {line}".rstrip(),
                f"{'':{margin}} | {'':{len(dots)}}{before}{'^' * max(1, sum(map(_width, marked)))}",
            )
        )


_BEFORE = 60
_WIDEST = 140
"""Of a line so much is shown, and so much of it before what is marked."""


def _visible(character: str) -> str:
    return character if character.isprintable() or character == "\t" else "\ufffd"


def _width(character: str) -> int:
    """How many columns of a terminal it takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


@dataclass(frozen=True)
class Problem:
    """One mistake: what is wrong, where it stands, what to do about it."""

    message: str
    place: Place | None = None
    help: str | None = None
    kind: str = "error"
    """Or `warning`: something that is allowed, and likely not meant; or `note`, about the others."""

    def __str__(self) -> str:
        parts = [f"{self.kind}: {self.message}", str(self.place or ""), f"  help: {self.help}" if self.help else ""]
        return "\n".join(part for part in parts if part)


class UserError(AblateError):
    """One or more mistakes of the user's, all told at once."""

    exit_code = 2

    def __init__(self, *problems: Problem | str, place: Place | None = None, help: str | None = None) -> None:
        self.problems = tuple(
            Problem(problem, place, help) if isinstance(problem, str) else problem for problem in problems
        )
        super().__init__("\n\n".join(map(str, self.problems)))


_LONGEST_NAME = 60
_MOST_NAMES = 1000


def nearest(name: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the valid name most like `name`, or nothing where none is like it."""
    close = difflib.get_close_matches(name[:_LONGEST_NAME], list(itertools.islice(valid, _MOST_NAMES)), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
