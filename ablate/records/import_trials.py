"""Records of imported runs: a trial's files as a run of `ablate` would have left them, with the source of its numbers.

All trials of an import are first written to temporary folders and synced together, then renamed: each is complete or
absent, and 10,000 take seconds.
"""

import json
import os
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError
from ablate.records.attempt import is_done, trial_status
from ablate.records.files import Results, TrialFolder, sync_folder, write_json
from ablate.records.reading import open_flags, result_if_any

if TYPE_CHECKING:
    from ablate.records.runs import ImportedRun

IMPORT = "import"
"""The place of an imported attempt: its folder is `001-import`."""
_FIRST = f"001-{IMPORT}"
_THREADS = 4
"""They mostly wait for the file system."""
FROM, DIGEST, PLACE, COLUMN = "imported_from", "source_sha256", "source_place", "source_column"
"""What the environment of an imported attempt says of its source: path, SHA-256, row or run, column of the metric."""


@dataclass(frozen=True)
class ImportedTrial:
    """A trial and the run that is imported as its result."""

    key: str
    pretrain_key: str
    label: str
    config: Mapping[str, Any]
    run: "ImportedRun"


def is_imported(folder: TrialFolder) -> bool:
    """Whether the latest attempt at a trial was imported."""
    return any(path.name.endswith(f"-{IMPORT}") for path in folder.attempt_folders()[-1:])


def new_and_changed(
    results: Results, trials: Iterable[ImportedTrial], metric: str
) -> tuple[list[ImportedTrial], list[ImportedTrial]]:
    """The trials without a record, and those whose record has another result. Raises UserError for trained ones."""
    new, changed = [], []
    for trial in trials:
        folder = results.trial(trial.key)
        if not folder.path.exists():
            new.append(trial)
        elif is_imported(folder):
            result = result_if_any(folder.result)
            known = result.metrics if result else {}
            if (metric in known) != (metric in trial.run.metrics) or not trial.run.metrics.items() <= known.items():
                changed.append(trial)
        elif is_done(folder) or trial_status(folder, time.time()).state == "running":
            message = f"{trial.label} ({trial.run.source.path}, {trial.run.place}) was trained by ablate already"
            raise UserError(message, help="import into another study, or leave this run out")
        else:
            changed.append(trial)
    return new, changed


def write_trials(
    results: Results, trials: Sequence[ImportedTrial], metric: str, about: Mapping[str, Any], now: float
) -> None:
    """Write the records of trials that have none. about: trainer, recipe version and plan, as in trial.json."""
    results.trials.mkdir(parents=True, exist_ok=True)

    def write(trial: ImportedTrial) -> tuple[str, Path]:
        temporary = f"{results.trials}/.{trial.key}.{os.getpid()}-{secrets.token_hex(4)}"
        for path in (temporary, f"{temporary}/attempts", f"{temporary}/attempts/{_FIRST}"):
            os.mkdir(path)  # noqa: PTH102 (pathlib itself takes a third of the time of so many small files)
        for name, text in _files(trial, metric, about, now, _FIRST).items():
            _write(f"{temporary}/{name}", text)
        return temporary, results.trials / trial.key

    with ThreadPoolExecutor(_THREADS) as threads:
        written = list(threads.map(write, trials))
    if written:
        _sync_all()  # once for all, since syncing 40,000 files one by one takes minutes
    for temporary, folder in written:
        Path(temporary).rename(folder)
    sync_folder(results.trials)


def _sync_all() -> None:
    if hasattr(os, "sync"):  # not on Windows
        os.sync()


def _write(path: str, text: str) -> None:
    """Write a new file; Python's own `open` takes twice as long for a small one."""
    descriptor = os.open(path, open_flags(os.O_CREAT | os.O_EXCL | os.O_WRONLY), 0o666)
    try:
        rest = text.encode()
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def _files(trial: ImportedTrial, metric: str, about: Mapping[str, Any], now: float, attempt: str) -> dict[str, str]:
    """Name of a file in the trial's folder -> its text."""
    inside = f"attempts/{attempt}"
    spec = {"key": trial.key, "pretrain_key": trial.pretrain_key, **about, "config": trial.config}
    files = {"trial.json": json.dumps(spec) + "\n", f"{inside}/events.jsonl": _events(trial, metric, now)}
    if trial.run.curve:
        files[f"{inside}/metrics.jsonl"] = trial.run.curve
    if metric in trial.run.metrics:
        files["result.json"] = json.dumps(_result(trial, attempt), allow_nan=False) + "\n"
    return files


def _result(trial: ImportedTrial, attempt: str) -> dict[str, Any]:
    return {"key": trial.key, "attempt": attempt, "metrics": dict(trial.run.metrics)}


def _events(trial: ImportedTrial, metric: str, now: float) -> str:
    """The events of an attempt that was trained elsewhere: a run without a finite result has diverged."""
    run = trial.run
    facts = {FROM: run.source.address, DIGEST: run.source.digest, PLACE: run.place, COLUMN: metric}
    done = {"state": "done"} if metric in run.metrics else {
        "state": "failed", "cause": "diverged", "message": f"its source has no finite {metric}"
    }  # fmt: skip
    events = [
        {"event": "started", "time": now, "place": IMPORT},
        {"event": "environment", "time": now, "facts": facts},
        {"event": "ended", "time": now, **done},
    ]
    return "".join(json.dumps(event) + "\n" for event in events)


def replace_trials(
    results: Results, trials: Iterable[ImportedTrial], metric: str, about: Mapping[str, Any], now: float
) -> None:
    """Add an attempt with the new result to trials that have a record."""
    for trial in trials:
        folder = results.trial(trial.key)
        attempt = folder.new_attempt(IMPORT)
        for name, text in _files(trial, metric, about, now, attempt.name).items():
            if name.startswith("attempts/"):
                (folder.path / name).write_text(text, encoding="utf-8")
        folder.free_numbers()
        write_json(
            folder.trial, {"key": trial.key, "pretrain_key": trial.pretrain_key, **about, "config": trial.config}
        )
        if metric in trial.run.metrics:
            write_json(folder.result, _result(trial, attempt.name))
        else:
            folder.result.unlink(missing_ok=True)
