"""The number that a study is about, and trials that are done without it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ablate.errors import nearest
from ablate.records.files import Results

Numbers = Mapping[str, Any]
_OURS = ("key", "attempt", "seconds")
"""What the worker adds to what a trainer returned."""
_LISTED = 12


def lacking(metric: str, finished: Iterable[Numbers]) -> str | None:
    """What to say where none of the finished trials has the metric; None where one has it, or there is none."""
    count = 0
    seen: dict[str, Any] = {}
    for numbers in finished:
        if _is_number(numbers.get(metric)):
            return None
        count += 1
        seen.update(numbers)
    if not count:
        return None
    done = "1 trial is done, and it did not return" if count == 1 else f"{count} trials are done, and none returned"
    return f"{done} {_instead(metric, seen, 'it' if count == 1 else 'they')}"


def not_returned(metric: str, numbers: Numbers) -> str | None:
    """What to say of one trial that is done without the metric of its study; None where it has it."""
    if _is_number(numbers.get(metric)):
        return None
    return f"the study is about a number that the trainer did not return: {_instead(metric, numbers, 'it')}"


def finished_numbers(results: Results, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
    """What those of some trials returned that are done, one file after another."""
    for key in keys:
        try:
            numbers = json.loads(results.trial(key).result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(numbers, dict):
            yield numbers


def _instead(metric: str, numbers: Numbers, who: str) -> str:
    names = [name for name, value in numbers.items() if _is_number(value) and name not in _OURS]
    shown = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
    what = f"'{metric}' as a number" if metric in numbers else f"'{metric}'"
    return f"{what}; {who} returned {shown or 'no number'}{nearest(metric, names)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
