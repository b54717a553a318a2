"""Signatures of records: texts that change when files do, from their times and sizes, without reading them."""

import os
import time
from collections.abc import Mapping

from ablate.records.files import Results, folders, is_text, plan_paths

_RACY = "~"
"""Marks the time of a folder that had changed just before it was listed: it may have changed again at the same time."""
_BETWEEN = "/"
"""Between the parts of a signature: no name of a file has it."""
_COARSE = 2 * 10**9
"""The coarsest times that file systems keep, in nanoseconds."""


def signatures(results: Results, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Key of a trial, or `study <name>` -> its signature. known: those at an earlier time."""
    place, known = str(results.trials), known or {}
    found = {key: signature_of(f"{place}/{key}", known.get(key, "")) for key in _names(place)}
    for study in folders(results.root / "studies"):
        found[f"study {study.name}"] = " ".join(f"{path.name} {_stamp(str(path))}" for path in plan_paths(study))
    return found


def signature_of(folder: str, known: str = "") -> str:
    """The signature of a trial.

    Every file that the store reads is asked for its time, since one edited in place does not change its folder. A
    heartbeat counts only without a result. Paths are plain text, since there may be many thousands of trials.

    known: its signature at an earlier time, by which the attempts of a done trial are known without listing them, as
    long as their folder has the same time.
    """
    result, attempts = _stamp(f"{folder}/result.json"), _stamp(f"{folder}/attempts")
    before = known.split(_BETWEEN)
    if before[2:3] != [attempts] and (before[2:3] == [f"{_RACY}{attempts}"] or not _settled(attempts)):
        attempts = f"{_RACY}{attempts}"
    parts = [_stamp(f"{folder}/trial.json"), result, attempts]
    listed = before[:3] == parts and attempts[0].isdigit() and result != "-"
    for attempt in before[3::3] if listed else _names(f"{folder}/attempts"):
        path = f"{folder}/attempts/{attempt}"
        parts += [attempt, _stamp(f"{path}/events.jsonl"), _stamp(f"{path}/metrics.jsonl")]
        if result == "-":
            parts.append(_stamp(f"{path}/heartbeat"))
    return _BETWEEN.join(parts)


def has_same_result(folder: str, known: str) -> bool:
    """Whether a trial has the trial.json and result.json that it had when its signature was `known`."""
    return known.startswith(_BETWEEN.join([_stamp(f"{folder}/trial.json"), _stamp(f"{folder}/result.json"), ""]))


def _names(folder: str) -> list[str]:
    """The trials, or the attempts at one, and whatever else lies among them: each has a row with what is wrong."""
    try:
        with os.scandir(folder) as entries:
            return sorted(name for each in entries if not (name := each.name).startswith(".") and is_text(name))
    except OSError:
        return []


def _settled(stamp: str) -> bool:
    """Whether a folder with this stamp will have another one when it next changes, however coarse times are."""
    return not stamp[0].isdigit() or time.time_ns() - int(stamp.partition(":")[0]) > _COARSE


def _stamp(path: str) -> str:
    """Time and size of a file or folder."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError as error:
        return "-" if isinstance(error, FileNotFoundError) else f"error {error.errno}"
    return f"{status.st_mtime_ns}:{status.st_size}"
