"""The cluster file, ablate.toml: what a cluster is called, and what its sbatch wants to be told."""

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from ablate.errors import Problem, UserError, nearest
from ablate.study.mistake import Mistake
from ablate.study.mistakes import problem
from ablate.study.schema import Identifier, amount_of_memory, hours
from ablate.study.source import Source, read_toml
from ablate.study.words import value_text

FILE = "ablate.toml"
ANY = "slurm"
"""The name that stands for the only cluster of the file, or for Slurm's own defaults where there is no file."""
_OWN_KEYS = ("partition", "account", "qos", "constraint", "time")
_OF_THE_STUDY = {
    "nodes": "nodes", "ntasks-per-node": "gpus_per_node", "cpus-per-task": "cpus_per_task", "mem": "memory",
}  # fmt: skip
_OURS = (
    "array", "job-name", "output", "error", "open-mode", "dependency", "hold", "requeue", "no-requeue", "signal",
    "parsable", "wrap", "ntasks", "chdir", "export", "test-only", "wait", "input",
)  # fmt: skip


def _time(text: str) -> str:
    hours(text)
    return text


def _line(text: str) -> str:
    if "\n" in text:
        raise Mistake("should be one line", "give several as several items of the list")
    return text


def _finish(text: str) -> str:
    if re.match(r"(?!https://)[a-z]+://", text):
        raise Mistake("should be a command, or an address that begins with https://")
    return text


def _memory(text: str) -> str:
    try:
        return amount_of_memory(text)
    except Mistake as error:  # its help is about another key
        raise Mistake(str(error)) from error


def _option(name: str) -> str:
    """An option as sbatch's long ones are written, `mail-type` for `mail_type` too, and none that ablate sets."""
    written = name.replace("_", "-")
    if not re.fullmatch(r"[a-z][a-z0-9-]*", written):
        raise Mistake("should be a long option of sbatch, without its dashes", "for example mail-type")
    if written in _OWN_KEYS:
        raise Mistake("has a key of its own", f"write {written} = ... beside options")
    if written in _OF_THE_STUDY:
        help = f"write {_OF_THE_STUDY[written]} into [resources] of the study or profile"
        raise Mistake("is what a trial needs, and not the cluster's", help)
    if written in _OURS:
        raise Mistake("is what ablate sets itself", "leave it out")
    return written


def _value(value: Any) -> Any:
    if not isinstance(value, (bool, int, str)) or value is False:
        raise Mistake("should be text, a whole number, or true for an option without a value", "leave it out otherwise")
    return value


Time = Annotated[str, AfterValidator(_time)]
Memory = Annotated[str, AfterValidator(_memory)]
Option = Annotated[str, AfterValidator(_option)]
_OPTION_VALUES = {"anyOf": [{"type": "string"}, {"type": "integer"}, {"const": True}]}
OptionValue = Annotated[Any, AfterValidator(_value), WithJsonSchema(_OPTION_VALUES)]
_Count = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class FollowUp(_Strict):
    """The small job that runs when those of a study have ended: it collects, retries, submits, and writes the page."""

    partition: str | None = None
    """Where it runs, if not where the trials do: it needs one core and no GPU."""
    time: Time | None = Field(None, examples=["30min"])
    """Its time limit."""


