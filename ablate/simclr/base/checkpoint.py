"""Checkpoints: written atomically, the last two kept, each verified before use.

<folder>/step-<steps done>-<first 16 digits of its SHA-256>.pt     a dictionary for torch.load(weights_only=True)
<folder>/final-<digits>.pt                                         the end of the training
<folder>/.lock                                                     held by the process that trains
<folder>/damaged-<n>-<name>                                        what stood in the place of one of these, unreadable
"""

import contextlib
import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from ablate.simclr.base.files import move_aside, write_whole
from ablate.trainer.contract import Diverged, OtherOwnerError
from ablate.trainer.world import ALONE, World

State = dict[str, Any]
KEPT = 2
_DIGITS = 16
_WAIT_SECONDS = 1.0
_NO_FILE = "it is not a file"
_TELL_SECONDS = 60.0
"""How long the first rank waits for a lock before it tells the others, which NCCL ends after world.TIMEOUT."""


class Checkpoints:
    """The checkpoints of one training in a folder of its own, read by all its ranks and written by the first.

    owner: identifies the training; a state with another owner is never used. set_aside: rename such a state and go on,
    as in a folder that belongs to this training alone, instead of raising ValueError; rename what is not a folder in
    that folder's place, too. Without a folder nothing is saved or found.
    """

    def __init__(
        self,
        folder: Path | None,
        owner: str,
        say: Callable[[str], None] = print,
        world: World = ALONE,
        set_aside: bool = False,
    ) -> None:
        self._folder, self._owner, self._say, self._world = folder, owner, say, world
        self._set_aside = set_aside
        self.writes = folder is not None and world.first
        """Whether this process saves; only then may `save`, `finish` and `clear` be called."""

    def save(self, state: State, step: int) -> Path:
        """Write the state after `step` steps, and delete all older ones but one."""
        path = self._write(state, f"step-{step:09d}")
        others = [other for other in self._found("step") if other != path]
        for old in others[: 1 - KEPT]:
            old.unlink(missing_ok=True)
        return path

    def finish(self, state: State) -> Path:
        """Write the final state of the training, and delete all others."""
        path = self._write(state, "final")
        self.clear()
        return path

    def clear(self) -> None:
        """Delete all states but the final one."""
        for old in self._found("step"):
            old.unlink(missing_ok=True)

    def final(self) -> State | None:
        """Read the final state, or None. Raises ValueError if it belongs to another training."""
        return self._newest_whole("final")

    def newest(self) -> State | None:
        """Read the newest state, or None. After one that is damaged or cannot be read, read the one before it.

        A damaged one is deleted; one that cannot be read is renamed, since with another permission it may be whole.
        Raises ValueError if it belongs to another training.
        """
        return self._newest_whole("step")

    @contextlib.contextmanager
    def alone(self, stopping: Callable[[], bool]) -> Iterator[bool]:
        """Lock the folder, waiting for another process that trains in it; False if the context stops first.

        The first rank tells the others now and then that it still waits: they would give up after a time.
        """
        with self._lock_file() as lock:
            locked = self._world.tell(lock(stopping, 0.0))
            if locked is None and self.writes:
                self._say(f"waiting for another process that trains in {self._folder}")
            while locked is None:
                locked = self._world.tell(lock(stopping, _TELL_SECONDS))
            yield locked

    @contextlib.contextmanager
    def _lock_file(self) -> Iterator[Callable[[Callable[[], bool], float], bool | None]]:
        """A function that tries for some seconds to lock the folder.

        It returns True, False if the context stops, or None if another process still has the lock.
        """
        try:
            import fcntl
        except ImportError:  # Windows has no such locks
            fcntl = None  # type: ignore[assignment]
        if fcntl is None or not self.writes:
            yield lambda stopping, seconds: True
            return
        assert self._folder is not None
        if self._set_aside and os.path.lexists(self._folder) and not self._folder.is_dir():
            self._move_aside(self._folder, "it is not a folder")
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / ".lock"
        if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
            self._move_aside(path, _NO_FILE)  # opening a pipe would wait for its reader
        with path.open("w") as file:

            def lock(stopping: Callable[[], bool], seconds: float) -> bool | None:
                until = time.monotonic() + seconds
                while not (locked := _lock(fcntl, file)) and not stopping() and time.monotonic() < until:
                    time.sleep(_WAIT_SECONDS)
                return True if locked else False if stopping() else None

            try:
                yield lock
            finally:
                with contextlib.suppress(OSError):  # closing does not unlock while a forked process has a copy
                    fcntl.flock(file, fcntl.LOCK_UN)

    def _newest_whole(self, kind: str) -> State | None:
        """Return what the first rank finds, on all ranks."""
        state = self._read_newest(kind) if self.writes else None
        return None if self._folder is None else self._world.tell(state)

    def _read_newest(self, kind: str) -> State | None:
        for path in reversed(self._found(kind)):
            try:
                if (state := read(path, self._owner)) is not None:
                    return state
            except OtherOwnerError:
                if not self._set_aside:
                    raise
                self._say(
                    f"checkpoint {path} belongs to other settings; it is not used, and now named other-{path.name}"
                )
                path.rename(path.with_name(f"other-{path.name}"))
                continue
            except UnreadableError as error:
                self._move_aside(path, str(error))
                continue
            self._say(f"checkpoint {path} is damaged; going on from the one before it")
            path.unlink(missing_ok=True)
        return None

    def _found(self, kind: str) -> list[Path]:
        """The files of a kind, oldest first; what is not a file can be neither read nor deleted, and is moved aside."""
        paths = [] if self._folder is None else sorted(self._folder.glob(f"{kind}-*.pt"))
        files = [path for path in paths if path.is_file()]
        for path in paths:
            if path not in files:
                self._move_aside(path, _NO_FILE)
        return files

    def _move_aside(self, path: Path, why: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # another process did it
            self._say(f"{path} cannot be read, since {why}; it is not used, and now named {move_aside(path).name}")

    def _write(self, state: State, name: str) -> Path:
        assert self._folder is not None
        buffer = io.BytesIO()
        torch.save({**state, "owner": self._owner}, buffer)
        content = buffer.getbuffer()
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}-{_digits(content)}.pt"
        write_whole(path, content)
        return path


