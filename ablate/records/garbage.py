"""What nothing needs any more below results/, and its removal.

trial         in no plan of any study, or in none of any study's newest design and not done; when asked for, also
              what is done of older designs. None that runs, that is younger than a day, or whose pretraining a
              trial that stays shares
pretraining   checkpoints that no remaining trial uses
checkpoints   only when asked for: of pretrainings whose trials are all done. A later evaluation trains again
code          snapshots that no remaining attempt ran, no plan names and no job is to run, older than a day
picture       drawn of the rest for a page, and used by none for a month; all of them when young ones go too
jobs          what the jobs of a cluster left beside the records, a day after the last of them ended
leftover      temporary files and folders older than a day: their writer died
"""

import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ablate.errors import UserError
from ablate.records.attempt import trial_status
from ablate.records.claim import claim
from ablate.records.files import Results, TrialFolder
from ablate.records.plans import current_design, load_plans

DAY = 86_400.0
_MONTH = 30 * DAY
_TEMPORARY = re.compile(r"\..+\.\d+(-[0-9a-f]{8}|\.part)")
"""The names that records.files.write_bytes and simclr.files.write_whole give."""
Kind = Literal["trial", "pretraining", "checkpoints", "code", "jobs", "picture", "leftover"]


@dataclass(frozen=True)
class Garbage:
    """One file or folder that may go."""

    kind: Kind
    path: Path
    why: str
    size: int
    """Bytes."""


def find_garbage(
    results: Results, now: float, checkpoints: bool = False, young: bool = False, abandoned: bool = False
) -> list[Garbage]:
    """Everything that may go, in the order in which it should.

    checkpoints: also those of ended pretrainings. young: also trials, pretrainings and pictures of the last day, but no
    code: somebody's workers may be about to import it. abandoned: also results of older designs. Raises UserError where
    plans cannot be read, since what they ask for is not garbage.
    """
    age = 0.0 if young else DAY
    asked = _asked_for(results)
    trials = [TrialFolder(path) for path in _folders(results.trials)]
    if trials and not asked.newest:
        told = f"{results.root / 'studies'} holds no plan, so that every trial would go"
        raise UserError(told, help="run a study first; or remove the folder of trials yourself, if that is meant")
    wanted = _wanted(trials, asked, abandoned)
    old = [folder for folder in trials if folder.path.name not in wanted and _may_go(folder, now, age)]
    gone = {folder.path for folder in old}
    remaining = [folder for folder in trials if folder.path not in gone]
    found: list[_Found] = [("trial", folder.path, _why(folder, asked)) for folder in old]
    found += _pretrainings(results, remaining, now, age, checkpoints)
    used = asked.codes | {code for folder in remaining for code in _codes(folder)}
    found += [
        ("code", path, "no attempt ran it")
        for path in _folders(results.code)
        if path.name not in used and now - _changed(path) >= DAY
    ]
    found += [
        ("jobs", path, "they have ended")
        for path in _folders(results.root / "slurm")
        if (path / "ended").exists() and now - _changed(path) >= DAY
    ]
    found += [
        ("picture", path, "no page has used it for long")
        for path in sorted(results.pictures.glob("*.json"))
        if now - _changed(path) >= (0.0 if young else _MONTH)
    ]
    inside = {path for _, path, _ in found}
    found += [("leftover", path, "its writer died") for path in _leftovers(results.root, inside, now)]
    return [Garbage(kind, path, why, _size(path)) for kind, path, why in found]


def remove(garbage: Iterable[Garbage]) -> Iterator[Garbage]:
    """Remove one after another, and give back what is gone.

    A trial that has begun meanwhile stays, with its checkpoints. A folder is renamed first: no reader sees half a
    trial, and what an interruption leaves goes the next time.
    """
    needed = set()
    for item in garbage:
        if item.path.name in needed or not item.path.exists():
            continue
        if item.path.is_dir():
            away = _trial_away(TrialFolder(item.path)) if item.kind == "trial" else _away(item.path)
            if away is None:
                needed.add(_read(TrialFolder(item.path).trial).get("pretrain_key"))
                continue
            with suppress(FileNotFoundError):  # what a late writer takes away itself; the rest goes the next time
                shutil.rmtree(away)
        else:
            item.path.unlink(missing_ok=True)
        yield item


def _trial_away(folder: TrialFolder) -> Path | None:
    """Rename a trial's folder while nobody else can begin it; None where somebody is at it."""
    with claim(folder) as whose:
        if whose == "theirs" or trial_status(folder, time.time()).state == "running":
            return None
        return _away(folder.path)


def _away(path: Path) -> Path | None:
    """Rename a folder to what a later removal takes for a leftover; None where it is gone."""
    away = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        path.rename(away)
    except FileNotFoundError:
        return None
    os.utime(away)  # nobody else takes it for a leftover before a day is over
    return away


_Found = tuple[Kind, Path, str]


