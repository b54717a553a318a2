"""One watcher of the records for all browsers: it notices changes, and keeps a store of its own up to date.

The store lies in a temporary folder, so that the server writes nothing among the records.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from ablate.errors import AblateError
from ablate.records.files import Results, plan_paths
from ablate.records.reading import MOST_BYTES_OF_LINES, read_object
from ablate.records.signatures import signatures
from ablate.records.sql import plain_place
from ablate.records.status import Status, read_status
from ablate.records.store import open_store

_LEAST_SECONDS = 1.0
_REST = 4
"""Between two looks the watcher rests this many times as long as a look takes: at most a fifth of a core."""
_UNCHANGED_SECONDS = 20.0
"""A trial may die without changing a file, and squeue's answer changes none: the watcher looks anew this often."""


@dataclass
class Watcher:
    """The newest state of the records, for the views."""

    results: Results
    version: int = 0
    """Grows with every change; a browser that shows this version fetches nothing."""
    status: Status = field(default_factory=lambda: Status(()))
    titles: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Study -> its title and question."""
    waiting: Mapping[str, str] = field(default_factory=dict)
    """Key of a trial that a cluster's job will train -> what it waits for."""
    problem: str = ""
    """Why the records cannot be read now; empty if they can."""
    _store: duckdb.DuckDBPyConnection | None = None
    _seen: Mapping[str, str] | None = None
    _folder: Path = Path()
    _file: Path | None = None
    """The file of `_store`, in `_folder`."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, ready: threading.Event) -> None:
        """Watch until `stop`. ready: set once there is something to show."""
        with tempfile.TemporaryDirectory(dir=plain_place(), ignore_cleanup_errors=True) as folder:
            self._folder = Path(folder)
            latest = 0.0
            while not self._stop.is_set():
                began = time.monotonic()
                latest = self.look(latest)
                ready.set()
                self._stop.wait(max(_LEAST_SECONDS, _REST * (time.monotonic() - began)))
            with self._lock:
                if self._store:
                    self._store.close()

    def stop(self) -> None:
        """Let `run` end."""
        self._stop.set()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection to the newest store. Raises AblateError while the records cannot be read."""
        with self._lock:
            if self._store is None:
                raise AblateError(self.problem or "the records are being read")
            return self._store.cursor()

    def look(self, latest: float) -> float:
        """Update everything if the records have changed; returns the time of the latest update. latest: that before."""
        try:
            found = signatures(self.results)
            if found == self._seen and not self.problem and time.monotonic() - latest < _UNCHANGED_SECONDS:
                return latest
            self._update(found)
            problem = ""
        except (AblateError, duckdb.Error) as error:  # such as a results folder that was moved away
            problem = str(error).partition("\n")[0].removeprefix("error: ")
        except OSError as error:  # such as a full disk
            problem = f"{error.strerror or error}: {error.filename or self._folder}"
        except Exception as error:  # a watcher that ended would leave old numbers on pages that look live
            problem = f"{type(error).__name__}: {error}"
        self.version += not problem or problem != self.problem  # the same problem changes no page
        self.problem = problem
        return time.monotonic()

    def _update(self, found: Mapping[str, str]) -> None:
        path = self._folder / f"{time.monotonic_ns()}.duckdb"  # DuckDB gives one path one database while it is open
        before = self._file if self._file and self._file.is_file() else self.results.database
        changed = [name for name in found if name.startswith("study ") and (self._seen or {}).get(name) != found[name]]
        try:
            with suppress(OSError):  # with its time, by which the store is believed
                shutil.copy2(before, path)
            store = open_store(replace(self.results, store=path))
            status = self._status(store)
            titles = {name.removeprefix("study "): self._title(name.removeprefix("study ")) for name in changed}
        except Exception:
            path.unlink(missing_ok=True)  # while the records cannot be read, each look would leave one
            raise
        with self._lock:
            self._store, old = store, self._store
        self.status, self.titles, self._seen = status, self.titles | titles, found
        if old:
            old.close()
        if self._file:
            self._file.unlink(missing_ok=True)
        self._file = path

    def _status(self, store: duckdb.DuckDBPyConnection) -> Status:
        if not self.results.submissions.is_dir():
            self.waiting = {}
            return read_status(store, self.results)
        from ablate.run.slurm.queue import read_queue
        from ablate.run.slurm.standing import on_clusters, waiting_trials

        queue = read_queue(self.results)  # before the records: a trial that ends in between is done, not new
        self.waiting = waiting_trials(self.results, queue)
        status = read_status(store, self.results, queued=self.waiting)
        return replace(status, clusters=on_clusters(store, self.results, queue, self.waiting))

    def _title(self, study: str) -> tuple[str, str]:
        """Title and question of a study, of its newest plan."""
        paths = plan_paths(self.results.plans(study))
        plan = read_object(paths[-1], MOST_BYTES_OF_LINES) if paths else {}
        title, question = (plan.get(name) for name in ("title", "question"))
        return (title if isinstance(title, str) and title else study, question if isinstance(question, str) else "")
