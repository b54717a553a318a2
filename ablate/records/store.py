"""The DuckDB store: an index over all records that every reader first brings up to date.

Records are the source of truth; the store may be deleted at any time. It is never changed in place: an updated copy
replaces it by a rename, so that open connections stay valid and no process waits for another. Only trials whose files
changed since the last update are read again.
"""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import duckdb

from ablate.errors import AblateError, UserError
from ablate.records.files import Results, sync_folder
from ablate.records.signatures import has_same_result, signatures
from ablate.records.sql import VALUE, is_plain, plain_place

_VERSION = 12
_COARSE = 2 * 10**9
"""The coarsest times that file systems keep, in nanoseconds."""


def open_store(results: Results, locked: bool = True, curves: bool = True) -> duckdb.DuckDBPyConnection:
    """A read-only connection to the updated store, `locked` for statements that users write.

    Tables: `trials`, `attempts`, and `cells` (the trial of each cell of each study). Views: `metrics` (one row per
    value), and one of each study's name; see `replace_view`. If the results folder is not writable, the store is built
    in memory. Raises UserError if the folder does not exist.

    curves: False for readers that need no `metrics` of done trials. Those that were never needed then stay unread,
    which saves a third of the time.
    """
    if not results.root.is_dir():
        raise UserError(f"there is no results folder {results.root}", help="run a study first, or give --results DIR")
    current = _current(results.database)
    known, unread = _known(current) if current else (None, False)
    on_disk = signatures(results, known)
    if current is None or known != on_disk or (unread and curves):
        if current:
            current.close()
        current = _updated(results, known, on_disk, curves)
    return _lock(current) if locked else current


def _updated(
    results: Results, known: dict[str, str] | None, on_disk: dict[str, str], curves: bool
) -> duckdb.DuckDBPyConnection:
    """A connection to the store after its update, or to a new one in memory if that cannot be had."""
    with suppress(OSError, duckdb.Error):
        for _ in range(2):
            _rebuild_at_least_once(results, known, on_disk, curves)
            current = _connect(results.database)
            # It may be a store without curves: one that another process has put in place since, or an earlier one,
            # which DuckDB returns as long as this process has it open.
            if not (curves and _lacks_curves(current)):
                return current
            known, _ = _known(current)
            current.close()
    connection = duckdb.connect()
    try:
        _update(connection, results, None, on_disk, curves)
    except duckdb.Error as error:
        raise AblateError(f"error: the records in {results.root} cannot be indexed: {error}") from error
    return connection


def _connect(database: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection, for an odd path to a copy (see `plain_place`); DuckDB would follow a link to the path.

    It writes no temporary files, and does not take variables of Python for tables.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "temp_directory": "", "python_enable_replacements": "false"
    }  # fmt: skip
    if is_plain(path := str(database.absolute())):
        return duckdb.connect(path, read_only=True, config=config)
    with tempfile.TemporaryDirectory(dir=plain_place()) as folder:
        copy = shutil.copyfile(database, f"{folder}/ablate.duckdb")
        return duckdb.connect(copy, read_only=True, config=config)


def _lock(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The connection, from now on without access to files and the network; DuckDB shares this between connections."""
    if connection.execute("SELECT current_setting('lock_configuration')").fetchall() == [(False,)]:
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    return connection


def store_of(
    results: Results, store: duckdb.DuckDBPyConnection | None, curves: bool = True
) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """The caller's open store, which stays open; without one, a store that is open during the block."""
    return open_store(results, curves=curves) if store is None else nullcontext(store)


def _rebuild_at_least_once(
    results: Results, known: dict[str, str] | None, on_disk: dict[str, str], curves: bool
) -> None:
    """Update the store; if it turns out to be damaged, build it anew."""
    try:
        _rebuild(results, known, on_disk, curves)
    except duckdb.Error:
        if known is None:
            raise
        _rebuild(results, None, on_disk, curves)


def _rebuild(results: Results, known: dict[str, str] | None, on_disk: dict[str, str], curves: bool) -> None:
    """Update a copy on a local disk, then replace the store by it.

    The file's time is written into it, so that a store that anything else has changed since is not believed.
    """
    at = time.time_ns() // _COARSE * _COARSE
    temporary = results.database.with_name(f".{results.database.name}.{os.getpid()}-{secrets.token_hex(4)}")
    with tempfile.TemporaryDirectory(dir=plain_place()) as folder:
        copy = Path(folder) / "ablate.duckdb"
        if known is not None:
            shutil.copyfile(results.database, copy)
        with duckdb.connect(str(copy)) as connection:
            _update(connection, results, known, on_disk, curves)
            connection.execute("UPDATE store SET version = ?, time = ?", [_VERSION, at])
            connection.execute("CHECKPOINT")  # closing would also write it, but would not report a full disk
        try:
            shutil.copyfile(copy, temporary)
            os.utime(temporary, ns=(at, at))
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(results.database)
            sync_folder(results.database.parent)
        finally:
            temporary.unlink(missing_ok=True)


def done_before(results: Results, keys: Iterable[str], metric: str) -> set[str]:
    """Which of these trials are done and have the metric, by the store alone: their results have not changed since.

    Empty without a store that this version can read. The other trials may be done as well.
    """
    if (store := _current(results.database)) is None:
        return set()
    with store:
        of_done = f"""SELECT name, signature FROM seen JOIN trials ON key = name, (SELECT ? AS metric) AS cells
            WHERE state = 'done' AND {VALUE} IS NOT NULL"""
        try:
            known = dict(store.execute(of_done, [metric]).fetchall())
        except duckdb.Error:
            return set()
    place = str(results.trials)
    return {key for key in keys if key in known and has_same_result(f"{place}/{key}", known[key])}


def _current(database: Path) -> duckdb.DuckDBPyConnection | None:
    """A connection to the store, if there is one that this version has written and that nothing has changed since."""
    if not database.is_file():
        return None
    try:
        connection = _connect(database)
        if connection.execute("SELECT version, time FROM store").fetchall() == [
            (_VERSION, database.stat().st_mtime_ns)
        ]:
            return connection
        connection.close()
    except (OSError, duckdb.Error):
        pass
    return None


def _known(store: duckdb.DuckDBPyConnection) -> tuple[dict[str, str] | None, bool]:
    """The signatures at the last update, and whether it left curves unread; None for a damaged store.

    A running trial may die without changing a file, so its signature is never considered current.
    """
    try:
        unread = _lacks_curves(store)
        seen = store.execute("SELECT name, signature FROM seen").fetchall()
        running = store.execute("SELECT key FROM trials WHERE state = 'running'").fetchall()
    except duckdb.Error:
        return None, False
    return dict(seen) | {key: "running" for (key,) in running}, unread


def _lacks_curves(store: duckdb.DuckDBPyConnection) -> bool:
    return bool(store.execute("SELECT 1 FROM internal.unread LIMIT 1").fetchall())


def _update(
    connection: duckdb.DuckDBPyConnection,
    results: Results,
    known: dict[str, str] | None,
    on_disk: dict[str, str],
    curves: bool,
) -> None:
    # Imported here: the models of records take longer to import than an unchanged store takes to open.
    from ablate.records.update import update_store

    update_store(connection, results, known, on_disk, curves)
