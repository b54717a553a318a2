"""Files of the results folder: their layout, and atomic writes that leave a file complete or absent.

results/trials/<key>/trial.json                    the resolved config; written once
results/trials/<key>/attempts/<n>-<where>/         written only by that attempt
results/trials/<key>/result.json                   present if the trial is done
results/trials/<key>/cancel                        present if cancelling was requested
results/trials/<key>/.claim                        locked by the process that runs the trial
results/code/<digest>/                             snapshots of the code that workers ran
results/pretrained/<pretrain key>/                 checkpoints, shared by trials that differ only in their evaluation
results/studies/<study>/plan-<n>.json              the trials that a run of a study planned
results/damaged/<key>-<n>/                         records of trials that could not be believed, set aside by a run
results/pictures/<digest>.json                     pictures for pages, derived from the rest
results/ablate.duckdb                              derived from the rest
"""

import json
import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.errors import UserError

FOLDERS = ("trials", "studies", "code", "pretrained", "pictures", "damaged", "slurm", "published")
KEY = re.compile(r"[0-9a-f]{64}")
"""The name of the folder of a trial or of a pretraining."""
_ATTEMPT, _PLAN = re.compile(r"(\d+)-."), re.compile(r"plan-(\d+)\.json$")  # the names of attempts and plans
_LARGEST_GAP = 1_000_000
"""Between the number of an attempt or a plan and how many there are: a larger number was not given by ablate."""


@dataclass(frozen=True)
class Results:
    """The folder of all records."""

    root: Path
    store: Path | None = None
    """The DuckDB file, if it is not in the results folder."""
    published: Path | None = None
    """The file of published records that these records were restored from, which has one study at one profile."""

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
        """One folder per code snapshot, named by its digest."""
        return self.root / "code"

    @property
    def pictures(self) -> Path:
        """One file per picture, named by the digest of its inputs."""
        return self.root / "pictures"

    @property
    def submissions(self) -> Path:
        """One folder per submission to a cluster."""
        return self.root / "slurm"

    def plans(self, study: str) -> Path:
        """The folder of a study's plans."""
        return self.root / "studies" / study


def check_folders(results: Results, study: str) -> None:
    """Raise UserError if the place of a folder is taken by a file or by a link to nothing, as of an unmounted disk."""
    for path in (results.root, *(results.root / name for name in FOLDERS), results.plans(study)):
        if os.path.lexists(path) and not path.is_dir():
            help = "if it links to a disk that is not mounted, mount it; otherwise rename or remove it, and run again"
            raise UserError(f"{path} is not a folder", help=help)


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial."""

    path: Path

    @property
    def trial(self) -> Path:
        """The resolved config with its keys."""
        return self.path / "trial.json"

    @property
    def pretrain_key(self) -> str:
        """The key of its pretraining, from trial.json; the trial's own key if that cannot be read."""
        # Imported here because pydantic is slow to import, and most commands only need paths.
        from ablate.records.reading import read_object

        return str(read_object(self.trial).get("pretrain_key", self.path.name))

    @property
    def result(self) -> Path:
        """The trial's numbers, written last by the attempt that finished."""
        return self.path / "result.json"

    @property
    def cancel(self) -> Path:
        """Present if cancelling the trial was requested."""
        return self.path / "cancel"

    @property
    def claim(self) -> Path:
        """Locked by the process that runs the trial."""
        return self.path / ".claim"

    @property
    def attempts(self) -> Path:
        """One folder per attempt."""
        return self.path / "attempts"

    def new_attempt(self, where: str) -> Path:
        """Create the folder of the next attempt, `<n>-<where>`; no two processes get the same number.

        A file reserves the number, since two names with one number could both be created; `free_numbers` removes it.
        """
        self.attempts.mkdir(parents=True, exist_ok=True)
        number = 1 + max(map(attempt_number, self.attempt_folders()), default=0)
        while True:
            try:
                (self.attempts / f".{number:03d}").touch(exist_ok=False)
            except FileExistsError:
                number += 1
                continue
            if number in map(attempt_number, self.attempt_folders()):  # created and freed since the first listing
                number += 1
                continue
            attempt = self.attempts / f"{number:03d}-{where}"
            attempt.mkdir()
            return attempt

    def free_numbers(self) -> None:
        """Remove the files that reserve numbers of attempts whose folders exist: these keep the numbers."""
        for number in map(attempt_number, self.attempt_folders()):
            with suppress(OSError):  # what remains only takes space
                (self.attempts / f".{number:03d}").unlink(missing_ok=True)

    def attempt_folders(self) -> list[Path]:
        """The folders of all attempts, oldest first; anything else among them is skipped."""
        try:
            return [self.attempts / name for name in attempt_names(str(self.attempts))]
        except OSError:
            return []


def attempt_names(folder: str) -> list[str]:
    """The names of the attempts in a folder, oldest first. Raises OSError if it exists but cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            names = [name for each in entries if _ATTEMPT.match(name := each.name) and _is_folder(each)]
    except OSError:
        if os.path.lexists(folder):
            raise
        return []
    return numbered(filter(is_text, names), _ATTEMPT)


def numbered(names: Iterable[str], pattern: re.Pattern[str]) -> list[str]:
    """Names sorted by the number in the pattern's first group, without those whose number is absurdly large.

    The next number, one more than the last, is therefore never absurd itself.
    """
    found = sorted((int(match[1]), name) for name in names if (match := pattern.match(name)))
    return [name for number, name in found if number <= len(found) + _LARGEST_GAP]


def plan_paths(folder: Path) -> list[Path]:
    """A study's plan files, oldest first; other files are skipped."""
    return [folder / name for name in numbered((path.name for path in folder.glob("plan-*.json")), _PLAN)]


def attempt_number(attempt: Path | str) -> int:
    """3 of `003-local`; the folder of an attempt, or its name."""
    return int((attempt if isinstance(attempt, str) else attempt.name).partition("-")[0])


def folders(path: Path, follow: bool = True) -> list[Path]:
    """The folders in a folder, sorted, except hidden ones that a writer or a removal left; none if it cannot be listed.

    follow: links to folders count as such; otherwise every link is listed, and it is for the caller not to enter it.
    """
    try:
        with os.scandir(path) as entries:
            seen = [each for each in entries if not each.name.startswith(".") and is_text(each.name)]
            return sorted(Path(each.path) for each in seen if _is_folder(each) or (each.is_symlink() and not follow))
    except OSError:
        return []


def is_text(name: str) -> bool:
    """Whether a name can be shown and stored: records of ablate have no other names."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write a JSON file that is complete or absent, even after a power failure. indent: None for a single line."""
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file that is complete or absent."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a temporary file that only its owner may change, whatever the umask, sync it, and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # the error of a full disk names no file
        raise
    finally:
        temporary.unlink(missing_ok=True)
    with suppress(OSError):  # the file stands and is read: an error now must not say that it was not written
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder, or the content of a file, survive a power failure."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
