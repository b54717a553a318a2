"""What a trainer returned: its values as JSON, the names of their columns, and the study's metric among them."""

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from datetime import time as clock
from enum import Enum
from pathlib import PurePath
from typing import Any

from ablate.errors import nearest
from ablate.records.attempt import events_of
from ablate.records.files import Results, TrialFolder
from ablate.records.plain import plural
from ablate.records.reading import Damaged, ResultRecord, result_if_any, valid
from ablate.study.cells.cell import is_number

Numbers = Mapping[str, Any]
MOST = 1e60
"""Larger numbers count as infinite: the powers from which variances are computed would be."""
_LISTED = 12
_LONGEST = 60
"""Characters of a value that a message shows."""


def as_number(value: object) -> float | None:
    """A finite number below `MOST` as a float; None for any other value: text, true and NaN are not numbers."""
    if type(value) is float:  # the most frequent kind
        return value if abs(value) < MOST else None
    return float(value) if is_number(value) and abs(value) < MOST else None  # type: ignore[arg-type]


def numbers_of(returned: Numbers) -> dict[str, float]:
    """The numbers among the values that a trial returned."""
    return {name: number for name, value in returned.items() if (number := as_number(value)) is not None}


def lacking(metric: str, finished: Iterable[Numbers]) -> str | None:
    """A message if no finished trial has the metric; None if one has it, or no trial has finished."""
    every: list[Numbers] = []
    for numbers in finished:
        if as_number(numbers.get(metric)) is not None:
            return None
        every.append(numbers)
    return without(metric, every) if every else None


def without(metric: str, returned: Collection[Numbers]) -> str:
    """A message about trials that finished without the metric as a number; returned: what each of them returned."""
    seen = {name: value for numbers in returned for name, value in numbers.items()}
    who = "it" if len(returned) == 1 else "they"
    return f"{plural(len(returned), 'trial')} finished but did not return {_instead(metric, seen, who)}"


def returned_before(folder: TrialFolder, metric: Callable[[], str | None]) -> dict[str, Any] | None:
    """The content of result.json for a trial that failed because another metric was asked for; None if there is none.

    It has been trained, and its numbers stand in its latest attempt: only the study has changed. metric: the study's
    metric now; asked for only if there are such numbers, since reading a large plan takes long.
    """
    if not (attempts := folder.attempt_folders()):
        return None
    events = events_of(attempts[-1])
    returned, started, ended = (events.get(name, {}) for name in ("returned", "started", "ended"))
    metrics = returned.get("metrics")
    if ended.get("cause") != "metric" or not isinstance(metrics, dict):
        return None
    if (wanted := metric()) is None or as_number(metrics.get(wanted)) is None:
        return None
    seconds = (as_number(ended.get("time")) or 0.0) - (as_number(started.get("time")) or 0.0)
    ours = {"key": folder.path.name, "attempt": attempts[-1].name, "seconds": round(max(0.0, seconds), 3)}
    result = {**ours, "metrics": metrics, "warnings": returned.get("warnings", [])}
    try:
        valid(ResultRecord, result, "the event returned")
    except Damaged:
        return None
    return result


def not_returned(metric: str, numbers: Numbers, returned: Mapping[Any, Any]) -> str | None:
    """A message if what a trainer returned lacks the metric of the study as a finite number; None if it has it.

    numbers: the same as `as_json` gives it.
    """
    if as_number(numbers.get(metric)) is not None:
        return None
    if metric not in numbers:
        return f"the trainer did not return the study's metric {_instead(metric, numbers, 'it')}"
    value = next(value for name, value in returned.items() if str(name) == metric)
    shown = repr(value) if isinstance(value, (str, bool)) or value is None else str(value)
    shown = " ".join(shown.split())  # a message has one line
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
    below = f" below {MOST:g}" if is_number(numbers[metric]) else ""
    others = _listed([name for name, each in numbers.items() if as_number(each) is not None])
    rest = f"the other numbers that it returned are {others}" if others else "it returned no other number"
    return f"the trainer returned {shown} as the study's metric '{metric}', which is not a finite number{below}; {rest}"


def finished_without(metric: str, results: Results, keys: Iterable[str]) -> dict[str, Numbers]:
    """Key -> what it returned, of each finished trial that does not have the metric as a number; read from the files.

    Such a result was written for another metric (of an earlier version of the study, or of a study that shares the
    trial), or changed since.
    """
    found = ((key, result_if_any(results.trial(key).result)) for key in keys)
    return {key: each.metrics for key, each in found if each and as_number(each.metrics.get(metric)) is None}


def _instead(metric: str, numbers: Numbers, who: str) -> str:
    names = [name for name, value in numbers.items() if as_number(value) is not None]
    what = f"'{metric}' as a number" if metric in numbers else f"'{metric}'"
    return f"{what}; {who} returned {_listed(names) or 'no number'}{nearest(metric, names)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


