"""Published records: a study's trials with their whole records as one Parquet file, and from it records again.

A file has a row per trial with the columns of the study's view and four more: `record.commit`, `record.device`,
`record.started`, and `record.files`, the text of each file of its record. The plans are in the file's metadata. Pages
made from it therefore have the numbers of pages made from the records. Paths of the machine are cut to their last name
unless they name a cell; results are kept to the byte, since pages name them by their SHA-256.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from ablate.errors import UserError, visible
from ablate.records.files import KEY, Results, write_bytes
from ablate.records.plain import plural
from ablate.records.plans import current_design, read_plans
from ablate.records.reading import MOST_BYTES_OF_LINES, Damaged, content
from ablate.records.sql import plain_place, sql_name, sql_text
from ablate.records.store import open_store
from ablate.records.without_paths import Kept, naming_paths, without_paths

PUBLISHED = "published"
"""The folder below results/ that git keeps."""
_FORMAT = "ablate.records.1"
_ATTEMPT = r"attempts/\d{3,}-[\w.-]{1,150}"
_NAMES = re.compile(rf"trial\.json|result\.json|{_ATTEMPT}/(?:events\.jsonl|metrics\.jsonl|env\.json|heartbeat)", re.A)
_PLAN = re.compile(r"plan-\d{1,9}\.json", re.A)
_STUDY = re.compile(r"[a-z][a-z0-9_]{0,99}")
"""As `NAME` of the schema has it: the name becomes a folder, a view and part of names in LaTeX."""
_HELP = "ablate export STUDY --records writes such files"


def publish(results: Results, study: str, profile: str, output: Path) -> int:
    """Write a study at a profile to a Parquet file; returns the number of rows. Raises UserError while trials run."""
    plans = current_design(read_plans(results, study)[0], profile)
    texts = {name: _text(results.plans(study) / name) for name in (f"plan-{plan.number}.json" for plan in plans)}
    kept = naming_paths(map(json.loads, texts.values()))
    texts = {name: without_paths(text, kept) for name, text in texts.items()}
    with open_store(results, locked=False) as store, tempfile.TemporaryDirectory(dir=plain_place()) as folder:
        states = store.execute(
            "SELECT DISTINCT key, coalesce(state, 'new') FROM cells LEFT JOIN trials USING (key) "
            "WHERE study = ? AND profile = ?",
            [study, profile],
        ).fetchall()
        for state, help in (("running", "publish when they have ended"), ("damaged", "ablate why says what is wrong")):
            if keys := [key for key, its in states if its == state]:
                are = "is" if len(keys) == 1 else "are"
                first = min(keys)[:12]
                raise UserError(f"{study}: {plural(len(keys), 'trial')} {are} {state}, such as {first}", help=help)
        _write_lines(Path(folder) / "files.jsonl", ((key, files_of(results, key, kept)) for key, _ in states))
        about = json.dumps({"format": _FORMAT, "study": study, "profile": profile, "plans": texts})
        store.execute(
            f"""CREATE TEMP TABLE files AS SELECT * FROM read_json('{folder}/files.jsonl',
            columns = {{key: 'VARCHAR', files: 'MAP(VARCHAR, VARCHAR)'}},
            maximum_object_size = {MOST_BYTES_OF_LINES})"""
        )
        store.execute(
            f"""COPY (
                SELECT rows.* EXCLUDE ("record.row"), files.files AS "record.files"
                FROM ({_rows_sql(study, profile)}) AS rows LEFT JOIN files ON files.key = rows.key
                ORDER BY rows."record.row"
            ) TO '{folder}/published.parquet' (
                FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 19, KV_METADATA {{ablate: {sql_text(about)}}}
            )"""
        )
        _check_reads_back(Path(folder) / "published.parquet", f"{study} at {profile}")
        write_bytes(output, (Path(folder) / "published.parquet").read_bytes())
    return len(states)


def _check_reads_back(path: Path, what: str) -> None:
    """Raise UserError if what is about to be published says something else than its records, read back."""
    try:
        with restored([path]):
            return
    except UserError as error:
        why = error.problems[0].message.removeprefix(str(path)).lstrip(":, ")
        message = f"{what} cannot be published, since the file could not be read back: {why}"
        raise UserError(message, help="please report this, with the study file") from error


def _rows_sql(study: str, profile: str) -> str:
    """The study's view with where its numbers come from, and the number of each row."""
    return f"""SELECT of_study.*, environment ->> '$.commit' AS "record.commit", device AS "record.device",
        started AS "record.started" FROM (
            SELECT *, row_number() OVER () AS "record.row" FROM {sql_name(study)} WHERE profile = {sql_text(profile)}
        ) AS of_study LEFT JOIN (SELECT key, attempts.* EXCLUDE (key) FROM attempts JOIN trials USING (key, attempt))
        AS finishing ON finishing.key = of_study.key ORDER BY "record.row\""""


