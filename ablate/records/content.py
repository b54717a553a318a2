"""What of a package or module goes into a snapshot of the code: a copy, a link, or nothing, with the reason.

Copied: code and small text. Links: data, which stay in their place. Left out: what git ignores, secrets, and links that
lead out of the project.
"""

import fnmatch
import hashlib
import os
import stat
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ablate.records.provenance import ignored_by_git, project_of

_CODE = {".py", ".pyi", ".pyx", ".j2", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp"}
_COMPILED = {".so", ".pyd"}
_SMALL_DATA = {".csv", ".json", ".toml", ".yaml", ".yml", ".txt", ".cfg", ".ini"}
_MOST_BYTES = dict.fromkeys(_CODE | _SMALL_DATA, 1_000_000) | dict.fromkeys(_COMPILED, 50_000_000)
"""Suffix of a file that is copied -> the most bytes; larger and other files become links."""
_MOST_LISTED = 10_000_000
"""The most bytes of a copied file that a study lists."""
_MOST_ENTRIES = 200
"""A folder without code is copied if it has no more entries than this and small data among them, such as settings."""
_SECRETS = (
    "*.env", ".env*", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk", "id_rsa*",
    "id_dsa*", "id_ecdsa*", "id_ed25519*", ".ssh", ".aws", ".gnupg", ".netrc", "_netrc", ".pypirc", ".npmrc",
    ".pgpass", ".htpasswd", ".git-credentials", "*credentials", "credentials*", "*credentials.*", "client_secret*",
    "service[_-]account*.json", "kaggle.json", "secret", "secrets", "secret.*", "secrets.*", "*[_-]secret.*",
    "*[_-]secrets.*", "token", "*.token", "*_token", "api_key", "api_keys", "apikey", "passwd", "password",
    "passwords",
)  # fmt: skip
"""Names of files and folders that hold secrets, whatever their case."""
_SECRET_TEXTS = ("token", "tokens", "*[_-]token", "*[_-]tokens", "api_key*", "apikey*", "password*", "passwd*")
"""The same, before the suffix of text: `tokens.json` is one, `tokens.py` is not."""
_TEXTS = _SMALL_DATA | {"", ".md", ".xml"}
_BUILT = (".so", ".pyd", "_version.py", "_pb2.py")
"""Ends of names of code that a build writes: git ignores it, and the package does not run without it."""
IGNORED = "git ignores it"
HIDDEN = "it is hidden"
_SECRET = "its name is that of a secret"


DIGITS = 16


@dataclass
class Content:
    """The content of a snapshot: files and links by name, and the reasons for what was left out."""

    excluded: Path
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    origins: set[Path] = field(default_factory=set)

    def add_beside(self, trainer: Path, beside: dict[str, Path]) -> None:
        """Add modules and packages beside the trainer; those left out are still imported from their place."""
        ignored = _ignored(project_of(trainer), [trainer, *beside.values()])
        for name, path in beside.items():
            if is_secret(path) or (path in ignored and trainer not in ignored):
                self.left_out[name] = _SECRET if is_secret(path) else IGNORED
            else:
                self.add(path, name)

    def add(self, source: Path, name: str) -> None:
        """Add a package or a module."""
        if not source.is_dir():
            self.files[name] = source.read_bytes()
            self.origins.add(source)
            return
        project = project_of(source)
        found = {path: (inner, top) for inner, path, top in self._walk(source, name, project)}
        ignored: set[Path] = set()
        for top in {top for _, top in found.values()}:
            paths = [path for path, (_, its) in found.items() if its == top]
            drop = _ignored(top, [*paths, source] if source != top and top == project else paths)
            if source not in drop:  # otherwise it is installed in an ignored folder, such as a virtual environment
                ignored |= drop
        kept = {path.parent for path in found if path not in ignored}
        for path, (inner, _) in found.items():
            if "\n" in inner or "\\" in inner or " -> " in inner:
                self.left_out[inner] = "its name has a line break, a backslash or an arrow"
            elif path in ignored and not (path.parent in kept and path.name.endswith(_BUILT)):
                self.left_out[inner] = IGNORED
            elif path.is_symlink():
                self._add_link(path, inner, source, project)
            else:
                self._add_file(path, inner)
        self._drop_dangling(name)

    def add_files(self, folder: Path, names: Iterable[str], name: str) -> None:
        """Add single files, which a study lists: copies even of what git ignores; large ones become links."""
        for each in names:
            path, inner = folder / each, f"{name}/{each}"
            if is_secret(path):
                self.left_out[inner] = _SECRET
            else:
                self._add_file(path.resolve(), inner, _MOST_LISTED)

    def _walk(self, folder: Path, name: str, top: Path) -> Iterator[tuple[str, Path, Path]]:
        """(name, path, top of its checkout) of files, links, and folders of data."""
        top = folder if (folder / ".git").exists() else top
        for child in sorted(folder.iterdir()):
            inner = f"{name}/{child.name}"
            if child == self.excluded or child.name in ("__pycache__", ".git"):
                continue
            if is_secret(child):
                self.left_out[inner] = _SECRET
            elif child.name.startswith("."):
                self.left_out[inner] = HIDDEN
            elif child.is_dir() and not child.is_symlink() and _holds_code(child):
                yield from self._walk(child, inner, top)
            else:
                yield inner, child, top

    def _add_link(self, path: Path, name: str, source: Path, project: Path) -> None:
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):
            self.left_out[name] = "a link that leads nowhere"
            return
        if not target.is_relative_to(project):
            self.left_out[name] = "a link out of the project"
        elif any(is_secret(Path(part)) for part in target.relative_to(project).parts):
            self.left_out[name] = "a link to a secret"
        elif target.is_relative_to(source):
            self.links[name] = os.path.relpath(target, path.parent)
        else:
            self.links[name] = str(target)

    def _add_file(self, path: Path, name: str, most: int | None = None) -> None:
        """Add a file; most: the bytes of the largest that is copied, by default according to its suffix."""
        most = _MOST_BYTES.get(path.suffix, -1) if most is None else most
        try:
            status = path.lstat()
            copied = stat.S_ISREG(status.st_mode) and status.st_size <= most
            data = path.read_bytes() if copied else b""
        except OSError as error:
            self.left_out[name] = f"it cannot be read: {error.strerror}"
            return
        if data.lstrip()[:60].startswith(b"-----BEGIN ") and b"PRIVATE KEY" in data[:100]:
            self.left_out[name] = "it is a private key"
        elif copied:
            self.files[name] = data
            self.origins.add(path)
        elif stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            self.links[name] = str(path)
        else:
            self.left_out[name] = "it is neither a file nor a folder"

    def _drop_dangling(self, source: str) -> None:
        """Leave out links within a package to what was left out."""
        for name, target in list(self.links.items()):
            if name.startswith(f"{source}/") and not Path(target).is_absolute():
                inner = os.path.normpath(f"{Path(name).parent}/{target}")
                if not any(f"{each}/".startswith(f"{inner}/") for each in (*self.files, *self.links)):
                    del self.links[name]
                    self.left_out[name] = "a link to what was left out"

    def digest(self) -> str:
        """The first digits of the hash of the listing."""
        return hashlib.sha256(self.listing().encode("utf-8", "surrogateescape")).hexdigest()[:DIGITS]

    def listing(self) -> str:
        """The text of files.sha256: hashes, and links as comments."""
        hashes = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(self.files.items())]
        return "".join(hashes) + "".join(f"# {name} -> {target}\n" for name, target in sorted(self.links.items()))


