"""Snapshots of the code that workers run: later edits do not reach a trial that was submitted before them.

results/code/<digest>/<package>/...     the package ablate, and the package or modules of a trainer of your own
results/code/<digest>/project/...       the files of a study whose trainer is a command
results/code/<digest>/files.sha256      the hash of each file, as `sha256sum --check` reads it, and each link
results/code/<digest>/code.json         the commits, and what was left out, with the reason
results/code/<digest>/diff.patch        uncommitted changes; absent where there are none

The digest is the hash of files.sha256. A snapshot is never changed; where it was damaged, another copy of the same code
goes to <digest>-2. Left out: what git ignores, secrets, and links out of the project. Data files become
links to where they are.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from ablate.errors import UserError
from ablate.records.content import DIGITS, HIDDEN, Content, is_secret
from ablate.records.files import Results, sync_folder
from ablate.records.provenance import PACKAGE, PROJECT, git_diff, read_about, state_of
from ablate.records.reading import read_object
from ablate.records.together import together

_LONGEST_PATCH = 1_000_000
_NAME = re.compile(rf"[0-9a-f]{{{DIGITS}}}(-\d+)?")
_HASHES = "files.sha256"
_BESIDE = {_HASHES, "code.json", "diff.patch"}


@dataclass(frozen=True)
class Snapshot:
    """A copy of the code, to put first on sys.path."""

    folder: Path
    notes: tuple[str, ...] = ()
    """Sentences for the user: what was left out, and damage of an earlier copy."""

    @property
    def digest(self) -> str:
        """The name of the folder: the first digits of the SHA-256 over all files; then -2 for a second copy."""
        return self.folder.name


def snapshot(results: Results, extra: Sequence[Path] = (), files: Sequence[str] = ()) -> Snapshot:
    """Copy this package and further packages or modules, unless an undamaged copy exists.

    files: paths of single files, relative to the working folder.
    """
    sources = _sources(extra, files)
    content = _collect(results.root, sources, files)
    states = {name: state_of(path, files if name == PROJECT else ()) for name, path in sources.items()}
    about = {
        **vars(states[PACKAGE.name]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "sources": [{"name": name, "path": str(path), **vars(states[name])} for name, path in sources.items()],
        "files": list(files),
        "left_out": content.left_out,
    }
    clean = all(state.modified is False for state in states.values())
    folder, notes = _place(results.code.absolute(), content, clean)
    if not folder.exists():
        changed = [(path, files if name == PROJECT else ()) for name, path in sources.items() if states[name].modified]
        patch = "".join(git_diff(path, lambda each: _in_patch(each, content), of) for path, of in changed)
        folder = _write(folder, content, about, patch)
    return Snapshot(folder, (*notes, *_left_out(content)))


def snapshot_folder(results: Results, extra: Sequence[Path] = (), files: Sequence[str] = ()) -> Path:
    """The folder of the snapshot that would be made now; writes nothing."""
    return _place(results.code.absolute(), _collect(results.root, _sources(extra, files), files), False)[0]


def checked(folder: Path) -> Snapshot:
    """A snapshot before its use: the same, or another copy of the same code if it was damaged.

    Raises UserError if it was damaged and the code has changed since. A folder that is not a snapshot is not checked.
    """
    if not is_snapshot(folder) or not (what := damage(folder)):
        return Snapshot(folder)
    about = read_object(folder / "code.json")
    content = _collect_again(folder, about)
    if content is None or content.digest() != folder.name[:DIGITS]:
        message = f"the snapshot {folder} cannot be used: {what}"
        raise UserError(
            message, help="the code has changed since it was made; run again to train with the present code"
        )
    place, notes = _place(folder.parent, content, False)
    return Snapshot(place if place.exists() else _write(place, content, about, ""), tuple(notes))


def _collect_again(folder: Path, about: dict[str, Any]) -> Content | None:
    """The present code that a snapshot was made of; None if it is gone."""
    try:
        known = {str(each["name"]): Path(each["path"]) for each in about["sources"]}
        return _collect(folder.parents[1], {PACKAGE.name: PACKAGE} | known, about.get("files", ()))
    except (OSError, KeyError, TypeError):
        return None


def is_snapshot(folder: Path) -> bool:
    """Whether a folder has the name of a snapshot."""
    return bool(_NAME.fullmatch(folder.name))


def damage(folder: Path) -> str | None:
    """How a snapshot differs from its digest; None if it does not. Caches that Python wrote into it are removed."""
    try:
        listed = (folder / _HASHES).read_bytes()
        if hashlib.sha256(listed).hexdigest()[:DIGITS] != folder.name[:DIGITS]:
            return f"{_HASHES} has changed"
        expected = _parsed(listed.decode("utf-8", "surrogateescape"))
        found = _on_disk(folder, expected)
    except OSError as error:
        return f"{error.filename or _HASHES} cannot be read: {error.strerror}"
    odd = [
        f"{name} {'is missing' if name not in found else 'has changed' if name in expected else 'was added'}"
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]
    return ", ".join(odd[:3]) + (f" and {len(odd) - 3} more" if len(odd) > 3 else "") or None


def _sources(extra: Sequence[Path], files: Sequence[str]) -> dict[str, Path]:
    """Name -> path, of this package and of further packages or modules; links at the top are followed."""
    sources = {PACKAGE.name: PACKAGE} | ({PROJECT: Path.cwd()} if files else {})
    for path in extra:
        sources.setdefault(path.name, path.resolve())
    return sources


def _collect(results: Path, sources: dict[str, Path], files: Sequence[str]) -> Content:
    content = Content(results.resolve())
    if files:
        content.add_files(sources[PROJECT], files, PROJECT)
    packages = [(name, path) for name, path in sources.items() if name != PROJECT]
    own, beside = dict(packages[:2]), dict(packages[2:])  # ablate and the trainer come first
    for name, path in own.items():
        content.add(path, name)
    if beside:
        content.add_beside(list(own.values())[-1], beside)
    return content


def _left_out(content: Content) -> Iterator[str]:
    """A sentence about what a snapshot lacks, without hidden files, which trainers rarely need."""
    shown = [f"{name} ({why})" for name, why in sorted(content.left_out.items()) if why != HIDDEN]
    more = f" and {len(shown) - 3} more (listed in code.json)" if len(shown) > 3 else ""
    if shown:
        yield f"the snapshot of the code leaves out {', '.join(shown[:3])}{more}"


def _in_patch(path: Path, content: Content) -> bool:
    """Whether a changed file may stand in the patch: one in the snapshot, or one that was deleted."""
    return path in content.origins or not (os.path.lexists(path) or any(is_secret(Path(part)) for part in path.parts))


def _place(parent: Path, content: Content, clean: bool) -> tuple[Path, list[str]]:
    """The folder of a usable copy or, if there is none, the name for a new one; and the damage of others.

    clean: all code is committed, so a copy that was made before its commit does not name the right one.
    """
    notes: list[str] = []
    for number in count(1):
        folder = parent / (content.digest() + (f"-{number}" if number > 1 else ""))
        if not os.path.lexists(folder):
            return folder, notes
        if what := damage(folder):
            notes.append(f"the snapshot {folder} cannot be used: {what}; trials run another copy of the same code")
        elif not (clean and _was_modified(folder)):
            with suppress(OSError):
                os.utime(folder)  # for a day, `ablate gc` leaves it alone
            return folder, notes
    raise AssertionError


def _was_modified(folder: Path) -> bool:
    about = read_about(folder / PACKAGE.name)
    return about is not None and any(source["modified"] for source in about[1]["sources"])


def _parsed(listed: str) -> dict[str, str]:
    """Name -> hash, or target of a link, of each line of files.sha256."""
    lines = [line for line in listed.split("\n") if line]
    hashes = {line[66:]: line[:64] for line in lines if not line.startswith("# ")}
    links = (line[2:].split(" -> ", 1) for line in lines if line.startswith("# "))
    return hashes | {name: f"-> {target}" for name, target in links}


def _on_disk(folder: Path, expected: dict[str, str]) -> dict[str, str]:
    """The same of the files and links that a snapshot has; an unexpected file is not read."""
    found = {}

    def fail(error: OSError) -> None:
        raise error

    for here, inner, names in os.walk(folder, onerror=fail):
        if "__pycache__" in inner:  # Python would run a cache in place of the code that is checked here
            inner.remove("__pycache__")
            shutil.rmtree(Path(here, "__pycache__"))
        for path in (Path(here, name) for name in (*inner, *names)):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            elif name in expected and path.is_file():
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            elif not path.is_dir() and name not in _BESIDE:
                found[name] = "added"
    return found


def _write(folder: Path, content: Content, about: dict[str, Any], patch: str) -> Path:
    """Write a snapshot under a temporary name, sync it, and rename it; returns its folder.

    Only its owner may read it: code may hold what others must not see.
    """
    if len(patch) > _LONGEST_PATCH:
        patch = f"{patch[:_LONGEST_PATCH]}\n(truncated: the patch is longer than 1 MB)\n"
    texts = {_HASHES: content.listing(), "code.json": json.dumps(about, indent=2) + "\n", "diff.patch": patch}
    files = content.files | {name: text.encode("utf-8", "surrogateescape") for name, text in texts.items() if text}
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}-{secrets.token_hex(4)}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        inside = {parent for name in (*files, *content.links) for parent in (temporary / name).parents}
        inside = {parent for parent in inside if parent.is_relative_to(temporary)}
        for each in sorted(inside):
            each.mkdir(mode=0o700)
        for name, target in content.links.items():
            (temporary / name).symlink_to(target)
        _write_synced({temporary / name: data for name, data in files.items()})
        together(sync_folder, inside)
        try:
            temporary.rename(folder)
        except OSError:  # another process wrote the same code first
            if damage(folder):
                raise
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _write_synced(files: dict[Path, bytes]) -> None:
    """Write all files before waiting for the first, so that the disk takes them together."""
    for path, data in files.items():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    together(sync_folder, files)
