"""Checkpoints: whole or absent, the last two kept, each verified before it is used.

<folder>/step-<steps done>-<first 16 digits of its SHA-256>.pt     a dictionary that torch.load(weights_only=True) reads
<folder>/final-<digits>.pt                                         the end of the training
<folder>/.lock                                                     held by the process that trains
"""

import contextlib
import hashlib
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from ablate.simclr.files import write_whole

State = dict[str, Any]
KEPT = 2
_DIGITS = 16
_WAIT_SECONDS = 1.0


class Checkpoints:
    """The checkpoints of one training in a folder of its own.

    owner: what the training is, in a few words or digits; a state of another owner is never used.
    """

    def __init__(self, folder: Path, owner: str, tell: Callable[[str], None] = print) -> None:
        self.folder, self.owner = folder, owner
        self._tell = tell

    def save(self, state: State, step: int) -> Path:
        """Write the state after `step` steps, and drop all older ones but one."""
        path = self._write(state, f"step-{step:09d}")
        others = [other for other in self._found("step") if other != path]
        for old in others[: 1 - KEPT]:
            _remove(old)
        return path

    def finish(self, state: State) -> Path:
        """Write the end of the training, and drop what led to it."""
        path = self._write(state, "final")
        self.clear()
        return path

    def clear(self) -> None:
        """Drop all that leads to the end."""
        for old in self._found("step"):
            _remove(old)

    def final(self) -> State | None:
        """The end of the training, where it was reached. Raises ValueError where it is another training's."""
        return self._newest_whole("final")

    def newest(self) -> State | None:
        """The last state saved; a damaged one is dropped with a word, for the one before it.

        Raises ValueError where it is another training's.
        """
        return self._newest_whole("step")

    @contextlib.contextmanager
    def alone(self, stopping: Callable[[], bool]) -> Iterator[bool]:
        """Keep other processes of this machine away meanwhile; wait for one that is at it. False when told to stop."""
        try:
            import fcntl
        except ImportError:  # no such locks on Windows
            yield True
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            waited = False
            while not _locked(fcntl, lock):
                if stopping():
                    yield False
                    return
                if not waited:
                    self._tell(f"waiting for another process that trains in {self.folder}")
                waited = True
                time.sleep(_WAIT_SECONDS)
            yield True

    def _newest_whole(self, kind: str) -> State | None:
        for path in reversed(self._found(kind)):
            if (state := read(path, self.owner)) is not None:
                return state
            self._tell(f"checkpoint {path} is damaged; going on from the one before it")
            _remove(path)
        return None

    def _found(self, kind: str) -> list[Path]:
        return sorted(self.folder.glob(f"{kind}-*.pt"))

    def _write(self, state: State, name: str) -> Path:
        buffer = io.BytesIO()
        torch.save({**state, "owner": self.owner}, buffer)
        content = buffer.getbuffer()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}-{_digits(content)}.pt"
        write_whole(path, content)
        return path


def read(path: Path, owner: str) -> State | None:
    """The state in a checkpoint; None where its file is damaged. Raises ValueError where it is another training's."""
    content = path.read_bytes()
    if path.stem.rpartition("-")[2] != _digits(content):
        return None
    state: State = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if state.pop("owner") != owner:
        raise ValueError(f"{path} belongs to other settings; use another folder, or delete it")
    return state


def finite(module: torch.nn.Module) -> bool:
    """Whether all weights are numbers: others are not worth saving."""
    return all(bool(torch.isfinite(value).all()) for value in module.state_dict().values())


def _locked(fcntl: Any, lock: Any) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _digits(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
