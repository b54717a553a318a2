"""Standard output and error of every command: guarded against their data, in order, and closed without a traceback."""

import os
import re
import signal
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from ablate.errors import visible_lines
from ablate.records.plain import unguarded

_COLOR = re.compile(r"(\x1b\[(?:0|[13479]|2[1234579]|[34][0-79]|[34]8;5;\d{1,3}|9[0-7]|10[0-7]|;)*m)")
"""A code that sets the color or weight of text; none that hides it."""


class Guarded:
    """A stream that shows characters that control a terminal instead of sending them: data cannot imitate the output.

    `unguarded` is the stream itself, for the escape codes of `console` and for a trainer's own output. `after` is a
    stream that is flushed first, so that both streams in one file or pipe keep the order in which they were written.
    """

    def __init__(self, unguarded: IO[str], after: IO[str] | None = None) -> None:
        self.unguarded = unguarded
        self.after = after

    def write(self, text: str) -> int:
        """Write a text with its line ends and tabs; returns its length."""
        if self.after:
            with suppress(OSError, ValueError):  # `written_whole` reports what could not be written there
                self.after.flush()
        self.unguarded.write(visible_lines(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one after another."""
        for text in lines:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


def guard_streams() -> None:
    """Guard standard output and error, where every command writes. What is written to a closed one is discarded."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    sys.stdout, sys.stderr = cast(Any, Guarded(sys.stdout)), cast(Any, Guarded(sys.stderr, after=sys.stdout))


@contextmanager
def written_whole() -> Iterator[None]:
    """Let a command end only when all of its output is written.

    Raises:
        OSError: standard output takes no more, e.g. on a full disk.

    """
    try:
        yield
    finally:
        sys.stdout.flush()


def discard_output() -> None:
    """Discard what standard output has not taken, so that Python's flush at exit does not fail."""
    with suppress(OSError):  # there may be no standard output
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def write_log(text: str) -> None:
    """What a trial printed: as it is in a pipe; on a terminal with its colors, and what would move the cursor shown."""
    if sys.stdout.isatty():
        lines = re.sub(r"\r+\n|\r", "\n", text)
        text = "".join(part if _COLOR.fullmatch(part) else visible_lines(part) for part in _COLOR.split(lines))
    stream = unguarded(sys.stdout)
    stream.write(text)
    stream.flush()


@contextmanager
def ends_with_ctrl_c(message: str = "") -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP end the command without a traceback, with the exit code that shells give them."""
    import typer

    received: list[int] = []

    def stop(number: int, frame: object) -> None:
        received.append(number)
        _leave_closed_terminal()
        raise KeyboardInterrupt

    # Under nohup, a closed terminal must not stop the command.
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {each: signal.signal(each, stop) for each in numbers if signal.getsignal(each) is not signal.SIG_IGN}
    try:
        yield
    except KeyboardInterrupt:
        if message:
            print(message)
        raise typer.Exit(128 + (received or [signal.SIGINT])[0]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_closed_terminal() -> None:
    """Print nothing more on a terminal that was closed, which would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
            os.dup2(nowhere, stream)
    os.close(nowhere)
