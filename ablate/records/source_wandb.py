"""W&B's projects and offline runs as sources, read by W&B; and the CSV that its web page exports."""

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json

from ablate.errors import UserError
from ablate.records.source import REMOTE, RUN_COLUMN, STEP_COLUMN, Source, digest_of, needs, of_runs, unreadable
from ablate.records.source_tables import flat
from ablate.study.cells.cell import is_number

RUNS = "run-*.wandb"
_HEADER, _BLOCK, _PART = 7, 32_768, struct.Struct("<IHB")
"""Bytes of a file's header and of a block; a part of a record begins with its checksum, its length and its kind."""
_FULL, _FIRST, _LAST = 1, 2, 4
_NO_JSON = ("NaN", "Infinity", "-Infinity")
_EXPORTED = {"Name", "State", "Created"}
"""Columns of every exported CSV."""
_ABOUT = frozenset({"Name", "ID", "Notes", "User", "Tags", "Created", "Updated", "End Time", "Runtime", "Sweep", "Host",
                    "Hostname", "GPU Count", "GPU Type", "Description", "Commit", "GitHub", "Job Type", "Group",
                    "_runtime", "_timestamp", "_step", "_wandb", "Relative Time (Process)"})  # fmt: skip
"""Columns that describe a run; the state is not one of them, since a crashed run must not pass as a finished one."""


def exported(source: Source) -> Source:
    """The table with the columns of W&B's own marked, if it is an exported one; otherwise unchanged."""
    if not _EXPORTED.issubset(source.columns):
        return source
    run = "ID" if "ID" in source.columns else "Name"
    return Source(source.path, source.digest, source.rows, about=_ABOUT - {run}, run=run)


def read_offline(folder: Path) -> Source:
    """The runs of a `wandb` folder, or of one run's folder: configuration, summary, and history by step.

    Raises UserError without W&B.
    """
    try:
        from wandb.proto.wandb_internal_pb2 import Record
    except ImportError as error:
        raise needs("wandb", f"{folder} has offline runs of W&B: reading them") from error
    files = sorted(folder.rglob(RUNS))
    logged = [_Logged(file.stem.removeprefix("run-"), *_logged(file, Record)) for file in files]
    return _source(folder, digest_of(files, folder), logged)


def read_project(path: Path) -> Source:
    """The finished runs of a project on W&B's server, `wandb:ENTITY/PROJECT`, with their whole history.

    W&B's library asks for a login if there is none. Raises UserError without that library, without a login or a
    network, and if there is no such project.
    """
    try:
        import wandb
    except ImportError as error:
        raise needs("wandb", f"{path} is a project of W&B: reading it") from error
    project = path.as_posix().removeprefix(REMOTE)
    if not all(project.partition("/")) or project.count("/") > 1:
        raise UserError(f"{path} names no project of W&B", help=f"{REMOTE}ENTITY/PROJECT, as in the project's address")
    try:
        logged = [
            _Logged(run.id, run.config, _numbers(run.summary_metrics), list(map(_numbers, run.scan_history())))
            for run in wandb.Api().runs(project, filters={"state": "finished"})
        ]
    except Exception as error:  # of W&B, of the network, or of the server's answers
        raise unreadable(path, error, help="is the name right, and are you logged in (wandb login)?") from error
    text = json.dumps(sorted(logged, key=lambda each: each.run), sort_keys=True, default=str)
    return _source(path, hashlib.sha256(text.encode()).hexdigest(), logged)


class _Logged(NamedTuple):
    """What a run logged; the history by step."""

    run: str
    config: dict[str, Any]
    summary: dict[str, Any]
    history: list[dict[str, Any]]


def _source(path: Path, digest: str, runs: Iterable[_Logged]) -> Source:
    rows: list[dict[str, Any]] = []
    settings, metrics = set[str](), set[str]()
    for run, config, summary, history in runs:
        place = f"{path}, run {run},"
        config = {name: value for name, value in flat(config, place).items() if not name.startswith("_wandb")}
        settings |= config.keys()
        ended = {name: value for name, value in flat(summary, place).items() if not name.startswith("_")}
        metrics |= ended.keys()
        rows.append({RUN_COLUMN: run, **config, **ended})
        for number, each in enumerate(history):
            logged = {name: value for name, value in flat(each, place).items() if not name.startswith("_")}
            metrics |= logged.keys()
            step = each.get("_step")
            rows.append({RUN_COLUMN: run, STEP_COLUMN: step if is_number(step) else number, **logged})
    return of_runs(path, digest, rows, settings=settings, metrics=metrics - settings)


def _numbers(logged: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the server, which sends NaN and infinity as text, as JSON has no word for them."""
    return {name: float(value) if value in _NO_JSON else value for name, value in logged.items()}


def _logged(file: Path, record_type: Any) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """Configuration, summary and history of a run. record_type: W&B's message. Raises UserError for a damaged file."""
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    history: list[dict[str, Any]] = []
    for data in _records(file):
        try:
            record = record_type.FromString(data)
            config |= _items(record.run.config.update) | _items(record.config.update)
            summary |= _items(record.summary.update)
            if record.HasField("history"):
                history.append(_items(record.history.item))
        except Exception as error:  # protobuf's errors share no base with others; or the JSON of a value is damaged
            raise unreadable(file, f"a record in it is damaged: {error}") from error
    return config, summary, history


def _records(file: Path) -> Iterator[bytes]:
    """The records of a .wandb file, which is a log of LevelDB: in blocks of 32 KiB, each record in one part or several.

    W&B no longer has a reader in Python. The last record of a run that was killed may be cut; it is left out.
    """
    data = file.read_bytes()
    at, record = _HEADER, b""
    if data[:4] != b":W&B":
        raise unreadable(file, "it is not a file of W&B")
    while at + _PART.size <= len(data):
        if _BLOCK - at % _BLOCK < _PART.size:  # the rest of a block is too small for a part
            at += _BLOCK - at % _BLOCK
            continue
        _, length, kind = _PART.unpack_from(data, at)
        part = data[at + _PART.size : at + _PART.size + length]
        at += _PART.size + length
        record = part if kind in (_FULL, _FIRST) else record + part
        if kind in (_FULL, _LAST) and at <= len(data):
            yield record


def _items(items: Iterable[Any]) -> dict[str, Any]:
    """Name -> value of W&B's items, whose name is a key or a path of keys."""
    return {item.key or ".".join(item.nested_key): from_json(item.value_json) for item in items}
