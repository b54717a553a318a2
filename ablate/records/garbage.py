"""Garbage: files below results/ that are no longer needed, and their removal.

trial         in no plan, or unfinished and only in plans of earlier study versions (on request, finished ones too);
              never one that runs, is damaged, imported or younger than a day, or shares the pretraining of a kept trial
pretraining   checkpoints that no kept trial uses
checkpoints   only on request: of pretrainings whose trials are all done; a later evaluation would train again
code          snapshots that no kept attempt, plan or queued job uses, older than a day
picture       cached pictures that no page has used for a month; all of them if recent files are included
jobs          files of cluster jobs, a day after the last of them ended
leftover      temporary files and folders older than a day, whose writer crashed

Files and folders with other names than ablate gives are not its own, and stay. No link is followed: one in place of a
record is removed or kept by its name, and what it points to stays as it is.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablate.errors import AblateError, UserError
from ablate.records.attempt import environment_of, is_done, trial_status
from ablate.records.code import is_snapshot
from ablate.records.coordination import claim
from ablate.records.files import FOLDERS, KEY, Results, TrialFolder, folders
from ablate.records.import_trials import is_imported
from ablate.records.plans import current_keys, read_plans
from ablate.records.reading import Damaged, json_object, read_object, read_trial
from ablate.records.space import DAY, MONTH, is_closed, last_write, leftovers, older, size_of

Kind = Literal["trial", "pretraining", "checkpoints", "code", "jobs", "picture", "leftover"]
_Found = tuple[Kind, Path, str]
_Pretrainings = Mapping[TrialFolder, str | None]


@dataclass(frozen=True)
class Garbage:
    """One file or folder that may be removed."""

    kind: Kind
    path: Path
    why: str
    size: int
    """Bytes."""


def find_garbage(
    results: Results, now: float, checkpoints: bool = False, recent: bool = False, abandoned: bool = False
) -> list[Garbage]:
    """Everything that may be removed, in the order of removal.

    checkpoints: also checkpoints of finished pretrainings. recent: also trials, pretrainings and pictures of the last
    day, but not code, which workers may be about to import. abandoned: also results of earlier study versions. Raises
    UserError if a plan or a folder cannot be read, since what it needs is unknown.
    """
    age = 0.0 if recent else DAY
    _check_listed(results)
    planned = _planned(results)
    trials = [TrialFolder(path) for path in folders(results.trials, follow=False) if _has_key(path)]
    if trials and not planned.current:
        message = f"{results.root / 'studies'} contains no plan, so every trial would be removed"
        raise UserError(message, help="run a study first, or delete the trials folder yourself if you mean that")
    pretrainings = {folder: _pretraining_of(folder) for folder in trials}
    wanted = _wanted(pretrainings, planned, abandoned)
    trusted = () if results.trials.is_symlink() else trials
    old = dict.fromkeys(each for each in trusted if each.path.name not in wanted and _may_go(each, now, age))
    remaining = {folder: key for folder, key in pretrainings.items() if folder not in old}
    found: list[_Found] = [("trial", folder.path, _reason(folder, planned)) for folder in old]
    found += _pretrainings(results, remaining, now, age, checkpoints)
    code = _unused(older(_own(results.code, is_snapshot), now, DAY), planned, remaining)
    found += [("code", path, "not used by any attempt") for path in code]
    jobs = _own(results.submissions, lambda path: not path.is_symlink() and (path / "ended").exists())
    found += [("jobs", path, "jobs finished") for path in older(jobs, now, DAY)]
    cached = () if results.pictures.is_symlink() else sorted(filter(_has_key, results.pictures.glob("*.json")))
    pictures = older(cached, now, 0.0 if recent else MONTH)
    found += [("picture", path, "drawn again when needed" if recent else "unused for a month") for path in pictures]
    inside = {path for _, path, _ in found}
    found += [("leftover", path, "left by a crashed writer") for path in leftovers(results.root, inside, now)]
    link = {True: "; a link, whose target stays", False: ""}
    return [Garbage(kind, path, why + link[path.is_symlink()], size_of(path)) for kind, path, why in found]


def left_alone(results: Results) -> list[Path]:
    """The folders that are not searched, since links stand in their place."""
    return [path for path in (results.root / name for name in FOLDERS) if path.is_symlink()]


def remove(garbage: Iterable[Garbage]) -> Iterator[Garbage]:
    """Remove the items one by one and yield each removed item.

    A trial that has started since then is kept, with its checkpoints. A folder is first renamed, so that no reader sees
    half a trial and a later call removes what an interruption leaves. Raises AblateError at the end if items remain.
    """
    needed, refused = set[str | None](), list[str]()
    for item in garbage:
        if item.path.name in needed or not os.path.lexists(item.path):
            continue
        place = item.path
        try:
            if place.is_symlink() or not place.is_dir():
                place.unlink()
            else:
                away = _trial_away(TrialFolder(place)) if item.kind == "trial" else _away(place)
                if away is None:
                    needed.add(_pretraining_of(TrialFolder(place)))
                    continue
                place = away
                with suppress(FileNotFoundError):  # a late writer removed a file itself; the next call removes the rest
                    shutil.rmtree(place)
        except FileNotFoundError:  # another process has removed it
            continue
        except OSError as error:
            refused.append(f"{place}: {error.strerror or error}")
            continue
        yield item
    if refused:
        more = f"; and {len(refused) - 3:,} more" if len(refused) > 3 else ""
        help = "  help: where permission is denied, remove it as its owner"
        raise AblateError(f"error: could not be removed: {'; '.join(refused[:3])}{more}\n{help}")


def _trial_away(folder: TrialFolder) -> Path | None:
    """Rename a trial's folder while holding its claim; None if another process runs it."""
    with claim(folder, create=False) as held:
        if held == "theirs" or trial_status(folder, time.time()).state == "running":
            return None
        return _away(folder.path)


