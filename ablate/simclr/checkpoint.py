"""Checkpoints: whole or absent, the last two kept, each verified before it is used.

<folder>/step-<steps done>-<first 16 digits of its SHA-256>.pt     a dictionary that torch.load(weights_only=True) reads
<folder>/final-<digits>.pt                                         the end of the pretraining
"""

import contextlib
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ablate.simclr.files import write_whole

State = dict[str, Any]
KEPT = 2
_DIGITS = 16


class Checkpoints:
    """The checkpoints of one pretraining in a folder of its own."""

    def __init__(self, folder: Path, tell: Callable[[str], None] = print) -> None:
        self.folder = folder
        self._tell = tell

    def save(self, state: State, step: int) -> Path:
        """Write the state after `step` steps, and drop all older ones but one."""
        path = self._write(state, f"step-{step:09d}")
        for old in self._found("step")[:-KEPT]:
            _remove(old)
        return path

    def finish(self, state: State) -> Path:
        """Write the end of the pretraining, and drop what led to it."""
        path = self._write(state, "final")
        for old in (*self._found("step"), *self.folder.glob(".*.part")):
            _remove(old)
        return path

    def final(self) -> State | None:
        """The end of the pretraining, where it was reached."""
        return self._newest_whole("final")

    def newest(self) -> State | None:
        """The last state saved; a damaged one is passed over with a word, for the one before it."""
        return self._newest_whole("step")

    def _newest_whole(self, kind: str) -> State | None:
        for path in reversed(self._found(kind)):
            content = path.read_bytes()
            if path.stem.rpartition("-")[2] == _digits(content):
                state: State = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
                return state
            self._tell(f"checkpoint {path} is damaged; going on from the one before it")
        return None

    def _found(self, kind: str) -> list[Path]:
        return sorted(self.folder.glob(f"{kind}-*.pt"))

    def _write(self, state: State, name: str) -> Path:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getbuffer()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}-{_digits(content)}.pt"
        write_whole(path, content)
        return path


def _digits(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
