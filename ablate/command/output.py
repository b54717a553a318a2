"""What a command writes while it runs and when it has ended: rows of curves, and the numbers of its result."""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ablate.trainer.contract import TrialFailed

STDOUT = "stdout"
_NUMBER = r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|(?i:nan|inf|infinity))"
_PART = "[,'\u00a0\u202f][0-9]"
_PAIR = re.compile(rf"(?<![\w./-])([A-Za-z_][\w./-]{{0,60}})(?:\s?=\s?|:\s+)({_NUMBER})(?![\w.:/#-]*\w|{_PART})")
"""`loss=0.31`, `loss = 0.31` or `loss: 0.31`, but not `12:30`, `v=1.2.3`, `1,5`, `1'000` or `1.#IND`."""
_WORD_BEFORE = re.compile(r"(?<![\w.-])([A-Za-z_][\w.-]{0,60})[\])]?:?\s+$")
_COLOR = re.compile("\x1b\\[[0-9;]*m")
_COUNTS = ("epoch", "Epoch", "step", "Step")
_LONGEST_LINE = 10_000
_MOST_BYTES = 1 << 23
"""The most of a file of metrics, and of the end of the standard output, that is read."""
_CHUNK = 1 << 20


def is_pattern(metrics: str) -> bool:
    """Whether `metrics` of a study is a regular expression: it has a named group."""
    return "(?P<" in metrics


def pairs(line: str) -> dict[str, float | None]:
    """The numbers that a line names, as in `epoch=3 loss: 0.31`.

    Names that it repeats get the word before them, or else the one before an earlier of these names:
    `Train loss: 0.3 acc: 0.9, test loss: 0.4 acc: 0.8` has `Train_acc` and `test_acc`, and None for `acc`.
    """
    begin = _COLOR.sub("", line)[: _LONGEST_LINE + 100]  # a number at the limit is seen with what follows it
    matches = [match for match in _PAIR.finditer(begin) if match.end() <= _LONGEST_LINE]
    times = Counter(match[1] for match in matches)
    found: dict[str, float | None] = {}
    word = None
    for match in matches:
        name, start = match[1], match.start()
        if times[name] > 1:
            word = _WORD_BEFORE.search(begin, max(0, start - 70), start) or word
            if word:
                found.setdefault(name, None)
                name = f"{word[1]}_{name}"
        found[name] = _number(match[2])
    return found


def _number(value: str) -> float:
    try:
        return int(value)
    except ValueError:
        return float(value)


def json_row(line: str) -> dict[str, Any] | None:
    """The JSON object on a line, also behind other text; None if there is none."""
    begin = line.find("{")
    if begin < 0 or not line.rstrip().endswith("}"):
        return None
    try:
        found = json.loads(line[begin:])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class Follower:
    """Reads the lines that are added to a file, which need not exist yet; an unfinished last line waits."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset, self._rest = path, 0, b""

    def lines(self, ended: bool = False) -> Iterator[str]:
        """The new lines; a carriage return ends one, too, as progress bars have it. ended: take the last line, too."""
        while data := self._more():
            *whole, self._rest = re.split(rb"[\r\n]", self._rest + data)
            yield from (line.decode("utf-8", "replace") for line in whole if line)
            if len(self._rest) > _CHUNK:  # not a line for people
                self._rest = b""
        if ended and self._rest:
            last, self._rest = self._rest, b""
            yield last.decode("utf-8", "replace")

    def _more(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(_CHUNK)
        except OSError:
            return b""
        self._offset += len(data)
        return data


class Curves:
    """The rows of a running command: the lines of {out}/metrics.jsonl; without it, what it prints.

    settings: names that are not metrics, since a command may print its settings.
    """

    def __init__(self, out: Path, settings: Collection[str], log: Callable[[Mapping[str, Any]], None]) -> None:
        self._rows = Follower(out / "metrics.jsonl")
        self._printed = [Follower(out.parent / name) for name in ("stdout", "stderr")]
        self._settings, self._log = frozenset(settings), log
        self._has_rows = False
        self.latest: dict[str, float] = {}
        """The last number printed for each name."""

    def read(self, ended: bool = False) -> None:
        """Log the rows that were added since the last call."""
        for line in self._rows.lines(ended):
            if row := json_row(line):
                self._has_rows = True
                self._log(row)
        for file in self._printed:
            for line in file.lines(ended):
                seen = {name: value for name, value in pairs(line).items() if name not in self._settings}
                row = {name: value for name, value in seen.items() if value is not None}
                for name in seen.keys() - row.keys():  # an earlier line's number is not that of this one
                    self.latest.pop(name, None)
                self.latest |= {name: value for name, value in row.items() if name not in _COUNTS}
                row = row or _plain(json_row(line), self._settings)
                if row and not self._has_rows:
                    self._log(row)


def _plain(row: Mapping[str, Any] | None, left_out: Collection[str]) -> dict[str, Any]:
    """The numbers of a row, without the settings."""
    kept = {name: value for name, value in (row or {}).items() if name not in left_out}
    return {name: value for name, value in kept.items() if isinstance(value, (int, float))}


def result(metrics: str, log: Path, latest: Mapping[str, float]) -> dict[str, Any]:
    """The numbers of a command that has ended well. Raises TrialFailed if they are missing or cannot be read.

    metrics: `stdout`, a pattern, or the path of a JSON file. log: the folder with `stdout` and `stderr`.
    """
    if metrics == STDOUT:
        found = _last_object(_end(log / "stdout")) or dict(latest)
        if not found:
            message = 'the command printed no JSON object on its standard output, as in {"accuracy": 0.9}, and no line'
            raise TrialFailed("metrics_missing", f"{message} like accuracy=0.9")
        return found
    if is_pattern(metrics):
        return _matched(metrics, log)
    path = Path(metrics)
    if not path.is_file():
        raise TrialFailed("metrics_missing", f"the command ended without writing {path}")
    if path.stat().st_size > _MOST_BYTES:
        raise TrialFailed("metrics_unreadable", f"{path} has {path.stat().st_size:,} bytes, which is too large")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise TrialFailed("metrics_unreadable", f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        message = f'{path} has a {type(content).__name__}; expected an object, as in {{"accuracy": 0.9}}'
        raise TrialFailed("metrics_unreadable", message)
    return content


def _matched(pattern: str, log: Path) -> dict[str, Any]:
    """The last text of each named group, in the standard output and, if it has none, in the error output."""
    for name in ("stdout", "stderr"):
        found: dict[str, Any] = {}
        for match in re.finditer(pattern, _end(log / name), re.MULTILINE):
            found |= {group: _value(value) for group, value in match.groupdict().items() if value is not None}
        if found:
            return found
    raise TrialFailed("metrics_missing", f"nothing that the command printed matches metrics = '{pattern}'")


def _value(value: str) -> float | str:
    try:
        return _number(value)
    except ValueError:
        return value


def _end(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _MOST_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _last_object(printed: str) -> dict[str, Any] | None:
    """The last JSON object in a text, on one line or on several."""
    for line in reversed(printed.splitlines()):
        if row := json_row(line):
            return row
        if line.startswith("}"):
            break
    for begin in reversed([found.start() for found in re.finditer(r"^\{", printed, re.MULTILINE)]):
        try:
            value, _ = json.JSONDecoder().raw_decode(printed, begin)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and value:
            return value
    return None


def last_lines(path: Path, most: int = 3) -> str:
    """The last lines of a log that are not empty, in one line; the last one of a traceback names its error."""
    lines = [line.strip() for line in _end(path)[-4000:].splitlines() if line.strip()]
    return " | ".join(lines[-most:])
