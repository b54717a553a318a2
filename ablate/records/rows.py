"""The rows of the store that one trial's files make."""

import json
from pathlib import Path
from typing import Any

from ablate.records.attempt import attempt_status, read_json_lines
from ablate.records.files import TrialFolder, attempt_number

Row = dict[str, Any]
_NOTHING = {"attempt": None, "state": "new", "cause": None, "message": None}


def trial_rows(folder: TrialFolder, now: float) -> tuple[Row, list[Row]]:
    """The row of a trial, and those of its attempts; a trial that cannot be read is `damaged`, and says why."""
    try:
        return _read(folder, now)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return {"key": folder.path.name, "state": "damaged", "message": f"{type(error).__name__}: {error}"}, []


def _read(folder: TrialFolder, now: float) -> tuple[Row, list[Row]]:
    spec = json.loads(folder.trial.read_text(encoding="utf-8"))
    result = json.loads(folder.result.read_text(encoding="utf-8")) if folder.result.exists() else {}
    attempts = [_attempt_row(spec["key"], path, now) for path in folder.attempt_folders()]
    last = attempts[-1] if attempts else _NOTHING
    numbers = {name: value for name, value in result.items() if name not in ("key", "attempt")}
    seed, images = spec["config"].get("seed"), numbers.get("images")
    trial = {
        "key": spec["key"],
        "pretrain_key": spec["pretrain_key"],
        "trainer": spec.get("trainer"),
        "recipe_version": spec.get("recipe_version"),
        "seed": seed if isinstance(seed, int) and abs(seed) < 2**63 else None,  # what DuckDB can hold
        "state": "done" if result else last["state"],
        **{name: _number(numbers.get(name)) for name in ("top1", "loss", "seconds")},
        "images": images if isinstance(images, str) else None,
        "attempt": result.get("attempt", last["attempt"]),
        "cause": None if result else last["cause"],
        "message": None if result else last["message"],
        "numbers": numbers,
        "config": spec["config"],
    }
    return trial, attempts


def _attempt_row(key: str, path: Path, now: float) -> Row:
    environment = _environment(path)
    known = environment or {}
    if not (known.get("host") and known.get("device")):
        known = _started(path) | {name: value for name, value in known.items() if value is not None}
    return {
        "key": key,
        "attempt": path.name,
        "number": attempt_number(path),
        "host": known.get("host"),
        "device": known.get("device"),
        "code": known.get("code"),
        "environment": environment,
        **vars(attempt_status(path, now)),
    }


def _environment(attempt: Path) -> Row | None:
    """None where it is absent or cannot be read: a result counts without it."""
    try:
        environment = json.loads((attempt / "env.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return environment if isinstance(environment, dict) else None


def _started(attempt: Path) -> Row:
    """What an attempt says of itself where it began."""
    return next((row for row in read_json_lines(attempt / "events.jsonl") if row.get("event") == "started"), {})


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) else None
