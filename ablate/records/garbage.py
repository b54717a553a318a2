"""What nothing needs any more below results/, and its removal.

trial         in no study's newest design, at any profile; neither running nor younger than a day
pretraining   checkpoints that no remaining trial uses
checkpoints   only when asked for: of pretrainings whose trials are all done. A later evaluation trains again
code          snapshots that no remaining attempt ran and no plan names, older than a day
leftover      temporary files and folders older than a day: their writer died
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ablate.errors import UserError
from ablate.records.attempt import trial_status
from ablate.records.claim import claim
from ablate.records.files import Results, TrialFolder
from ablate.records.plans import current_design, load_plans

DAY = 86_400.0
_TEMPORARY = re.compile(r"\..+\.\d+(-[0-9a-f]{8}|\.part)")
"""The names that records.files.write_bytes and simclr.files.write_whole give."""
Kind = Literal["trial", "pretraining", "checkpoints", "code", "leftover"]


@dataclass(frozen=True)
class Garbage:
    """One file or folder that may go."""

    kind: Kind
    path: Path
    why: str
    size: int
    """Bytes."""


def find_garbage(results: Results, now: float, checkpoints: bool = False, young: bool = False) -> list[Garbage]:
    """Everything that may go, in the order in which it should.

    checkpoints: also those of ended pretrainings. young: also trials and pretrainings of the last day, but no code:
    somebody's workers may be about to import it. Raises UserError where plans cannot be read, since what they ask
    for is not garbage.
    """
    age = 0.0 if young else DAY
    wanted, named = _asked_for(results)
    trials = [TrialFolder(path) for path in _folders(results.trials)]
    if trials and not wanted:
        told = f"{results.root / 'studies'} holds no plan, so that every trial would go"
        raise UserError(told, help="run a study first; or remove the folder of trials yourself, if that is meant")
    old = [folder for folder in trials if folder.path.name not in wanted and _may_go(folder, now, age)]
    gone = {folder.path for folder in old}
    remaining = [folder for folder in trials if folder.path not in gone]
    found: list[_Found] = [("trial", folder.path, "in no study's newest design") for folder in old]
    found += _pretrainings(results, remaining, now, age, checkpoints)
    used = named | {code for folder in remaining for code in _codes(folder)}
    found += [
        ("code", path, "no attempt ran it")
        for path in _folders(results.code)
        if path.name not in used and now - _changed(path) >= DAY
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
        if item.kind == "trial" and not _idle(TrialFolder(item.path)):
            needed.add(_read(TrialFolder(item.path).trial).get("pretrain_key"))
            continue
        if item.path.name in needed or not item.path.exists():
            continue
        if item.path.is_dir():
            away = item.path.with_name(f".{item.path.name}.{os.getpid()}-{os.urandom(4).hex()}")
            item.path.rename(away)
            os.utime(away)  # nobody else takes it for a leftover before a day is over
            shutil.rmtree(away)
        else:
            item.path.unlink(missing_ok=True)
        yield item


_Found = tuple[Kind, Path, str]


def _asked_for(results: Results) -> tuple[set[str], set[str]]:
    """The keys of all trials in any newest design, and the digests of code that any plan names."""
    keys: set[str] = set()
    codes: set[str] = set()
    for folder in _folders(results.root / "studies"):
        try:
            plans = load_plans(results, folder.name)
            for profile in {plan["profile"] for plan in plans}:
                keys |= {trial["key"] for plan in current_design(plans, profile) for trial in plan["trials"]}
            codes |= {str(plan["code"]) for plan in plans if plan.get("code")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            told = f"a plan in {folder} cannot be read ({error}); what it asks for would look like garbage"
            raise UserError(told, help="mend or remove that plan-N.json first; nothing was removed") from error
    return keys, codes


def _may_go(folder: TrialFolder, now: float, age: float) -> bool:
    try:
        running = trial_status(folder, now).state == "running"
    except (OSError, ValueError, KeyError):
        return False  # whoever reads it should look at it first
    return not running and now - _changed(folder.path) >= age


def _idle(folder: TrialFolder) -> bool:
    """Whether nobody is at a trial at this moment."""
    if not folder.path.is_dir():
        return False
    with claim(folder) as whose:
        return whose != "theirs" and trial_status(folder, time.time()).state != "running"


def _changed(path: Path) -> float:
    """When anything in a folder of ours was written last; two levels are enough to see an attempt's files."""
    newest = path.stat().st_mtime
    for pattern in ("*", "attempts/*/*"):
        newest = max([newest, *(entry.lstat().st_mtime for entry in path.glob(pattern))])
    return newest


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
        yield from (here / name for name in temporary if now - (here / name).lstat().st_mtime >= DAY)
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
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    names = (Path(folder) / name for folder, _, files in os.walk(path) for name in files)
    return sum(name.lstat().st_size for name in names)