class UnreadableError(ValueError):
    """A checkpoint that is not a file, or cannot be opened, or holds something else than a state; says why."""


def read(path: Path, owner: str) -> State | None:
    """Read a checkpoint; None if it is damaged.

    Raises OtherOwnerError if it belongs to another training, and UnreadableError if it cannot be read at all.
    """
    if not path.is_file():
        raise UnreadableError(_NO_FILE)  # opening a pipe would wait for its writer
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"the system reports: {error.strerror or error}") from error
    if path.stem.rpartition("-")[2] != _digits(content):
        return None
    state = _loaded(content)
    if state.pop("owner") != owner:
        raise OtherOwnerError(f"{path} belongs to other settings; use another folder, or delete it")
    return state


def _loaded(content: bytes) -> State:
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch has no family of errors for content that it does not understand
        raise UnreadableError(f"torch cannot load it: {str(error).partition(chr(10))[0]}") from error
    if not isinstance(state, dict) or "owner" not in state:
        raise UnreadableError("it is not a checkpoint of this trainer")
    return state


def finite(module: torch.nn.Module) -> bool:
    """Whether all weights are finite: others are not worth saving."""
    of_each = [torch.isfinite(value).all() for value in module.state_dict().values()]
    return not of_each or bool(torch.stack(of_each).all())  # a GPU is waited for once


def require_finite(module: torch.nn.Module, when: str) -> None:
    """Raise Diverged if weights are not finite: what is computed with them means nothing. when: `after step 3 of 9`."""
    if not finite(module):
        message = f"some weights are infinite or NaN {when}"
        raise Diverged(f"{message}; a lower optimizer.learning_rate or a longer warm-up may help")


def _lock(fcntl: Any, lock: Any) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _digits(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
