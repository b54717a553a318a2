"""The one family of errors that a person sees: what is wrong, where, and what to do.

AblateError            exit code 1
├── UserError          exit code 2: a mistake in a file or on the command line, told without a traceback
└── TrialsFailed       exit code 1: the command was right, but trials failed
"""

import difflib
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
        return "\n".join(
            (
                f"  --> {self.path}:{self.line}:{self.column}",
                f"{'':{margin}} |",
                f"{self.line} | {self.text}",
                f"{'':{margin}} | {'':{self.column - 1}}{'^' * self.length}",
            )
        )


@dataclass(frozen=True)
class Problem:
    """One mistake: what is wrong, where it stands, what to do about it."""

    message: str
    place: Place | None = None
    help: str | None = None

    def __str__(self) -> str:
        parts = [f"error: {self.message}", str(self.place or ""), f"  help: {self.help}" if self.help else ""]
        return "\n".join(part for part in parts if part)


class UserError(AblateError):
    """One or more mistakes of the user's, all told at once."""

    exit_code = 2

    def __init__(self, *problems: Problem | str, place: Place | None = None, help: str | None = None) -> None:
        self.problems = tuple(
            Problem(problem, place, help) if isinstance(problem, str) else problem for problem in problems
        )
        super().__init__("\n\n".join(map(str, self.problems)))


def nearest(name: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the valid name most like `name`, or nothing where none is like it."""
    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
