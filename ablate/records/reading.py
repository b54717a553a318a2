"""Reading records: each file alone, checked before it is believed.

Anyone may have truncated, replaced or swapped a file below results/. A file is read only if it is a regular one of a
plausible size, and its content is used only if it has the expected form; `Damaged` says what is wrong with it.
"""

import contextlib
import os
import stat
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ablate.records.strict import strict_json

MOST_BYTES = 16 << 20
"""Of a trial, a result or an environment: a thousand times what the largest ones have."""
MOST_BYTES_OF_LINES = 256 << 20
"""Of a file with one line per event or per row of metrics, and of a plan, which lists all trials of a study."""
_CHUNK = 1 << 20
_LONGEST_NAME = 200
"""Bytes: file systems allow 255, of which temporary names need some."""


class Damaged(ValueError):
    """A record that cannot be believed; the message says why."""


class OfAnotherTrial(Damaged):
    """A record that belongs in another trial's folder."""


@cache
def open_flags(flags: int) -> int:
    """Flags of `os.open` with those that keep a FIFO from waiting and bytes as they are, where the system has them."""
    for name in ("O_CLOEXEC", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)
    return flags


def content(path: Path | str, most: int = MOST_BYTES) -> bytes:
    """The bytes of a regular file. Raises FileNotFoundError if there is none, and Damaged if it cannot be read."""
    try:
        descriptor = os.open(path, open_flags(os.O_RDONLY))
        try:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise Damaged(f"{_name(path)} is not a regular file")
            if about.st_size > most:
                raise Damaged(f"{_name(path)} has {about.st_size:,} bytes, more than {most:,}")
            text = os.read(descriptor, about.st_size + 1)
            if len(text) != about.st_size:  # the file grows or shrinks
                text += b"".join(iter(partial(os.read, descriptor, _CHUNK), b""))
            return text
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        if Path(path).is_symlink():
            raise Damaged(f"{_name(path)} is a link to nothing") from None
        raise
    except OSError as error:
        raise Damaged(f"{_name(path)} cannot be read: {error.strerror or error}") from error


def parse(text: bytes, name: str = "it") -> Any:
    """A value from JSON without NaN, numbers beyond floating point, and deep nesting. Raises Damaged."""
    try:
        return strict_json(text)
    except RecursionError:
        raise Damaged(f"{name} is nested too deeply") from None
    except ValueError as error:
        raise Damaged(f"{name} is not valid JSON: {error}" if text.strip() else f"{name} is empty") from error


def json_object(path: Path | str, most: int = MOST_BYTES) -> dict[str, Any]:
    """The object in a JSON file. Raises FileNotFoundError and Damaged."""
    value = parse(content(path, most), _name(path))
    if not isinstance(value, dict):
        raise Damaged(f"{_name(path)} is not an object")
    return value


def read_object(path: Path | str, most: int = MOST_BYTES) -> dict[str, Any]:
    """The object in a JSON file; empty if the file is missing or damaged."""
    try:
        return json_object(path, most)
    except (FileNotFoundError, Damaged):
        return {}


def read_json_lines(path: Path | str) -> list[dict[str, Any]]:
    """The objects in the lines of a file; a line that a crash truncated or that is damaged is skipped."""
    try:
        lines = list(filter(None, content(path, MOST_BYTES_OF_LINES).split(b"\n")))
    except (FileNotFoundError, Damaged):
        return []
    rows: list[Any] = []
    with contextlib.suppress(Damaged):  # all at once, which is faster than one by one
        rows = parse(b"[" + b",".join(lines) + b"]")
    if len(rows) != len(lines):  # a line is damaged: two halves of an object may look like one
        rows = []
        for line in lines:
            with contextlib.suppress(Damaged):
                rows.append(parse(line))
    return [row for row in rows if isinstance(row, dict)]


def _name(path: Path | str) -> str:
    return str(path).rpartition("/")[2]


def _one_name(text: str) -> str:
    if not text or text.startswith(".") or "/" in text or "\0" in text:
        raise ValueError("must be the name of a file")
    if len(text.encode()) > _LONGEST_NAME:
        raise ValueError(f"is longer than {_LONGEST_NAME} bytes")
    return text


Name = Annotated[str, AfterValidator(_one_name)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]
RECORD = ConfigDict(strict=True, frozen=True, extra="ignore")
"""Of a model of a record: no value is converted, and entries of later versions are ignored."""