def _write_lines(path: Path, files: Iterator[tuple[str, dict[str, str]]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for key, texts in files:
            file.write(json.dumps({"key": key, "files": texts}) + "\n")


def files_of(results: Results, key: str, naming: Kept = None) -> dict[str, str]:
    """Name of a file in a trial's folder -> its text, without paths of this machine. Of a heartbeat, its time.

    naming: the paths that name cells, which stay.
    """
    folder = results.trial(key)
    paths = [folder.trial, folder.result]
    for attempt in folder.attempt_folders():
        paths += [attempt / name for name in ("events.jsonl", "metrics.jsonl", "env.json", "heartbeat")]
    found = {}
    for path in filter(Path.is_file, paths):
        text = str(path.stat().st_mtime_ns) if path.name == "heartbeat" else _text(path)
        kept = path.name in ("result.json", "metrics.jsonl", "heartbeat")  # results are known by their bytes
        found[path.relative_to(folder.path).as_posix()] = text if kept else without_paths(text, naming)
    return found


def _text(path: Path) -> str:
    try:
        return content(path, MOST_BYTES_OF_LINES).decode()
    except (OSError, Damaged, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be published: {error}") from error


@contextmanager
def restored(files: Sequence[Path]) -> Iterator[dict[tuple[str, str], Results]]:
    """Study and profile -> the records of a file, in a temporary folder of their own; `Results.published` is the file.

    Files may come from several results folders, in which plans have the same numbers, and trials the same keys. Raises
    UserError for a file that is not one, or whose rows differ from the records that they carry.
    """
    found: dict[tuple[str, str], Results] = {}
    with tempfile.TemporaryDirectory(prefix="ablate-published-") as folder:
        for number, path in enumerate(files):
            results = Results(Path(folder) / f"{number}" / "results", published=path)
            with _one_error(path):
                study, profile = _restore(path, results)
                if other := found.get((study, profile)):
                    raise UserError(f"{other.published} and {path} both have {study} at {profile}")
                _check_rows(path, results, study, profile)
            found[study, profile] = results
        yield found


@contextmanager
def _one_error(path: Path) -> Iterator[None]:
    """UserError, which names the file, for whatever reading it stumbles over: anyone may have written it."""
    try:
        yield
    except (duckdb.Error, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        why = str(error).partition("\n")[0]
        raise UserError(f"{path} cannot be read as published records: {visible(why)}", help=_HELP) from error


def published_files(paths: Sequence[Path]) -> list[Path]:
    """The files of published records among files and folders. Raises UserError for a folder without any."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path} has no files of published records", help=_HELP)
        found += inside
    return found


def _restore(path: Path, results: Results) -> tuple[str, str]:
    """Write the records of a file; returns study and profile."""
    with _opened(path) as (connection, place):
        about = _about(path, connection, place)
        study, profile, plans = about["study"], about["profile"], about["plans"]
        rows = connection.execute(f"""SELECT DISTINCT ON (key) key, "record.files" FROM '{place}'""").fetchall()
    for name, text in plans.items():
        _write(path, results.plans(study) / name, text, valid=_PLAN.fullmatch(name) is not None)
    for key, files in rows:
        for name, text in (files or {}).items():
            valid = KEY.fullmatch(key) is not None and _NAMES.fullmatch(name) is not None
            if valid and name.endswith("/heartbeat"):
                _write(path, results.trials / key / name, "", valid)
                os.utime(results.trials / key / name, ns=(int(text), int(text)))
            else:
                _write(path, results.trials / key / name, text, valid)
    return study, profile


def _write(path: Path, target: Path, text: str, valid: bool) -> None:
    """Write a file of a record."""
    if not valid:
        raise UserError(f"{path} has a file named {visible(target.name)}, which no record of a trial has", help=_HELP)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8", newline="")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A connection, and the plain path of a copy of a Parquet file."""
    with tempfile.TemporaryDirectory(dir=plain_place()) as folder, duckdb.connect() as connection:
        copy = Path(folder) / "published.parquet"
        try:
            copy.write_bytes(path.read_bytes())
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
        yield connection, str(copy)


def _about(path: Path, connection: duckdb.DuckDBPyConnection, place: str) -> Mapping[str, Any]:
    """What the metadata of a file say. Raises UserError if they do not describe published records."""
    try:
        found = dict(connection.execute(f"SELECT key, value FROM parquet_kv_metadata('{place}')").fetchall())
        about = json.loads(found.get(b"ablate", b"{}"))
    except (duckdb.Error, ValueError) as error:
        raise UserError(f"{path} is not a Parquet file: {str(error).splitlines()[0]}", help=_HELP) from error
    if not isinstance(about, dict) or about.get("format") != _FORMAT or not _STUDY.fullmatch(str(about.get("study"))):
        raise UserError(f"{path} has no published records", help=_HELP)
    profile, plans = about.get("profile"), about.get("plans")
    if not isinstance(profile, str) or not profile or profile != visible(profile) or profile.startswith((".", "+")):
        raise UserError(f"{path} does not name the profile of its trials", help=_HELP)
    if not isinstance(plans, dict) or not plans or not all(isinstance(text, str) for text in plans.values()):
        raise UserError(f"{path} has no plans", help=_HELP)
    return about


def _check_rows(path: Path, results: Results, study: str, profile: str) -> None:
    """Raise UserError if a row of a file says anything else than the record that it carries."""
    if damage := read_plans(results, study)[1]:
        raise UserError(f"{path}: {damage[0].removeprefix(f'{results.plans(study)}/')}", help=_HELP)
    with open_store(results, locked=False) as store:
        now = _table(store, _rows_sql(study, profile))
    with _opened(path) as (connection, place):
        said = _table(connection, f"SELECT * FROM '{place}'")
    if len(said) != len(now):
        raise UserError(f"{path} has {plural(len(said), 'row')}, its plans have {plural(len(now), 'trial')}")
    for number, (row, record) in enumerate(zip(said, now, strict=True), 1):
        for name in row.keys() & record.keys():
            if row[name] != record[name]:
                where = f"{path}, row {number} (trial {row['key'][:12]}), column {visible(name)}"
                raise UserError(f"{where}: it has {row[name]}, its record says {record[name]}", help="publish it again")


def _table(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    cursor = connection.execute(sql)
    names = [str(column[0]) for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
