"""Values in messages, as TOML writes them."""

import datetime
import json
from typing import Any

_LONGEST = 60


def value_text(value: Any) -> str:
    """A value as TOML writes it, cut where it is long."""
    text = _text(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        return "{...}" if value else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(value_text, value[:_LONGEST]))}]"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)


def _quoted(text: str) -> str:
    """In single quotes, as messages have it; where it has some itself, or what nobody sees, in double ones."""
    return f"'{text}'" if "'" not in text and text.isprintable() else json.dumps(text[:_LONGEST])
