"""What single values of a study file may be, and what to say where they are not."""

import keyword
import math
import re
from typing import Any

from ablate.study.mistake import Mistake as Mistake
from ablate.study.words import value_text

Scalar = str | bool | int | float
MOST_SEEDS = 1000
LONGEST_NAME = 60
NAME = "^[a-z][a-z0-9_]*$"
"""What names look like."""
_NAMED = 'values = { weak = ["crop"], strong = ["crop", "color"] }'
_EXCLUDED = 'exclude = ["head == \'none\'"], or exclude = [{ head = "none" }]'


def identifier(name: str) -> str:
    """A name of a study, an axis, a case or an evaluation: one that SQL and Python have too."""
    if keyword.iskeyword(name):
        raise Mistake(f"should be no word of Python's, as '{name}' is", f"for example {name}_")
    if not re.fullmatch(NAME, name) or len(name) > LONGEST_NAME:
        better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")[:LONGEST_NAME] or "temperature"
        told = f"should be of small letters, digits and _, a letter first, {LONGEST_NAME} at most"
        raise Mistake(told, f"for example {better}")
    return name


def seeds(seeds: Any) -> Any:
    """How many, or which: whole numbers from 0 on, each once."""
    if isinstance(seeds, int) and not isinstance(seeds, bool) and 1 <= seeds <= MOST_SEEDS:
        return seeds
    if isinstance(seeds, list):
        for index, seed in enumerate(seeds):
            if type(seed) is not int or not 0 <= seed < 2**31:
                told = f"has {value_text(seed)}: a seed is a whole number from 0 on"
                raise Mistake(told, "for example seeds = [0, 1, 2]", index)
        if twice := _twice(seeds):
            raise Mistake(f"has {seeds[twice[1]]} twice", "each seed is one training of every cell", twice[1])
    if not isinstance(seeds, list) or not seeds:
        raise Mistake(f"should be how many, from 1 to {MOST_SEEDS:,}, or a list of whole numbers from 0 on")
    return seeds


def values(values: Any) -> Any:
    """A list of plain values, or a table of named ones; each once."""
    if isinstance(values, dict) and values:
        return values
    if not isinstance(values, list) or not values:
        raise Mistake("should be a list of text, numbers, true and false; or a table of named values")
    for index, value in enumerate(values):
        if isinstance(value, (list, dict)):
            kind = "list" if isinstance(value, list) else "table"
            raise Mistake(f"has a {kind} as a value, which needs a name", f"for example {_NAMED}", index)
        if not isinstance(value, Scalar):
            told = f"has {value}, and values are text, numbers, true and false"
            raise Mistake(told, "a date or a time stands in quotes", index)
        if isinstance(value, float) and not math.isfinite(value):
            raise Mistake(f"has {value}, which is no number to compute with", item=index)
    if twice := _twice(values):
        one, two = (value_text(values[index]) for index in twice)
        told = f"has {one} twice" if one == two else f"has {one} and {two}, which are equal"
        raise Mistake(told, "each value is one cell; for several trainings of it there are seeds", twice[1])
    return values


def _twice(values: list[Any]) -> tuple[int, int] | None:
    """The numbers of the first two items that are equal."""
    seen: dict[Any, int] = {}
    for index, value in enumerate(values):
        if value in seen:
            return seen[value], index
        seen[value] = index
    return None


def extends(names: Any) -> Any:
    """One study file, or several."""
    if isinstance(names, str) or (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return names
    raise Mistake("should be the name of a study file in quotes, or a list of them")


def listed(table: Any) -> Any:
    """One table is a list of one."""
    return [table] if isinstance(table, dict) else table


def exclude(rule: Any) -> Any:
    """A condition, or a table of axis values."""
    if isinstance(rule, (str, dict)):
        return rule
    raise Mistake("should be a condition in quotes, or a table of axis values", f"for example {_EXCLUDED}")


def is_number(key: str) -> bool:
    """Whether a key is the number of an item of a list."""
    return key.isascii() and key.isdigit() and len(key) < 7 and key == str(int(key))
