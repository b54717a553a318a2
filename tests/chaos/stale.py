"""An older view of folders, as a client of a network file system has it for some seconds: what others write is late."""

import os
import sys
import time
from pathlib import Path
from typing import Any

_list, _scan, _stat = os.listdir, os.scandir, os.stat


class _View:
    """What this process knows of folders: names as first listed, and names found absent, each for `seconds`."""

    def __init__(self, root: Path, seconds: float) -> None:
        self.root, self.seconds = f"{root}/", seconds
        self.listed: dict[Path, tuple[float, set[str]]] = {}
        self.absent: dict[Path, float] = {}

    def covers(self, path: Any) -> Path | None:
        """The absolute path, if it lies in the view."""
        if isinstance(path, int):
            return None
        full = Path.cwd() / os.fsdecode(path)
        return full if f"{full}/".startswith(self.root) else None

    def refresh(self, path: Any) -> None:
        """What this process changes in a folder, it sees at once, with all else in there: the folder is read again."""
        if full := self.covers(path):
            self.listed.pop(full.parent, None)
            self.listed.pop(full, None)
            for other in [each for each in self.absent if each.parent == full.parent]:
                del self.absent[other]

    def names(self, folder: Path) -> set[str]:
        """The names in a folder, as they were when it was listed first."""
        now = time.monotonic()
        then, names = self.listed.get(folder, (float("-inf"), set()))
        if now - then > self.seconds:
            then, names = self.listed[folder] = now, set(_list(folder))
        return names

    def listdir(self, path: Any = ".") -> list[Any]:
        """As os.listdir."""
        folder = self.covers(path)
        if folder is None:
            return _list(path)
        known = self.names(folder)  # of an empty folder, too: what comes into it is late as well
        return [name for name in _list(path) if name in known]

    def scandir(self, path: Any = ".") -> Any:
        """As os.scandir."""
        folder = self.covers(path)
        return _scan(path) if folder is None else _Entries(_scan(path), self.names(folder))

    def stat(self, path: Any, **how: Any) -> os.stat_result:
        """As os.stat: what was absent stays absent for a while."""
        full = self.covers(path) if not how.get("dir_fd") else None
        if full is None:
            return _stat(path, **how)
        if time.monotonic() - self.absent.get(full, float("-inf")) < self.seconds:
            raise FileNotFoundError(2, "No such file or directory", os.fspath(path))
        try:
            return _stat(path, **how)
        except FileNotFoundError:
            self.absent[full] = time.monotonic()
            raise

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook: this process sees what it makes and removes itself."""
        if event in ("os.mkdir", "os.remove", "os.rmdir"):
            self.refresh(arguments[0])
        elif event in ("os.rename", "os.link"):
            self.refresh(arguments[0])
            self.refresh(arguments[1])
        elif event == "open" and arguments[2] & os.O_CREAT and _is_absent(arguments[0]):
            self.refresh(arguments[0])


def _is_absent(file: Any) -> bool:
    """Whether opening makes a file: os.fdopen opens a number, whose file is there."""
    return not isinstance(file, int) and not os.access(file, os.F_OK)


class _Entries:
    """What os.scandir returns, without the names that are not in the view yet."""

    def __init__(self, entries: Any, names: set[str]) -> None:
        self._entries, self._names = entries, names

    def __iter__(self) -> "_Entries":
        return self

    def __next__(self) -> Any:
        while (each := next(self._entries)).name not in self._names:
            pass
        return each

    def __enter__(self) -> "_Entries":
        return self

    def __exit__(self, *exception: object) -> None:
        self._entries.close()

    def close(self) -> None:
        """As the original."""
        self._entries.close()


def see_late(root: Path, seconds: float) -> None:
    """In this process, and in those that it forks, changes by others below `root` are seen `seconds` late."""
    view = _View(root, seconds)
    os.listdir, os.scandir, os.stat = view.listdir, view.scandir, view.stat  # type: ignore[assignment]
    sys.addaudithook(view.note)
