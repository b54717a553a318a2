"""Validators of single values of a study file, and `[tune]` and `[[cases]]`, which list such values."""

import keyword
import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ablate.errors import InvalidValue, nearest, value_text
from ablate.study.toml.table import Table

Scalar = str | bool | int | float
"""A value of an axis: `ablate.study.cells.cell` has the same, which imports more."""
MOST_SEEDS = 1000
LONGEST_NAME = 60
NAME = "^[a-z][a-z0-9_]*$"
"""The pattern of names."""
_NAMED = 'values = { weak = ["crop"], strong = ["crop", "color"] }'


def version_in(words: Iterable[str]) -> str | None:
    """The first such as 3.10, where there also is one such as 3.9 or 3.1; None without any."""
    known = list(words)
    majors = {word.partition(".")[0] for word in known if re.fullmatch(r"[1-9]\d*\.\d", word)}
    return next((word for word in known if word[:-3] in majors and re.fullmatch(r"\d+\.\d0", word)), None)


def identifier(name: str) -> str:
    """A name of a study, axis, case or evaluation, which is also valid in SQL and Python."""
    if keyword.iskeyword(name):
        raise InvalidValue(f"'{name}' is a Python keyword and cannot be a name", f"for example {name}_")
    if not re.fullmatch(NAME, name) or len(name) > LONGEST_NAME:
        better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")[:LONGEST_NAME] or "temperature"
        message = (
            f"must consist of lower-case letters, digits and _, start with a letter, and be at most {LONGEST_NAME} long"
        )
        raise InvalidValue(message, f"for example {better}")
    return name


def seeds(seeds: Any) -> Any:
    """A number of seeds, or a list of different whole numbers from 0."""
    if isinstance(seeds, int) and not isinstance(seeds, bool) and 1 <= seeds <= MOST_SEEDS:
        return seeds
    if isinstance(seeds, list):
        for index, seed in enumerate(seeds):
            if type(seed) is not int or not 0 <= seed < 2**31:
                message = f"contains {value_text(seed)}; seeds are whole numbers from 0 to {2**31 - 1:,}"
                raise InvalidValue(message, "for example seeds = [0, 1, 2]", index)
        if twice := _twice(seeds):
            raise InvalidValue(f"lists {seeds[twice[1]]} twice", "each seed trains every cell once", twice[1])
    if not isinstance(seeds, list) or not seeds:
        raise InvalidValue(f"must be a number from 1 to {MOST_SEEDS:,}, or a list of whole numbers from 0")
    return seeds


RANGE = frozenset({"from", "to", "count", "scale", "whole"})
"""The keys of a range of numbers."""
_MOST_OF_RANGE = 10_000


def _values(values: Any) -> Any:
    """A list of different plain values, a table of named values, or a range, which becomes a list."""
    if isinstance(values, dict) and values:
        is_range = {"from", "to"} & values.keys() and (len(RANGE & values.keys()) > 1 or values.keys() <= RANGE)
        return _range(values) if is_range else values
    if not isinstance(values, list) or not values:
        raise InvalidValue("must be a non-empty list of text, numbers or booleans, or a table of named values")
    for index, value in enumerate(values):
        if isinstance(value, (list, dict)):
            kind = "list" if isinstance(value, list) else "table"
            raise InvalidValue(f"contains a {kind} without a name", f"name it, for example {_NAMED}", index)
        if not isinstance(value, Scalar):
            message = f"contains {value}; values must be text, numbers or booleans"
            raise InvalidValue(message, "put dates and times in quotes", index)
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidValue(f"contains {value}; numbers must be finite", item=index)
    if twice := _twice(values):
        one, two = (value_text(values[index]) for index in twice)
        message = f"lists {one} twice" if one == two else f"lists {one} and {two}, which are equal"
        raise InvalidValue(message, "each value makes one cell; to train a cell several times, use seeds", twice[1])
    return values


def _range(table: dict[str, Any]) -> list[int | float]:
    """Numbers from `from` to `to`, both included; `whole` ones are rounded, and equal ones are listed once."""
    help = 'for example values = { from = 1e-4, to = 1e-1, count = 4, scale = "log" }'
    if unknown := [key for key in table if key not in RANGE]:
        raise InvalidValue(f"a range has no key '{unknown[0]}'{nearest(unknown[0], RANGE)}", help)
    first, last, scale = table.get("from"), table.get("to"), table.get("scale", "linear")
    count, whole = table.get("count"), table.get("whole", False)
    numbers = [each for each in (first, last) if isinstance(each, (int, float)) and not isinstance(each, bool)]
    if len(numbers) < 2 or not all(map(math.isfinite, numbers)) or first == last or type(whole) is not bool:
        raise InvalidValue("a range needs two different numbers, from and to", help)
    if scale not in ("linear", "log", "powers of two") or (scale != "linear" and min(numbers) <= 0):
        message = 'the scale of a range must be "linear", or between numbers above 0 "log" or "powers of two"'
        raise InvalidValue(message, help)
    if scale == "powers of two":
        low, high = sorted(numbers)
        powers = [2**power for power in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1) if power >= 0]
        if count is not None or len(powers) < 2:
            message = "a range of powers of two takes no count, and holds at least two whole numbers"
            raise InvalidValue(message, 'for example values = { from = 64, to = 512, scale = "powers of two" }')
        return powers if first < last else powers[::-1]  # type: ignore[operator]
    if type(count) is not int or not 2 <= count <= _MOST_OF_RANGE:
        raise InvalidValue(f"the count of a range must be a whole number from 2 to {_MOST_OF_RANGE:,}", help)
    start, end = (math.log(each) if scale == "log" else each for each in numbers)
    between = [start + (end - start) * number / (count - 1) for number in range(1, count - 1)]
    inner = [float(f"{math.exp(each) if scale == 'log' else each:.6g}") for each in between]
    found = [numbers[0], *inner, numbers[1]]
    return list(dict.fromkeys(map(round, found) if whole else found))


