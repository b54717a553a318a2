"""One trial, or two, in words: what `ablate show`, `diff` and `why` print."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ablate.commands.output import ago, plural
from ablate.records.table import Column

if TYPE_CHECKING:
    from ablate.records.compare import Comparison
    from ablate.records.detail import Attempt, Curve, Detail

Facts = list[tuple[str, str]]
_BLOCKS = "▁▂▃▄▅▆▇█"
_NO_NUMBER = "?"
_LONGEST_CURVE = 60


def facts(detail: "Detail") -> Facts:
    """Everything of a trial, as (what, text)."""
    found: Facts = [("key", detail.key)]
    found += [("cell", f"{cell.study} [{cell.profile}]  {cell.label}") for cell in detail.cells]
    if not detail.cells:
        found.append(("cell", "none: no study's newest design asks for it"))
    ended = f"{detail.cause}: {detail.message}" if detail.cause else detail.message or ""
    found.append(("state", f"{detail.state}  {ended}".strip()))
    found += [("attempt", attempt_in_words(attempt)) for attempt in detail.attempts]
    found += [("result", f"{name} {text(value)}") for name, value in detail.numbers.items()]
    if detail.curve.epochs:
        found.append(("loss", curve_in_words(detail.curve, detail.key)))
    found += _settings(detail)
    found += [("ran with", told) for told in surroundings_in_words(detail.environment)]
    return found


def attempt_in_words(attempt: "Attempt") -> str:
    """`001-local  done  vm, cpu  began 2026-03-01 14:03  took 12 s`."""
    told = [attempt.name, attempt.state if not attempt.cause else f"{attempt.state}: {attempt.cause}"]
    if where := ", ".join(filter(None, (attempt.host, attempt.device))):
        told.append(where)
    if attempt.started:
        told.append(f"began {datetime.fromtimestamp(attempt.started):%Y-%m-%d %H:%M}")
    if attempt.started and attempt.ended:
        told.append(f"took {ago(attempt.ended - attempt.started)}")
    return "  ".join(told)


def curve_in_words(curve: "Curve", key: str) -> str:
    """A line of blocks with where it begins and ends."""
    numbers = [loss for loss in curve.losses if loss is not None]
    ends = f"{numbers[0]:.4g} to {numbers[-1]:.4g}" if numbers else "never a number"
    shared = f", trained by {curve.of[:12]}, whose pretraining this trial shares" if curve.of != key else ""
    return f"{sparkline(curve.losses)}  {ends} in {plural(len(curve.epochs), 'epoch')}{shared}"


def sparkline(values: Sequence[float | None], longest: int = _LONGEST_CURVE) -> str:
    """A block a value, from the lowest to the highest; of long series, one a few values; ? where there is no number."""
    count = min(len(values), longest)
    chosen = [values[(2 * place + 1) * len(values) // (2 * count)] for place in range(count)]
    numbers = [value for value in chosen if value is not None]
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 0.0)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_NO_NUMBER if value is None else _BLOCKS[round((value - low) * scale)] for value in chosen)


def surroundings_in_words(environment: dict[str, Any]) -> list[str]:
    """Where and with what an attempt ran, a line a subject; what env.json does not say is left out."""
    known = {name: value for name, value in environment.items() if value is not None}
    commit = str(known.get("commit", ""))[:12]
    modified = ", with changes" if known.get("modified") else ""
    lines = [
        ", ".join(str(known[name]) for name in ("host", "device", "processor", "platform") if name in known),
        f"commit {commit}{modified}" if commit else "",
        f"code {known['code']}" if "code" in known else "",
        ", ".join(f"{name} {version}" for name, version in known.get("packages", {}).items() if version),
        f"python {known['python']}" if "python" in known else "",
        f"threads {known['threads']}" if "threads" in known else "",
        f"driver {known['driver']}" if "driver" in known else "",
        f"plan {known['plan']}" if "plan" in known else "",
        "slurm " + ", ".join(f"{name} {value}" for name, value in known["slurm"].items()) if "slurm" in known else "",
        f"command {' '.join(map(str, known['command']))}" if "command" in known else "",
    ]
    return [line for line in lines if line]


def text(value: Any) -> str:
    """A value as a study file writes it, with numbers to six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


DIFFERENCES = (
    Column("part"), Column("what", least=20), Column("left", least=14), Column("right", least=14),
    Column("change", right=True, rank=1),
)  # fmt: skip


def differences(comparison: "Comparison") -> list[tuple[str, Any, Any, Any, Any]]:
    """A row for each difference, with both sides' numbers."""
    parts = (
        ("setting", comparison.settings),
        ("result", comparison.numbers),
        ("ran with", comparison.surroundings),
    )
    rows: list[tuple[str, Any, Any, Any, Any]] = []
    for part, found in parts:
        for each in found:
            numbers = part == "result" and _is_number(each.left) and _is_number(each.right)
            change = each.right - each.left if numbers else None
            rows.append((part, each.name, _cell(each.left), _cell(each.right), change))
    return rows


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, float)) else json.dumps(value, default=str)


def _settings(detail: "Detail") -> Facts:
    """The settings, those of one part in one line."""
    from ablate.records.flatten import flat

    plain = {name: value for name, value in detail.config.items() if not isinstance(value, dict)}
    parts = {"": plain, **{name: value for name, value in detail.config.items() if isinstance(value, dict)}}
    found: Facts = []
    if detail.trainer:
        found.append(("trainer", f"{detail.trainer}, recipe version {detail.recipe_version}"))
    for part, settings in parts.items():
        if told := ", ".join(f"{name} {text(value)}" for name, value in flat(settings).items()):
            found.append(("settings", f"{part}: {told}" if part else told))
    return found