_LARGEST = 1 << 20
"""Characters of one returned value as JSON, and numbers in one array."""
_LARGEST_OF_ALL = 8 << 20
"""Characters of all returned values with their names."""
_LARGEST_WITH_NULLS = 12 << 20
"""The same with warnings and what is null: result.json stays below `MOST_BYTES` of `ablate.records.reading`."""
_DEEPEST = 20
_NOT_FINITE = ("is NaN", "is infinite")


def as_json(returned: Mapping[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    """Returned values as JSON has them, and a warning for each value that loses something.

    Numbers of numpy, torch and decimal become plain ones, also out of arrays of one element; larger arrays become
    lists. Values that JSON cannot express become null: NaN, infinity, objects, and what is too large for a record. If
    even the nulls are too many, the rest is left out.
    """
    found: dict[str, Any] = {}
    warnings: list[str] = []
    size = left_out = 0
    for key, value in returned.items():
        name = _text(str(key))
        notes = [f"two values are named {name}: the last one is recorded"] if name in found else []
        kept, lost = _kept(value, name)
        length, beside = len(json.dumps(kept)), len(json.dumps(name)) + len(": , ")
        if length > _LARGEST or size + beside + length > _LARGEST_OF_ALL:
            kept, lost = None, [f"{name} has {length:,} characters, which is too large"]
        if lost:
            more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            notes.append(f"{lost[0]}{more}: recorded as null")
        takes = beside + (len("null") if kept is None else length) + len(json.dumps(notes))
        if size + takes > _LARGEST_WITH_NULLS:
            left_out += 1
            continue
        found[name] = kept
        warnings += notes
        size += takes
    if left_out:
        warnings.append(f"{left_out:,} returned values are left out: all together are too large")
    return found, warnings


def as_row(logged: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """A logged row with its numbers, truth values and texts, and name -> warning for each value of another kind.

    NaN and infinity are null, which curves show as gaps. Raises TypeError if it is not a dictionary.
    """
    if not isinstance(logged, Mapping):
        raise TypeError(f"context.log takes a dictionary; got {type(logged).__name__}")
    row: dict[str, Any] = {}
    warnings: dict[str, str] = {}
    for key, value in logged.items():
        name = _text(str(key))
        plain, lost = _kept(value, name)
        row[name] = None if isinstance(plain, (list, dict)) else plain
        if row[name] is None and value is not None and not (lost and lost[0].endswith(_NOT_FINITE)):
            warnings[name] = f"the logged {name}, of type {type(value).__name__}, is not a number: left out"
    return row, warnings


def _kept(value: Any, name: str) -> tuple[Any, list[str]]:
    """A value as JSON has it, and what is lost of it."""
    lost: list[str] = []
    try:
        return _plain(value, name, lost), lost
    except Exception as error:  # of a foreign class
        return None, [f"{name} cannot be converted ({type(error).__name__}: {error})"]


def _plain(value: Any, name: str, lost: list[str], inside: tuple[int, ...] = ()) -> Any:
    """A value as JSON has it; what is lost of it is appended to `lost`. inside: ids of the containers around it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, (int, float)):
        return _number(value, name, lost)
    if isinstance(value, Enum):
        return _plain(value.value, name, lost, inside)
    if isinstance(value, (date, clock)):
        return value.isoformat()
    if isinstance(value, PurePath):
        return _text(str(value))
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return _container(value, name, lost, inside)
    if callable(tolist := getattr(value, "tolist", None)) and not isinstance(value, type):
        return _array(value, tolist, name, lost, inside)
    if hasattr(type(value), "__float__"):  # Decimal, Fraction, and scalars of other libraries
        return _number(float(value), name, lost)
    lost.append(f"{name} is of type {type(value).__name__}")
    return None


def _number(value: int | float, name: str, lost: list[str]) -> int | float | None:
    try:
        if math.isfinite(value):
            return int(value) if isinstance(value, int) else float(value)
        lost.append(f"{name} {_NOT_FINITE[not math.isnan(value)]}")
    except OverflowError:
        lost.append(f"{name} has more than 308 digits")
    return None


def _container(value: Any, name: str, lost: list[str], inside: tuple[int, ...]) -> Any:
    if id(value) in inside or len(inside) == _DEEPEST:
        lost.append(f"{name} is nested too deeply")
        return None
    inside = (*inside, id(value))
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(each, f"{name}.{key}", lost, inside) for key, each in value.items()}
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=lambda each: (type(each).__name__, repr(each)))
    return [_plain(each, f"{name}[{place}]", lost, inside) for place, each in enumerate(value)]


def _array(value: Any, tolist: Any, name: str, lost: list[str], inside: tuple[int, ...]) -> Any:
    count = math.prod(getattr(value, "shape", ()))
    if count > _LARGEST:
        lost.append(f"{name} has {count:,} elements")
        return None
    found = tolist()
    if count == 1:
        while isinstance(found, list) and len(found) == 1:
            (found,) = found
    if type(found) is type(value):  # of a number that Python does not have, as numpy.longdouble
        return _number(float(found), name, lost)
    return _plain(found, name, lost, inside)


def _text(text: str) -> str:
    """A text without half characters, which no file can hold."""
    return text.encode("utf-8", "replace").decode()