def _ignored(top: Path, paths: list[Path]) -> set[Path]:
    """The paths that git ignores. Without git: those that a line of the topmost .gitignore names, and no exceptions."""
    try:
        return ignored_by_git(top, paths)
    except (OSError, subprocess.SubprocessError):
        pass
    try:
        lines = (top / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    patterns = [line.strip().strip("/") for line in lines if line.strip() and line[0] not in "#!"]
    parts = {path: [*path.relative_to(top).parents, path.relative_to(top)] for path in paths if path != top}
    return {
        path
        for path, above in parts.items()
        if any(
            fnmatch.fnmatch(text, pattern) for each in above for text in (str(each), each.name) for pattern in patterns
        )
    }


def is_secret(path: Path) -> bool:
    """Whether the name of a file or folder is one that files with secrets have."""
    name = path.name.lower()
    stem = name.removesuffix(path.suffix.lower())
    text = path.suffix.lower() in _TEXTS
    return any(fnmatch.fnmatchcase(name, known) for known in _SECRETS) or (
        text and any(fnmatch.fnmatchcase(stem, known) for known in _SECRET_TEXTS)
    )


def _holds_code(folder: Path) -> bool:
    """Whether a folder is to be copied, file by file; otherwise it is data."""
    entries, small = 0, False
    for _, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not name.startswith((".", "__pycache__"))]
        suffixes = {Path(name).suffix for name in names}
        if suffixes & (_CODE | _COMPILED):
            return True
        entries += len(inner) + len(names)
        if entries > _MOST_ENTRIES:
            return False
        small = small or bool(suffixes & _SMALL_DATA)
    return small