class TrialRecord(BaseModel):
    """trial.json: what a worker needs to train a trial."""

    model_config = RECORD

    key: Name
    pretrain_key: Name
    trainer: str | None = None
    recipe_version: int | None = Field(None, ge=-(2**63), lt=2**63)
    plan: str | None = None
    code: str | None = None
    config: dict[str, Any]


class ResultRecord(BaseModel):
    """result.json: what a trial returned, and who trained it."""

    model_config = RECORD

    key: Name
    attempt: Name | None = None
    seconds: Seconds | None = Field(None, ge=0)
    metrics: dict[str, Any]
    """What the trainer returned."""
    warnings: list[str] = []
    correct: dict[str, dict[str, Any]] = {}
    """Metric -> the test examples whose share it is, if the trainer kept them: see `Correct`."""

    @model_validator(mode="after")
    def _agrees(self) -> "ResultRecord":
        from ablate.records.correct import Correct  # few results have it

        for metric, kept in self.correct.items():
            if not valid(Correct, kept, f"correct.{metric}").explains(self.metrics.get(metric)):
                raise ValueError(f"correct.{metric} has another share of right examples than the metric")
        return self


class Started(BaseModel):
    """The event `started`: which process runs the attempt."""

    model_config = RECORD

    time: Seconds
    host: str | None = None
    pid: int | None = Field(None, gt=0, lt=2**31)
    place: str | None = None
    device: str | None = None


class Ended(BaseModel):
    """The event `ended`: how an attempt ended."""

    model_config = RECORD

    time: Seconds
    state: Literal["done", "failed", "interrupted"]
    cause: str | None = None
    message: str | None = None


def read_trial(path: Path | str) -> TrialRecord:
    """A trial.json that belongs to its folder. Raises FileNotFoundError and Damaged."""
    return _of_folder(TrialRecord, path, json_object(path))


def read_result(path: Path | str) -> ResultRecord:
    """A result.json that belongs to its folder. Raises FileNotFoundError and Damaged.

    Earlier versions wrote what the trainer returned beside `key`, `attempt` and `seconds`.
    """
    record = json_object(path)
    if not isinstance(record.get("metrics"), dict) or not record.keys() <= ResultRecord.model_fields.keys():
        ours = {name: record[name] for name in ("key", "attempt", "seconds") if name in record}
        if not record.keys() - ours.keys() - {"warnings"}:
            raise Damaged(f"{_name(path)} has no metrics")
        record = ours | {"metrics": {name: value for name, value in record.items() if name not in ours}}
    return _of_folder(ResultRecord, path, record)


def result_if_any(path: Path | str) -> ResultRecord | None:
    """The result.json that belongs to its folder; None if it is missing or damaged."""
    with contextlib.suppress(FileNotFoundError, Damaged):
        return read_result(path)
    return None


_Model = TypeVar("_Model", bound=BaseModel)
_OfTrial = TypeVar("_OfTrial", TrialRecord, ResultRecord)


def _of_folder(model: type[_OfTrial], path: Path | str, value: dict[str, Any]) -> _OfTrial:
    folder, _, name = str(path).rpartition("/")
    record = valid(model, value, name)
    if record.key != _name(folder):
        raise OfAnotherTrial(f"{name} is of another trial: its key is {record.key[:12]}")
    return record


def valid(model: type[_Model], value: Any, name: str) -> _Model:
    """The value as a model. Raises Damaged with the first thing that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Damaged(f"{name}: {where}: {first['msg']}" if where else f"{name}: {first['msg']}") from error


_FACTS: dict[str, type] = {
    **dict.fromkeys(("commit", "code", "host", "device", "processor", "platform", "python", "driver", "plan"), str),
    "packages": dict,
    "project": dict,
    "slurm": dict,
    "command": list,
    "threads": int,
    "cores": int,
}
"""The types of what is recorded; other entries are plain values."""
_PLAIN_FACTS = (str, int, float, bool)


def believable(facts: Any) -> dict[str, Any]:
    """The entries of a recorded environment that have the form of what `provenance` returns."""
    found = {}
    for name, value in facts.items() if isinstance(facts, dict) else ():
        kind: type | tuple[type, ...] = _FACTS.get(name, (str, int, float))
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if value is None or (
            isinstance(value, kind) and all(each is None or isinstance(each, _PLAIN_FACTS) for each in inside)
        ):
            found[name] = value
    return found
