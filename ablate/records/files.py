"""Where everything lies below `results/`, and how a file is written so that it is whole or absent.

results/trials/<key>/trial.json                    the resolved config; written once
results/trials/<key>/attempts/<n>-<where>/         what one attempt writes, and nobody else
results/trials/<key>/result.json                   its presence means done
results/trials/<key>/cancel                        someone asked that it end
results/trials/<key>/.claim                        locked by the process that is at it
results/code/<digest>/                             the code that workers ran
results/pretrained/<pretrain key>/                 checkpoints, shared by trials that differ in their evaluation only
results/studies/<study>/plan-<n>.json              which trials a run of a study asked for
results/pictures/<digest>.json                     what pages show of images, drawn from the rest
results/ablate.duckdb                              derived from the rest
"""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Results:
    """The folder that holds all records."""

    root: Path
    store: Path | None = None
    """The DuckDB file, where it is not to be the one among the records."""

    @property
    def database(self) -> Path:
        """The DuckDB file over all records."""
        return self.store or self.root / "ablate.duckdb"

    @property
    def trials(self) -> Path:
        """One folder per trial, named by its key."""
        return self.root / "trials"

    def trial(self, key: str) -> "TrialFolder":
        """The folder of one trial."""
        return TrialFolder(self.trials / key)

    def pretrained(self, key: str) -> Path:
        """The folder of the checkpoints of one pretraining."""
        return self.root / "pretrained" / key

    @property
    def code(self) -> Path:
        """One folder per state of the code that workers ran, named by its digest."""
        return self.root / "code"

    @property
    def pictures(self) -> Path:
        """One file per picture of a page, named by the digest of what it was drawn from."""
        return self.root / "pictures"

    def plans(self, study: str) -> Path:
        """The folder of a study's plans."""
        return self.root / "studies" / study


@dataclass(frozen=True)
class TrialFolder:
    """What one trial leaves behind."""

    path: Path

    @property
    def trial(self) -> Path:
        """The resolved config with its identity."""
        return self.path / "trial.json"

    @property
    def pretrain_key(self) -> str:
        """What names its pretraining, from its record; its own key where that cannot be read."""
        try:
            return str(json.loads(self.trial.read_text(encoding="utf-8"))["pretrain_key"])
        except (OSError, ValueError, KeyError, TypeError):
            return self.path.name

    @property
    def result(self) -> Path:
        """The numbers; written last, by the attempt that finished."""
        return self.path / "result.json"

    @property
    def cancel(self) -> Path:
        """Its presence asks that the trial end."""
        return self.path / "cancel"

    @property
    def claim(self) -> Path:
        """Locked by the process that is at the trial."""
        return self.path / ".claim"

    @property
    def attempts(self) -> Path:
        """One folder per attempt."""
        return self.path / "attempts"

    def new_attempt(self, place: str) -> Path:
        """Make the folder of the next attempt, `<n>-<place>`; no two processes get the same number."""
        self.attempts.mkdir(parents=True, exist_ok=True)
        number = 1 + max(map(attempt_number, self.attempt_folders()), default=0)
        while True:
            try:
                (self.attempts / f".{number:03d}").touch(exist_ok=False)  # the claim, which is never taken back
            except FileExistsError:
                number += 1
                continue
            attempt = self.attempts / f"{number:03d}-{place}"
            attempt.mkdir()
            return attempt

    def attempt_folders(self) -> list[Path]:
        """The folders of all attempts, oldest first."""
        try:
            paths = [path for path in self.attempts.iterdir() if not path.name.startswith(".")]
        except FileNotFoundError:
            return []
        return sorted(paths, key=attempt_number)


def attempt_number(path: Path) -> int:
    """3 of `003-local`."""
    return int(path.name.partition("-")[0])


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that is whole or absent, also when the machine loses power."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file that is whole or absent."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write to a temporary name beside the file, sync, and rename over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say where it is
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