def _remove(items: Any) -> Any:
    """One item, or a list of different ones, as a tuple."""
    listed = items if isinstance(items, list) else [items]
    if not listed or not all(isinstance(item, Scalar) for item in listed) or _twice(listed):
        raise InvalidValue("must be an item of the list, or a list of different ones", 'for example remove = "blur"')
    return tuple(listed)


def _twice(values: list[Any]) -> tuple[int, int] | None:
    """The indices of the first two equal items."""
    seen: dict[Any, int] = {}
    for index, value in enumerate(values):
        if value in seen:
            return seen[value], index
        seen[value] = index
    return None


def _extends(names: Any) -> Any:
    """One study file, or several."""
    if isinstance(names, str) or (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return names
    raise InvalidValue("must be the name of a study file in quotes, or a list of them")


def _listed(table: Any) -> Any:
    """Turns a single table into a list of one."""
    return [table] if isinstance(table, dict) else table


def _exclude(rule: Any) -> Any:
    """A condition, or a table of axis values."""
    if isinstance(rule, (str, dict)):
        return rule
    help = 'for example exclude = ["head == \'none\'"], or exclude = [{ head = "none" }]'
    raise InvalidValue("must be a condition in quotes, or a table of axis values", help)


def is_number(key: str) -> bool:
    """Whether a key is the index of a list item."""
    return key.isascii() and key.isdigit() and len(key) < 7 and key == str(int(key))


Extends = Annotated[str | list[str], BeforeValidator(_extends)]
_SCALAR = {"anyOf": [{"type": kind} for kind in ("string", "boolean", "integer", "number")]}
_IDENTIFIER = {"type": "string", "pattern": NAME, "maxLength": LONGEST_NAME}
_SEEDS = [
    {"type": "integer", "minimum": 1, "maximum": MOST_SEEDS},
    {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
]
Identifier = Annotated[str, AfterValidator(identifier), WithJsonSchema(_IDENTIFIER)]
Exclude = Annotated[str | dict[str, Any], BeforeValidator(_exclude)]
Seeds = Annotated[int | list[int], BeforeValidator(seeds), WithJsonSchema({"anyOf": _SEEDS})]
Remove = Annotated[
    tuple[Scalar, ...],
    BeforeValidator(_remove),
    WithJsonSchema({"anyOf": [*_SCALAR["anyOf"], {"type": "array", "items": _SCALAR}]}),
]
Values = Annotated[list[Scalar] | dict[str, Any], BeforeValidator(_values)]
Listed = BeforeValidator(_listed)

FIRST_SEED = 1000
"""The first seed of the trials that choose; the comparison's own begin at 0."""


class Case(Table):
    """A named cell in addition to the grid: the base settings with some changes."""

    name: Identifier = Field(examples=["untrained"])
    label: str = Field(examples=["untrained encoder"])
    """Label in tables and on pages."""
    set: dict[str, Any] = Field(examples=[{"epochs": 0}])
    """The changed settings, as nested tables or dotted keys."""


class Tune(Table):
    """Settings that each cell chooses for itself: the value with the best mean of a metric over seeds of its own."""

    settings: dict[str, Values] = Field(min_length=1, examples=[{"lr": [0.1, 0.3, 1.0]}])
    """Dotted setting, in quotes -> the values to try, a list or a range as for an axis. Every combination is tried in
    every cell, except where `when` leaves one out. The first values stand for "untuned"."""
    when: dict[str, str] = Field({}, examples=[{"margin": "loss == 'margin'"}])
    """Tuned setting, in quotes -> a condition on axes and `case`: other cells do not tune it, and keep its base
    value."""
    metric: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(None, examples=["validation_accuracy"])
    """The metric by which values are chosen. Default, for the SimCLR trainer only: the study's metric, measured on
    training images that are held out."""
    lowest: bool = False
    """The lowest value of the metric is the best, as for an error."""
    choose: Literal["best", "median of top 3"] = "best"
    """`best`: the value with the best mean. `median of top 3`: of the three best values of one numeric setting, the
    middle one, which follows noise less."""
    seeds: Seeds = Field(1, examples=[2])
    """Number of seeds of each value (1000, 1001, ...), or a list of seeds. The comparison must not use them."""
    set: dict[str, Any] = Field({}, examples=[{"split": "validation"}])
    """Settings of these trials alone, dotted paths in quotes: what makes the metric one of validation data. Default,
    for the SimCLR trainer: `data.validation = 0.1`."""

    @property
    def every_seed(self) -> list[int]:
        """The seeds of the trials that choose."""
        return list(range(FIRST_SEED, FIRST_SEED + self.seeds)) if isinstance(self.seeds, int) else self.seeds
