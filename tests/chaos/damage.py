"""Damage to a file of `results/`, as crashes, disks and people do it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

Damage = Callable[[Path, Random], None]


def _garbled(path: Path, random: Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(1 + len(content) // 64) if content else ():
        content[random.randrange(len(content))] ^= random.randrange(1, 256)
    path.write_bytes(content)


def _replaced(path: Path, random: Random) -> None:
    """With a file of the same name of another trial."""
    others = [each for each in path.parents[1].glob(f"*/{path.name}") if each != path and each.is_file()]
    if others:
        shutil.copyfile(random.choice(sorted(others)), path)
    else:
        path.write_bytes(path.read_bytes() * 2)


def _instead(make: Callable[[Path], object]) -> Damage:
    def damage(path: Path, random: Random) -> None:
        path.unlink()
        make(path)

    return damage


DAMAGES: dict[str, Damage] = {
    "removed": lambda path, random: path.unlink(),
    "emptied": lambda path, random: path.write_bytes(b"") and None,
    "truncated": lambda path, random: os.truncate(path, random.randrange(max(1, path.stat().st_size))),
    "garbled": _garbled,
    "taken from another trial": _replaced,
    "zeros": lambda path, random: path.write_bytes(bytes(path.stat().st_size)) and None,
    "nested deep": lambda path, random: path.write_bytes(b"[" * 100_000) and None,
    "{}": lambda path, random: path.write_text("{}\n") and None,
    "of wrong types": lambda path, random: path.write_text('{"key": 1, "attempt": [], "top1": "high"}\n') and None,
    "huge numbers": lambda path, random: path.write_text(f'{{"top1": 1e999, "seconds": {10**400}}}\n') and None,
    "a folder": _instead(lambda path: path.mkdir()),
    "a pipe": _instead(os.mkfifo),
    "a link to nothing": _instead(lambda path: path.symlink_to("nothing")),
}
"""How a file is damaged -> what does it."""


def files_of_records(results: Path) -> list[Path]:
    """The files that may be damaged: all but the store, the snapshots of code, and pictures, in a fixed order."""
    derived = {"code", "pictures"}
    paths = [path for path in results.rglob("*") if path.is_file() and not path.name.startswith("ablate.duckdb")]
    return sorted(path for path in paths if path.relative_to(results).parts[0] not in derived)


def trial_of(path: Path, results: Path) -> str | None:
    """The key of the trial whose records a file belongs to."""
    parts = path.relative_to(results).parts
    return parts[1] if parts[0] == "trials" else None
