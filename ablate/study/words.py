"""Values in messages: as they were written, or as one may write them."""

import datetime
import json
from typing import Any

_LONGEST = 60


def value_text(value: Any) -> str:
    """A value for a message, text in single quotes, cut where it is long."""
    text = _text(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _text(value: Any) -> str:
    if isinstance(value, str):
        plain = "'" not in value and value.isprintable()
        return f"'{value}'" if plain else json.dumps(value[:_LONGEST], ensure_ascii=False)
    if isinstance(value, dict):
        return "{...}" if value else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(value_text, value[:_LONGEST]))}]"
    return toml(value)


def toml(value: Any) -> str:
    """A value as TOML writes it, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {toml(inner)}' for name, inner in value.items())} }}" if value else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)
