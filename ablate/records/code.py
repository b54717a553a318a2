"""The code that workers run: one copy for each state of it, so that no edit reaches a trial that was asked for before.

results/code/<digest>/<package>/...     the package ablate, and that of someone's own trainer
results/code/<digest>/code.json         the commits they come from
results/code/<digest>/diff.patch        how they differ from those; absent where they do not
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ablate.records.files import Results, write_json, write_text
from ablate.records.git import GitState, git_diff, git_state

PACKAGE = Path(__file__).parents[1]
_CODE = {".py", ".pyi", ".j2", ".so", ".pyd"}
"""A folder that directly holds one of these is copied."""
_BESIDE = {".csv", ".json", ".toml", ".yaml", ".yml", ".txt"}
"""Copied from such a folder where they are small; all else is linked to."""
_SMALL = 1_000_000
_LONGEST_PATCH = 1_000_000
_DIGITS = 16


@dataclass(frozen=True)
class Snapshot:
    """A copy of the code, to be put first on sys.path."""

    folder: Path

    @property
    def digest(self) -> str:
        """Digits of the SHA-256 over the names and contents of all files."""
        return self.folder.name


def snapshot(results: Results, extra: Sequence[Path] = ()) -> Snapshot:
    """Copy this package and further packages or modules, unless the same code lies there already.

    Files beside a package's code, like data, are links to where they are; a module of a single file is copied alone.
    """
    sources = {PACKAGE.name: PACKAGE}
    for path in extra:
        sources.setdefault(path.name, path.absolute())
    content = _Content(results.root.absolute())
    for name, path in sorted(sources.items()):
        content.collect(path, name)
    folder = results.code.absolute() / content.digest()
    states = {name: _state(path) for name, path in sources.items()}
    about = {
        "commit": states[PACKAGE.name].commit,
        "modified": states[PACKAGE.name].modified,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "sources": [{"name": name, "path": str(path), **vars(states[name])} for name, path in sources.items()],
    }
    if not folder.exists():
        modified = [path for name, path in sources.items() if states[name].modified]
        _write(folder, content, about, "".join(map(git_diff, modified)))
    elif all(state.modified is False for state in states.values()) and _was_modified(folder):
        # what was a change then is in a commit now
        write_json(folder / "code.json", about)
        (folder / "diff.patch").unlink(missing_ok=True)
    return Snapshot(folder)


def read_about(package: Path) -> tuple[str, dict[str, Any]] | None:
    """The digest and the code.json of the snapshot that a package lies in; None where it lies in none."""
    try:
        about: dict[str, Any] = json.loads((package.parent / "code.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return package.parent.name, about


@dataclass
class _Content:
    """What a snapshot is made of: files by their name in it, and links to what is no code."""

    left_out: Path
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, Path] = field(default_factory=dict)

    def collect(self, path: Path, name: str, top: bool = True) -> None:
        """Add a file or a folder."""
        if path.is_dir() and (top or _holds_code(path)):
            for child in _visible(path):
                if child != self.left_out:
                    self.collect(child, f"{name}/{child.name}", top=False)
        elif path.is_file() and (path.suffix in _CODE or (path.suffix in _BESIDE and path.stat().st_size <= _SMALL)):
            self.files[name] = path.read_bytes()
        elif path.is_dir() or path.is_file():
            self.links[name] = path

    def digest(self) -> str:
        """One for each state."""
        digest = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        for name, target in sorted(self.links.items()):
            digest.update(f"{name}\0{target}\0".encode())
        return digest.hexdigest()[:_DIGITS]


def _holds_code(folder: Path) -> bool:
    return not folder.is_symlink() and any(child.suffix in _CODE for child in _visible(folder))


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and path.name != "__pycache__")


def _write(folder: Path, content: _Content, about: dict[str, Any], patch: str) -> None:
    """Write a snapshot under a temporary name and rename it; another process may have been quicker."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        for name, data in content.files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for name, target in content.links.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).symlink_to(target)
        if patch:
            cut = "" if len(patch) <= _LONGEST_PATCH else "\n(cut here: the patch is longer than 1 MB)\n"
            write_text(temporary / "diff.patch", patch[:_LONGEST_PATCH] + cut)
        write_json(temporary / "code.json", about)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _state(path: Path) -> GitState:
    """A package's commit; that of its original where it lies in a snapshot itself."""
    if about := read_about(path):
        known = next((source for source in about[1]["sources"] if source["name"] == path.name), None)
        return GitState(known["commit"], known["modified"]) if known else GitState(None, None)
    return git_state(path)


def _was_modified(folder: Path) -> bool:
    about = read_about(folder / PACKAGE.name)
    return about is not None and any(source["modified"] for source in about[1]["sources"])