@dataclass(frozen=True)
class _Asked:
    """What the plans of all studies name."""

    newest: set[str]
    """Keys of trials of the newest design of any study at any profile."""
    ever: set[str]
    """Keys of trials of any plan."""
    codes: set[str]
    """Digests of code."""
    queued: set[str]
    """Keys of trials that jobs of a cluster may have to train."""


def _asked_for(results: Results) -> _Asked:
    newest: set[str] = set()
    ever: set[str] = set()
    codes: set[str] = set()
    for folder in _folders(results.root / "studies"):
        try:
            plans = load_plans(results, folder.name)
            for profile in {plan["profile"] for plan in plans}:
                newest |= {trial["key"] for plan in current_design(plans, profile) for trial in plan["trials"]}
            ever |= {trial["key"] for plan in plans for trial in plan["trials"]}
            codes |= {str(plan["code"]) for plan in plans if plan.get("code")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            told = f"a plan in {folder} cannot be read ({error}); what it asks for would look like garbage"
            raise UserError(told, help="mend or remove that plan-N.json first; nothing was removed") from error
    queued: set[str] = set()
    for folder in _folders(results.root / "slurm"):
        if not (folder / "ended").exists():
            submission = _read(folder / "submission.json")
            codes.add(Path(str(submission.get("code"))).name)
            shares = [share for array in submission.get("arrays", ()) for share in array["shares"]]
            queued |= {key for share in shares for key in share["keys"]}
    return _Asked(newest, ever, codes, queued)


def _wanted(trials: list[TrialFolder], asked: _Asked, abandoned: bool) -> set[str]:
    """The keys of trials that stay: a run of a part, or with --set, abandons no result of the runs before it.

    Also those that share the pretraining of one that stays: the one that trained it has its curve and its cost.
    """
    results = set() if abandoned else {trial.path.name for trial in trials if trial.result.exists()}
    wanted = asked.newest | asked.queued | (asked.ever & results)
    pretrainings = {trial.path.name: _read(trial.trial).get("pretrain_key") for trial in trials}
    shared = {pretraining for key, pretraining in pretrainings.items() if key in wanted} - {None}
    return wanted | {key for key, pretraining in pretrainings.items() if pretraining in shared}


def _why(trial: TrialFolder, asked: _Asked) -> str:
    if trial.path.name not in asked.ever:
        return "in no plan of any study"
    return "in no study's newest design" + ("" if trial.result.exists() else ", and not done")


def _may_go(folder: TrialFolder, now: float, age: float) -> bool:
    try:
        running = trial_status(folder, now).state == "running"
    except (OSError, ValueError, KeyError):
        return False  # whoever reads it should look at it first
    return not running and now - _changed(folder.path) >= age


def _changed(path: Path) -> float:
    """When anything in a folder was written last; just now, where the folder is gone."""
    return max((entry.st_mtime for entry in _entries(path)), default=time.time())


def _pretrainings(results: Results, trials: list[TrialFolder], now: float, age: float, ended: bool) -> list[_Found]:
    users: dict[str, list[TrialFolder]] = {}
    for folder in trials:
        spec = _read(folder.trial)
        if "pretrain_key" not in spec:
            return []  # a damaged trial does not say which one it needs
        users.setdefault(spec["pretrain_key"], []).append(folder)
    found: list[_Found] = []
    for path in _folders(results.root / "pretrained"):
        if path.name not in users:
            if now - _changed(path) >= age:
                found.append(("pretraining", path, "no trial uses it"))
        elif ended and all(folder.result.exists() for folder in users[path.name]):
            found.append(("checkpoints", path, "all its trials are done"))
    return found


def _codes(folder: TrialFolder) -> set[str]:
    """The digests of code that a trial's attempts ran, and that it is to run."""
    said = [_read(folder.trial), *(_read(attempt / "env.json") for attempt in folder.attempt_folders())]
    return {str(each["code"]) for each in said if each.get("code")}


def _leftovers(root: Path, inside: set[Path], now: float) -> Iterator[Path]:
    """Old temporary files and folders, but none in a folder that goes as a whole."""
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        temporary = [name for name in (*folders, *files) if _TEMPORARY.fullmatch(name)]
        for name in temporary:
            with suppress(FileNotFoundError):  # its writer lives, and gave it its name
                if now - (here / name).lstat().st_mtime >= DAY:
                    yield here / name
        folders[:] = [name for name in folders if name not in temporary and here / name not in inside]


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))
    except FileNotFoundError:
        return []


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links count as themselves."""
    return sum(entry.st_size for entry in _entries(path) if not stat.S_ISDIR(entry.st_mode))


def _entries(path: Path) -> Iterator[os.stat_result]:
    """A file; or a folder and all in it, less links to folders, and what others take away meanwhile."""
    folders = os.walk(path) if not path.is_symlink() else ()
    names = (Path(folder) / name for folder, _, files in folders for name in ("", *files))
    for name in (path, *names):
        with suppress(FileNotFoundError, NotADirectoryError):
            yield name.lstat()
