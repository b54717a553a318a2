"""Values as text that programs read: whole numbers, nothing rounded, and no character that ends a field or a line."""

import json
from typing import Any

_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})
"""Not the backslash: JSON in a field stays JSON."""


def field(value: Any) -> str:
    """A value as one field of tab-separated text; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return json.dumps(value, default=str).translate(_ESCAPES)
    return (repr(value) if isinstance(value, float) else str(value)).translate(_ESCAPES)


def line(values: list[Any] | tuple[Any, ...]) -> str:
    """A row of tab-separated text."""
    return "\t".join(map(field, values))


def rounded(value: Any) -> str:
    """A value for people: six digits of a number, text in one line."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).splitlines())
