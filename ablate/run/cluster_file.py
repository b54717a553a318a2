"""The cluster file, ablate.toml: finds, reads and extends it."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pydantic
import typer
from pydantic import Field

from ablate.errors import InvalidValue, Problem, UserError, nearest, value_text
from ablate.run.cluster import ANY, Cluster, ClusterTable
from ablate.study.schema.values import Identifier, identifier
from ablate.study.toml.positions import Source
from ablate.study.toml.problems import problem
from ablate.study.toml.reading import read_toml
from ablate.study.toml.table import Table

FILE = "ablate.toml"
_TEMPLATE = """\
# Options of Slurm jobs. All keys: docs/slurm.md. Slurm's defaults apply to omitted keys.
[cluster.{name}]
# partition = "gpu"
# account = "lab"
# qos = "normal"
# time = "24h"                      # time limit of a job; longer trials continue in the next job
# gpus_per_node = 4                 # GPUs per node
# most_jobs = 32                    # running at once
setup = []                          # lines of bash: "module load cuda/12.4"
# memory_cap = "256GB"              # maximum after retries for lack of memory
# on_finish = "mail -s done me"     # or an https:// address that receives JSON

# Further sbatch options, without dashes.
[cluster.{name}.options]
"""


class LogTable(Table):
    """Copies of what trials log: `[log]`."""

    to: tuple[Literal["tensorboard", "wandb", "mlflow", "trackio"], ...] = Field((), examples=[["tensorboard"]])
    """The trackers that receive the rows of every run."""


class ClusterFile(Table):
    """The content of ablate.toml."""

    log: LogTable = LogTable()
    cluster: dict[Identifier, ClusterTable] = Field({}, examples=[{"big": {"partition": "gpu"}}])


def find_cluster(name: str, folder: Path) -> Cluster:
    """The cluster of that name in the ablate.toml of a project folder or of the user; `slurm` means the only one.

    Raises UserError if neither file has it, and for every error in the files.
    """
    known = known_clusters(folder)
    if name in known:
        return known[name]
    if name == ANY and len(known) == 1:
        return next(iter(known.values()))
    if name == ANY and not known:
        return Cluster()
    if not known:
        help = f"create it with ablate new {value_text(name)[1:-1]} --cluster, or use Slurm's defaults with --on {ANY}"
        raise UserError(f"there is no cluster '{name}': no {FILE} here or in {_user_folders()[0]}", help=help)
    message = f"there is no cluster '{name}'{nearest(name, known)}"
    if name == ANY:
        message = f"--on {ANY} means the only cluster of {FILE}, but there are {len(known)}"
    raise UserError(message, help=f"clusters are: {', '.join(known)}")


def known_clusters(folder: Path) -> dict[str, Cluster]:
    """All clusters by name. The project folder's file takes precedence over the user's.

    Raises UserError with every error in them.
    """
    found: dict[str, Cluster] = {}
    for path in _files(folder):
        for name, table in read_clusters(path).items():
            found.setdefault(name, Cluster(name=name, **table.model_dump()))
    return found


def read_clusters(path: Path) -> dict[str, ClusterTable]:
    """The tables of one file. Raises UserError with every error in it."""
    source, data = read_toml(path)
    try:
        return ClusterFile.model_validate(data).cluster
    except pydantic.ValidationError as error:
        raise UserError(*_problems(error, source)) from error


def trackers(folder: Path) -> tuple[str, ...]:
    """The trackers of `[log]`, from the first file that has this table. Raises UserError for an error in it."""
    for path in _files(folder):
        source, data = read_toml(path)
        if "log" in data:
            try:
                return ClusterFile.model_validate({"log": data["log"]}).log.to
            except pydantic.ValidationError as error:
                raise UserError(*_problems(error, source)) from error
    return ()


def new_cluster(name: str, folder: Path = Path()) -> Path:
    """Append a cluster template to the folder's ablate.toml; returns the file. Raises UserError."""
    try:
        identifier(name)
    except InvalidValue as error:
        raise UserError(f"NAME = {value_text(name)}: {error}", help=error.help) from error
    path = folder / FILE
    before = ""
    if path.exists():
        if name in read_clusters(path):
            raise UserError(f"{path} already has a cluster '{name}'", help="choose another name, or edit that cluster")
        before = path.read_text(encoding="utf-8").rstrip("\n") + "\n\n"
    path.write_text(before + _TEMPLATE.format(name=name), encoding="utf-8")
    return path


def cluster_schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    from ablate.study.json_schema import Described  # only editors need it

    schema = ClusterFile.model_json_schema(schema_generator=Described)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "ablate clusters"}


def _problems(error: pydantic.ValidationError, source: Source) -> Iterator[Problem]:
    for detail in error.errors(include_url=False):
        key = tuple(part for part in detail["loc"] if part != "[key]")
        yield _outside_of_clusters(detail, source) or problem(detail, ClusterFile, source.locate(key))


def _outside_of_clusters(detail: Any, source: Source) -> Problem | None:
    """A key of a cluster, or a cluster, outside `[cluster.NAME]`; None for other errors."""
    if detail["type"] != "extra_forbidden" or len(detail["loc"]) != 1:
        return None
    name, keys = str(detail["loc"][0]), list(ClusterTable.model_fields)
    if name in keys or (isinstance(detail["input"], dict) and not difflib.get_close_matches(name, ["cluster"])):
        message = f"'{name}' must be inside a cluster's table"
        return Problem(message, source.locate((name,)), "clusters are tables: [cluster.NAME]")
    return None


def _files(folder: Path) -> list[Path]:
    """The files named ablate.toml that exist: the project folder's, then the user's."""
    return [path for path in (each / FILE for each in (folder, *_user_folders())) if path.is_file()]


def _user_folders() -> list[Path]:
    """Where the user's cluster file may be: the system's folder of settings, or ~/.config/ablate on every system."""
    return list(dict.fromkeys((Path(typer.get_app_dir("ablate")), Path.home() / ".config" / "ablate")))