def _away(path: Path) -> Path:
    """Rename a folder so that a later removal treats it as a leftover."""
    away = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    path.rename(away)
    os.utime(away, follow_symlinks=False)  # for a day, no other process treats it as a leftover
    return away


@dataclass(frozen=True)
class _Planned:
    """Trials and code that plans and cluster jobs name."""

    current: set[str]
    """Keys of trials of the current version of any study at any profile."""
    ever: set[str]
    """Keys of trials of any plan, past or present."""
    codes: set[str]
    """Digests of code snapshots."""
    queued: set[str]
    """Keys of trials that cluster jobs may still train."""


def _planned(results: Results) -> _Planned:
    planned = _Planned(set(), set(), set(), set())
    for folder in folders(results.root / "studies"):
        plans, damage = read_plans(results, folder.name)
        if damage:
            raise _unread(f"a plan in {folder}", damage[0])
        planned.current.update(current_keys(plans))
        planned.ever.update(trial.key for plan in plans for trial in plan.trials)
    for folder in folders(results.submissions):
        if (folder / "submission.json").exists() and not (folder / "ended").exists():
            try:
                submission = json_object(folder / "submission.json")
                planned.codes.add(Path(submission["code"]).name)
                shares = [share for array in submission["arrays"] for share in array["shares"]]
                planned.queued.update(key for share in shares for key in share["keys"])
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise _unread(folder / "submission.json", error) from error
    return planned


def _check_listed(results: Results) -> None:
    """Raise UserError where trials, plans or jobs cannot be listed: what only they name would look unneeded."""
    parts = (results.trials, results.root / "studies", results.submissions)
    for path in (*parts, *(each for part in parts[1:] for each in folders(part, follow=False))):
        try:
            os.scandir(f"{path}/.").close()
        except OSError as error:
            harmless = path not in parts and isinstance(error, NotADirectoryError)  # a link to a file
            if os.path.lexists(path) and not harmless:
                raise _unread(path, error.strerror) from error


def _unread(what: str | Path, error: object) -> UserError:
    message = f"{what} cannot be read ({error}), so what only it needs would look unneeded; nothing was removed"
    return UserError(message, help="mount its disk if it is a link to one; otherwise repair or remove it")


def _wanted(pretrainings: _Pretrainings, planned: _Planned, abandoned: bool) -> set[str]:
    """The keys of trials to keep. A run of a part of a study, or with --set, abandons no earlier result.

    Imported ones are always kept, as are trials that share the pretraining of a kept trial: one of them trained it.
    """
    wanted = planned.current | planned.queued
    earlier = set[str]() if abandoned else planned.ever
    others = [each for each in pretrainings if each.path.name not in wanted]
    done = {each.path.name for each in others if each.path.is_symlink() or is_closed(each.path) or each.result.exists()}
    wanted |= (earlier & done) | {each.path.name for each in others if is_imported(each)}
    shared = {pretraining for trial, pretraining in pretrainings.items() if trial.path.name in wanted} - {None}
    return wanted | {trial.path.name for trial, pretraining in pretrainings.items() if pretraining in shared}


def _pretraining_of(folder: TrialFolder) -> str | None:
    with suppress(OSError, Damaged):
        return read_trial(folder.trial).pretrain_key
    return None


def _reason(trial: TrialFolder, planned: _Planned) -> str:
    if trial.path.name not in planned.ever:
        return "in no study's plan"
    return "only in earlier study versions" + ("" if is_done(trial) else ", and not done")


def _may_go(folder: TrialFolder, now: float, age: float) -> bool:
    with suppress(OSError):
        kept = not folder.path.is_symlink() and trial_status(folder, now).state in ("running", "damaged")
        return not kept and now - last_write(folder.path) >= age
    return False


def _pretrainings(results: Results, trials: _Pretrainings, now: float, age: float, ended: bool) -> list[_Found]:
    users: dict[str, list[TrialFolder]] = {}
    for folder, key in trials.items():
        if key is None:
            return []  # a damaged trial does not name the pretraining that it needs
        users.setdefault(key, []).append(folder)
    found: list[_Found] = []
    for path in _own(results.root / "pretrained", _has_key):
        if path.name not in users:
            if now - last_write(path) >= age:
                found.append(("pretraining", path, "not used by any trial"))
        elif ended and not path.is_symlink() and all(map(is_done, users[path.name])):
            found.append(("checkpoints", path, "all its trials are done"))
    return found


def _unused(code: list[Path], planned: _Planned, trials: Iterable[TrialFolder]) -> list[Path]:
    """The snapshots that neither plans and jobs nor trials name; reads no more trials than it takes to find them."""
    unused = {path.name for path in code} - planned.codes
    for folder in trials:
        if not unused or is_closed(folder.path):
            return []
        records = [read_object(folder.trial), *map(environment_of, folder.attempt_folders())]
        unused -= {str(digest) for record in records if (digest := record.get("code"))}
    return [path for path in code if path.name in unused]


def _own(path: Path, is_ours: Callable[[Path], object]) -> list[Path]:
    """The folders and links of ours in a folder of records; nothing if it is a link, or a file."""
    return [] if path.is_symlink() or not path.is_dir() else list(filter(is_ours, folders(path, follow=False)))


def _has_key(path: Path) -> bool:
    return KEY.fullmatch(path.name.removesuffix(".json")) is not None
