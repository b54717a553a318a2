"""Conditions on cells, as in `head != 'none' and temperature < 0.5`: a subset of Python, without eval."""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ablate.errors import nearest, value_text

Condition = Callable[[Mapping[str, Any]], bool]
_Term = Callable[[Mapping[str, Any]], Any]
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, values: value in values,
    ast.NotIn: lambda value, values: value not in values,
}
_EXAMPLE = "for example head != 'none' and temperature < 0.5"
_LONGEST = 1000
_SHOWN = 60
_MOST_VALUES = 20


def condition(text: str, names: Iterable[str]) -> Condition:
    """A function of a cell's values that returns whether the condition holds.

    Supports and, or, not, comparisons, in, text in quotes, numbers, true and false. An axis that a cell lacks equals
    nothing, and is neither less nor greater than anything; the same holds between text and numbers. Raises ValueError
    for anything else, and for a name that is not in `names`.
    """
    try:
        return _compiled(_parsed(text), set(names))
    except RecursionError as error:
        raise ValueError(f"{_shown(text)} is nested too deeply for a condition") from error


def valid_condition(text: str, names: Iterable[str]) -> Condition | None:
    """The same; None for an invalid one, which `checks` report."""
    try:
        return condition(text, names)
    except ValueError:
        return None


def names_in(text: str) -> set[str]:
    """The names in a valid condition."""
    return {node.id for node in ast.walk(_parsed(text)) if isinstance(node, ast.Name)} - {"true", "false"}


def never(text: str, choices: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Comparisons in a valid condition that no cell can satisfy. choices: the values of each axis.

    That is, of an axis with a value that it does not have, or of text with a number.
    """
    for node in ast.walk(_parsed(text)):
        if isinstance(node, ast.Compare):
            for one, op, two in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
                yield from _never_compared(one, op, two, choices)
        elif isinstance(node, (ast.BoolOp, ast.UnaryOp)):
            parts = node.values if isinstance(node, ast.BoolOp) else [node.operand]
            for part in parts:
                yield from _never_true(part, choices)
    yield from _never_true(_parsed(text), choices)


def wrong_condition(text: str, choices: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Why a text is not a valid condition, if it is not. choices: the values of each axis."""
    try:
        condition(text, choices)
    except ValueError as error:
        yield str(error)
        return
    yield from dict.fromkeys(never(text, choices))


def has_value(values: Iterable[Any], value: Any) -> bool:
    """Whether a value is among others; true is not 1."""
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in values)


def no_value(axis: str, value: Any, choices: Sequence[Any]) -> str:
    """That an axis lacks a value, with the nearest one and a list of its values."""
    texts = [each for each in choices if isinstance(each, str)] if isinstance(value, str) else []
    message = f"{axis} has no value {value_text(value)}{nearest(str(value), texts) or ';'}"
    return f"{message} its values are {', '.join(map(value_text, choices[:_MOST_VALUES]))}"


def _never_true(name: ast.expr, choices: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    values = choices.get(name.id) if isinstance(name, ast.Name) else None
    if isinstance(name, ast.Name) and values is not None and not any(isinstance(value, bool) for value in values):
        yield f"'{name.id}' is not a boolean axis; write {name.id} == ..."


def _never_compared(one: ast.expr, op: ast.cmpop, two: ast.expr, choices: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    for side, other in ((one, two), (two, one)):
        if not isinstance(side, ast.Name) or side.id not in choices:
            continue
        axis, values = side.id, choices[side.id]
        for value in _constants(other):
            if isinstance(op, (ast.Eq, ast.NotEq, ast.In, ast.NotIn)):
                if not has_value(values, value):
                    yield no_value(axis, value, values)
            elif any(isinstance(value, str) != isinstance(each, str) for each in values):
                kind, others = ("the text", "numbers") if isinstance(value, str) else ("the number", "text")
                yield f"{axis} has {others} as values but is compared with {kind} {value_text(value)}"


def _constants(node: ast.expr) -> Iterator[Any]:
    if isinstance(node, (ast.Tuple, ast.List)):
        for item in node.elts:
            yield from _constants(item)
    elif isinstance(node, ast.Constant):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in ("true", "false"):
        yield node.id == "true"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        yield -node.operand.value  # type: ignore[operator]


def _parsed(text: str) -> ast.expr:
    """The expression of a condition. Raises ValueError."""
    if len(text) > _LONGEST:
        raise ValueError(f"a condition of more than {_LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about code that Python finds odd
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{_shown(text)} is not a valid condition{_hint(text)}; {_EXAMPLE}") from error


def _hint(text: str) -> str:
    for wrong, right in (("&&", "and"), ("||", "or"), ("<>", "!=")):
        if wrong in text:
            return f": use '{right}' instead of '{wrong}'"
    return ": use '==' to compare" if re.search(r"[^=!<>]=[^=]", text) else ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _compiled(node: ast.expr, names: set[str]) -> Condition:
    if isinstance(node, ast.BoolOp):
        parts = [_compiled(value, names) for value in node.values]
        every = isinstance(node.op, ast.And)
        return lambda cell: all(part(cell) for part in parts) if every else any(part(cell) for part in parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _compiled(node.operand, names)
        return lambda cell: not inner(cell)
    if isinstance(node, ast.Compare):
        return _comparison(node, names)
    if isinstance(node, ast.Name):
        term = _term(node, names)
        return lambda cell: term(cell) is True
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return lambda cell: bool(node.value)
    raise ValueError(f"{ast.unparse(node)!r} is not part of a condition; {_EXAMPLE}")


def _comparison(node: ast.Compare, names: set[str]) -> Condition:
    terms = [_term(side, names) for side in (node.left, *node.comparators)]
    if odd := [op for op in node.ops if type(op) not in _COMPARE]:
        raise ValueError(f"'{type(odd[0]).__name__}' is not part of a condition; {_EXAMPLE}")
    compare = [_COMPARE[type(op)] for op in node.ops]
    for op, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(op, (ast.In, ast.NotIn)) != isinstance(right, (ast.Tuple, ast.List)):
            message = f"{ast.unparse(node)!r}: a list is required after `in`, and allowed only there"
            raise ValueError(f"{message}; for example head in ['none', 'linear']")

    def holds(cell: Mapping[str, Any]) -> bool:
        values = [term(cell) for term in terms]
        if any(value is None for value in values):
            return all(isinstance(op, (ast.NotEq, ast.NotIn)) for op in node.ops)
        try:
            return all(one(values[index], values[index + 1]) for index, one in enumerate(compare))
        except TypeError:  # text compared with a number
            return False

    return holds


def _term(node: ast.expr, names: set[str]) -> _Term:
    if isinstance(node, ast.Name):
        name = node.id
        if name in ("true", "false"):
            return lambda cell: name == "true"
        if name not in names:
            near = nearest(name, names) or ";"
            raise ValueError(f"'{name}' is not an axis{near} axes are: {', '.join(sorted(names))}")
        return lambda cell: cell.get(name)
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float)):
        constant = node.value
        return lambda cell: constant
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _term(node.operand, names)
        if isinstance(node.operand, ast.Constant) and isinstance(node.operand.value, (int, float)):
            return lambda cell: -inner(cell)
    if isinstance(node, (ast.Tuple, ast.List)):
        items = [_term(item, names) for item in node.elts]
        return lambda cell: [item(cell) for item in items]
    raise ValueError(f"{ast.unparse(node)!r} is not part of a condition; {_EXAMPLE}")
