"""The SHA-256 of many files, kept in the user's cache folder so that a file that did not change is read once.

A line of the cache is `inode size mtime ctime sha256`, times in nanoseconds; there is a cache for each data folder.
Edits that keep a file's size and modification time are seen too, by the time of its last change of any kind.
"""

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ablate.simclr.base.files import file_sha256, write_whole
from ablate.simclr.data.scan import Found

_SETTLED = 2 * 10**9
"""Nanoseconds that a file must have been left alone: times are too coarse to tell two edits in quick succession."""
_MISSING = "missing"


def hashes(root: Path, found: Found) -> dict[str, list[str]]:
    """Split -> the SHA-256 of each image's content; `missing` for a dead link. Raises OSError if one cannot be read.

    root: the folder or list that was scanned; it selects the cache.
    """
    cache = _cache_of(root)
    known = _read(cache)
    before = time.time_ns() - _SETTLED
    paths = [path for split in found.splits for path in found.files(split)]
    states = [_state(path) for path in paths]
    unknown = [row for row, (key, _) in enumerate(states) if key and key not in known]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        hashed = dict(zip(unknown, pool.map(file_sha256, [paths[row] for row in unknown]), strict=True))
    contents = [hashed.get(row) or (known[key] if key else _MISSING) for row, (key, _) in enumerate(states)]
    if any(changed < before for _, changed in (states[row] for row in unknown)):
        kept = zip(states, contents, strict=True)
        lines = [f"{key} {sha256}\n" for (key, changed), sha256 in kept if key and changed < before]
        with suppress(OSError):  # a cache only saves time
            cache.parent.mkdir(parents=True, exist_ok=True)
            write_whole(cache, "".join(lines).encode())
    rest = iter(contents)
    return {split: [next(rest) for _ in files.paths] for split, files in found.splits.items()}


def _state(path: Path) -> tuple[str, int]:
    """What identifies a file's content, empty for a dead link; and when it was last changed, in nanoseconds."""
    try:
        found = path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError) or path.is_symlink():  # nothing, or a link to itself
            return "", 0
        raise
    key = f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
    return key, max(found.st_mtime_ns, found.st_ctime_ns)


def _cache_of(root: Path) -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablate"
    return folder / f"contents-{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.txt"


def _read(cache: Path) -> dict[str, str]:
    """Key -> SHA-256; empty if the cache is missing or damaged."""
    try:
        lines = cache.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return {}
    pairs = [line.rpartition(" ")[::2] for line in lines]
    return {key: sha256 for key, sha256 in pairs if key.count(" ") == 3 and len(sha256) == 64}