class ClusterTable(_Strict):
    """One cluster, or one way to use it: `[cluster.NAME]`. What is left out is as Slurm has it by default."""

    partition: str | None = Field(None, examples=["gpu"])
    """Where jobs run; several with commas, of which Slurm takes the first that is free."""
    account: str | None = Field(None, examples=["lab"])
    """Who is charged."""
    qos: str | None = Field(None, examples=["normal"])
    """Quality of service."""
    constraint: str | None = Field(None, examples=["a100"])
    """Features that a node must have."""
    gpus_per_node: Annotated[int, Field(ge=0, le=64)] | None = None
    """GPUs that a node has; a trial that needs more on one node is refused before anything is submitted."""
    time: Time | None = Field(None, examples=["24h"])
    """The longest that a job may take, which need not be enough for its trials: they go on in the next."""
    most_jobs: _Count | None = None
    """Jobs of a study that run at once, at the most."""
    setup: tuple[Annotated[str, AfterValidator(_line)], ...] = Field((), examples=[["module load cuda/12.4"]])
    """Lines of bash that a job begins with."""
    options: dict[Option, OptionValue] = Field({}, examples=[{"mail-type": "FAIL"}])
    """Any further option of sbatch, without its dashes; `true` for one that takes no value."""
    trials_per_job: _Count | None = None
    """Trials that one job trains, where the study's resources do not say; else it is chosen from what they took."""
    at_once: Annotated[int, Field(ge=1, le=64)] | None = None
    """Trials that a job trains side by side on its GPUs, where the study's resources do not say."""
    memory_cap: Memory | None = Field(None, examples=["256GB"])
    """The most memory that a job is given after its trials were killed for want of it."""
    on_finish: Annotated[str, AfterValidator(_finish)] | None = Field(None, examples=["notify-me"])
    """What is told when a study has ended: a command of the shell, or an address (https://...) to which JSON is posted.
    """
    follow_up: FollowUp = FollowUp()
    """The job that follows those of a study; its keys are below."""


class Cluster(ClusterTable):
    """A cluster by its name."""

    name: str = ANY


class ClusterFile(_Strict):
    """What ablate.toml says."""

    cluster: dict[Identifier, ClusterTable] = Field({}, examples=[{"big": {"partition": "gpu"}}])


def find_cluster(name: str, folder: Path) -> Cluster:
    """The cluster of that name in a project folder's ablate.toml, or in the user's: `slurm` is the only one.

    Raises UserError for a name that neither has, and for every mistake of the file that is read.
    """
    known = known_clusters(folder)
    if name in known:
        return known[name]
    if name == ANY and len(known) == 1:
        return next(iter(known.values()))
    if name == ANY and not known:
        return Cluster()
    if not known:
        help = (
            f"write it with ablate new {value_text(name)[1:-1]} --cluster, or use --on {ANY} for Slurm's own defaults"
        )
        raise UserError(f"there is no cluster '{name}': no {FILE} here or in {_config_folder()}", help=help)
    told = f"there is no cluster '{name}'{nearest(name, known)}"
    if name == ANY:
        told = f"--on {ANY} stands for the only cluster of {FILE}, and there are {len(known)}"
    raise UserError(told, help=f"clusters are: {', '.join(known)}")


def known_clusters(folder: Path) -> dict[str, Cluster]:
    """All clusters by name: those of the project folder's file, then those that only the user's file has.

    Raises UserError with every mistake in them.
    """
    files = [path for path in (folder / FILE, _config_folder() / FILE) if path.is_file()]
    found: dict[str, Cluster] = {}
    for path in files:
        for name, table in read_clusters(path).items():
            found.setdefault(name, Cluster(name=name, **table.model_dump()))
    return found


def read_clusters(path: Path) -> dict[str, ClusterTable]:
    """The tables of one file. Raises UserError with every mistake in it."""
    source, data = read_toml(path)
    try:
        return ClusterFile.model_validate(data).cluster
    except pydantic.ValidationError as error:
        raise UserError(*_told(error, source)) from error


def cluster_schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    schema = ClusterFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "ablate clusters"}


def _told(error: pydantic.ValidationError, source: Source) -> Iterator[Problem]:
    for detail in error.errors(include_url=False):
        key = tuple(part for part in detail["loc"] if part != "[key]")
        yield _misplaced(detail, source) or problem(detail, ClusterFile, source.place(key))


def _misplaced(detail: Any, source: Source) -> Problem | None:
    """A key of a cluster, or a cluster, that stands beside `[cluster.NAME]`; None for other mistakes."""
    if detail["type"] != "extra_forbidden" or len(detail["loc"]) != 1:
        return None
    name, keys = str(detail["loc"][0]), list(ClusterTable.model_fields)
    if name in keys or (isinstance(detail["input"], dict) and not difflib.get_close_matches(name, ["cluster"])):
        told = f"'{name}' stands beside the clusters, and belongs into one"
        return Problem(told, source.place((name,)), "clusters are tables: [cluster.NAME]")
    return None


def _config_folder() -> Path:
    """The user's folder of settings, as the XDG base directory specification has it."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".config") / "ablate"
