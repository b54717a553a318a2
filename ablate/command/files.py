"""The files of a project that a command needs: found from its words, identified by content, copied for a trial."""

import contextlib
import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from ablate.errors import InvalidValue, UserError, nearest
from ablate.trainer.find import imported_beside

MOST_FILES = 1000
MOST_BYTES = 10_000_000
"""A larger file is not copied: it becomes a link."""
DIGITS = 16
"""Digits of a file's hash in a trial's settings."""
_AGAIN = "plan the trial again with ablate run"
_SCRIPT = re.compile(r"[\w./-]+\.(?:py|sh|bash|R|r|jl|lua|pl|rb|js|ts|m|ipynb)")
_LEFT_OUT = ("__pycache__", ".ipynb_checkpoints")


def matching(project: Path, pattern: str) -> list[str]:
    """The files that an entry of `files` names: a path, a folder with all below it, or a pattern with * and **.

    Raises InvalidValue if there are none, if one lies outside of the project, or if there are too many.
    """
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise InvalidValue("lies outside of the project", "name files below the folder in which ablate runs")
    found = [path for path in project.glob(pattern) if path.exists()] if pattern else []
    inside = (child for path in found for child in (path.rglob("*") if path.is_dir() else [path]))
    names = sorted({_name(path, project) for path in inside if path.is_file() and not _left_out(path, project)})
    if not names:
        known = (
            [path.name for path in (project / pattern).parent.glob("*")] if not re.search(r"[*?\[]", pattern) else []
        )
        message = f"does not exist in {project}{nearest(Path(pattern).name, known)}"
        raise InvalidValue(message, "paths are relative to the folder in which ablate runs")
    if len(names) > MOST_FILES:
        message = f"matches {len(names):,} files; the maximum is {MOST_FILES:,}"
        raise InvalidValue(message, "pass the path of data as {project}/data instead")
    return names


def _name(path: Path, project: Path) -> str:
    return path.relative_to(project).as_posix()


def _left_out(path: Path, project: Path) -> bool:
    return any(part in _LEFT_OUT or part.startswith(".") for part in path.relative_to(project).parts[:-1])


def named_by(word: str, project: Path) -> str | None:
    """The file of the project that a word without placeholders names, as `train.py` or `--config=small.yaml`.

    Raises InvalidValue if it looks like a script that does not exist, or if it is a folder.
    """
    path = word.partition("=")[2] if word.startswith("-") and "=" in word else word
    if not path or "{" in path or path.startswith("-") or Path(path).is_absolute() or ".." in Path(path).parts:
        return None
    try:
        there = project / path
        if there.is_file():
            return _name(there, project)
        folder = "/" in path and there.is_dir()
    except OSError:  # a word that no file can be called
        return None
    if folder:
        raise InvalidValue("is a folder, which the command will not find", f"write {{project}}/{path}")
    if _SCRIPT.fullmatch(path):
        known = sorted(other.name for other in there.parent.glob("*") if other.is_file())
        message = f"names a file that does not exist in {project}{nearest(there.name, known)}"
        raise InvalidValue(message, "paths are relative to the folder in which ablate runs")
    return None


def needed(project: Path, words: Sequence[str], patterns: Iterable[str]) -> tuple[str, ...]:
    """All files that a command needs, as paths in the project; entries that are invalid are left out.

    Those that `files` and the words name, and the modules and packages beside a Python script that it imports.
    """
    names: set[str] = set()
    for pattern in patterns:
        with contextlib.suppress(InvalidValue):
            names.update(matching(project, pattern))
    for word in words:
        with contextlib.suppress(InvalidValue):
            if (name := named_by(word, project)) is None:
                continue
            names.add(name)
            for path in imported_beside(project / name) if name.endswith(".py") else ():
                names.update(matching(project, _name(path, project)))
    return tuple(sorted(names))


def hashes(project: Path, names: Iterable[str]) -> dict[str, str]:
    """Path -> the beginning of the SHA-256 of each file. Raises ValueError for one that cannot be read."""
    found = {}
    for name in names:
        try:
            status = (project / name).stat()
            found[name] = _hash(project / name, status.st_size, status.st_mtime_ns)
        except OSError as error:
            raise ValueError(f"{name} cannot be read: {error.strerror}") from error
    return found


@cache
def _hash(path: Path, size: int, changed: int) -> str:
    """The hash of a file as it was when it had this size and this time of its last change."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]


def copy_into(folder: Path, project: Path, expected: Mapping[str, str]) -> None:
    """Copy files into the folder in which a command starts; large ones become links, as they are in the snapshot.

    expected: path -> hash, when the trial was planned. A file that begins with `#!` can be executed. Raises UserError
    if a file is missing or has changed since.
    """
    for name, digest in expected.items():
        source, target = project / name, folder / name
        if not source.is_file():
            raise UserError(f"the trial needs {name}, which {project} does not have any more", help=_AGAIN)
        if hashes(project, [name])[name] != digest:
            raise UserError(f"{name} has changed since the trial was planned", help=_AGAIN)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink() or source.stat().st_size > MOST_BYTES:
            target.symlink_to(source.resolve())
            continue
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            if file.read(2) == b"#!":
                target.chmod(0o700)
