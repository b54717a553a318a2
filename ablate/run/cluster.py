"""A cluster: what its table in ablate.toml may say, and how each key is checked."""

import re
import shlex
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, model_validator

from ablate.errors import InvalidValue, toml
from ablate.study.schema.resources import amount_of_memory, hours
from ablate.study.toml.table import Table

GPUS = "gpus"
"""The placeholder in options for the number of GPUs per node that a job needs."""
ANY = "slurm"
"""The name that means the only cluster of the file, or Slurm's own defaults where there is no file."""
_KEYS_OF_THE_TABLE = ("partition", "account", "qos", "constraint", "time", "clusters")
_KEYS_OF_RESOURCES = {
    "nodes": "nodes", "ntasks-per-node": "gpus_per_node", "cpus-per-task": "cpus_per_task", "mem": "memory",
}  # fmt: skip
_SET_BY_ABLATE = (
    "array", "job-name", "output", "error", "open-mode", "dependency", "hold", "requeue", "no-requeue", "signal",
    "parsable", "wrap", "ntasks", "chdir", "export", "test-only", "wait", "input",
)  # fmt: skip
_EXAMPLE_OF_PATHS = 'for example paths = { "/mnt/cluster/home" = "/home" }'


def _time(text: str) -> str:
    hours(text)
    return text


def _line(text: str) -> str:
    if "\n" in text:
        raise InvalidValue("must be one line", "write several lines as several items of the list")
    return text


def _one_cluster(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", text) or text == "all":
        raise InvalidValue("must name one cluster", "define another [cluster.NAME] for each further cluster")
    return text


def _paths(places: dict[str, str]) -> dict[str, str]:
    """Folder here -> the same folder on the cluster, both without a slash at the end."""
    for path in (*places, *places.values()):
        if not path.startswith("/"):
            raise InvalidValue(f"has '{path}', which is not an absolute path", _EXAMPLE_OF_PATHS)
    found = {str(PurePosixPath(here)): str(PurePosixPath(there)) for here, there in places.items()}
    for there in found.values():
        if around := next((here for here in found if PurePosixPath(there).is_relative_to(here)), None):
            message = f"has '{there}' on the cluster, which is inside '{around}' here"
            raise InvalidValue(message, "name separate folders: a path inside both could mean either")
    return found


def _finish(target: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """A command as it is, in words or in one text that is split into words; no shell reads it."""
    if not isinstance(target, str):
        return target
    if re.match(r"(?!https://)[a-z]+://", target):
        raise InvalidValue("must be a command, or an address that begins with https://")
    if not target.startswith("https://") and re.search(r"[|&;<>$`*?~()]", target):
        help = f'for a shell, write on_finish = ["bash", "-c", {toml(target)}]'
        raise InvalidValue("has characters that only a shell understands, and no shell reads it", help)
    try:
        shlex.split(target)
    except ValueError as error:
        raise InvalidValue(f"cannot be split into words: {error}", "write a list of words") from error
    return target


def _memory(text: str) -> str:
    try:
        return amount_of_memory(text)
    except InvalidValue as error:  # without its help, which names another key
        raise InvalidValue(str(error)) from error


def _option(name: str) -> str:
    """A long option of sbatch in Slurm's spelling (`mail-type` for `mail_type`) that ablate does not set itself."""
    written = name.replace("_", "-")
    if not re.fullmatch(r"[a-z][a-z0-9-]*", written):
        raise InvalidValue("must be a long option of sbatch, without its dashes", "for example mail-type")
    if written in _KEYS_OF_THE_TABLE:
        raise InvalidValue("has its own key", f"write {written} = ... in the cluster's table, outside options")
    if written in _KEYS_OF_RESOURCES:
        help = f"write {_KEYS_OF_RESOURCES[written]} into [resources] of the study or profile"
        raise InvalidValue("belongs to the trial, not the cluster", help)
    if written in _SET_BY_ABLATE:
        raise InvalidValue("is set by ablate itself", "leave it out")
    return written


def _value(value: Any) -> Any:
    unknown = [name for name in re.findall(r"\{(\w+)\}", str(value)) if name != GPUS]
    if unknown:
        raise InvalidValue(f"has an unknown placeholder {{{unknown[0]}}}", f"the only one is {{{GPUS}}}")
    if not isinstance(value, (bool, int, str)) or value is False:
        help = "leave the option out to switch it off"
        raise InvalidValue("must be text, a whole number, or true for an option without a value", help)
    return value


def _whole_nodes(value: bool, info: ValidationInfo) -> bool:
    if value and not info.data.get("gpus_per_node"):
        raise InvalidValue("needs the number of GPUs of a node", "set gpus_per_node")
    return value


def _follow_up_option(name: str) -> str:
    """The same for the follow-up job, which has no trial."""
    written = name.replace("_", "-")
    return written if written in _KEYS_OF_RESOURCES or written in ("account", "qos", "constraint") else _option(name)


Time = Annotated[str, AfterValidator(_time)]
Memory = Annotated[str, AfterValidator(_memory)]
Option = Annotated[str, AfterValidator(_option)]
FollowUpOption = Annotated[str, AfterValidator(_follow_up_option)]
_OPTION_VALUES = {"anyOf": [{"type": "string"}, {"type": "integer"}, {"const": True}]}
OptionValue = Annotated[Any, AfterValidator(_value), WithJsonSchema(_OPTION_VALUES)]
_Count = Annotated[int, Field(ge=1)]


class FollowUp(Table):
    """The small job that runs when a study's jobs have ended: it retries trials, or writes the page."""

    by: Literal["job", "login"] = "job"
    """Set to `"login"` where nodes cannot submit jobs: then `ablate watch` on a login node does this work."""
    partition: str | None = None
    """Partition of the follow-up job. Default: the trials' partition. It needs one core and no GPU."""
    time: Time | None = Field(None, examples=["30min"])
    """Time limit of the follow-up job."""
    options: dict[FollowUpOption, OptionValue] = Field({}, examples=[{"gpus-per-node": 1}])
    """Further sbatch options of the follow-up job, such as a GPU where the partition rejects jobs without one. They
    replace those of the cluster's `options`."""


class Container(Table):
    """The container in which trials train: with `apptainer` or with `pyxis`."""

    apptainer: str | None = Field(None, examples=["torch.sif"])
    """Image for `apptainer exec`, with `--nv` if the job has GPUs."""
    pyxis: str | None = Field(None, examples=["nvcr.io#nvidia/pytorch:25.01-py3"])
    """Image for `srun --container-image`."""
    mounts: tuple[str, ...] = Field((), examples=[["/data"]])
    """Folders to mount beside the records and the project's folder, as `FOLDER` or `FOLDER:PLACE`."""
    options: tuple[str, ...] = Field((), examples=[["--cleanenv"]])
    """Further options of `apptainer exec` or `srun`."""

    @model_validator(mode="after")
    def _one_image(self) -> "Container":
        if (self.apptainer is None) == (self.pyxis is None):
            raise InvalidValue("must have exactly one image", "set apptainer or pyxis")
        return self


class ClusterTable(Table):
    """One cluster, or one way to use it: `[cluster.NAME]`. Slurm's defaults apply to every key that is left out."""

    partition: str | None = Field(None, examples=["gpu"])
    """Partition, or several separated by commas (Slurm uses the first available)."""
    account: str | None = Field(None, examples=["lab"])
    """Account to charge."""
    qos: str | None = Field(None, examples=["normal"])
    """Quality of service."""
    constraint: str | None = Field(None, examples=["a100"])
    """Required node features."""
    gpus_per_node: Annotated[int, Field(ge=0, le=64)] | None = None
    """GPUs per node. Trials that need more GPUs are rejected before submission."""
    time: Time | None = Field(None, examples=["24h"])
    """Time limit of a job. Trials that take longer continue in the next job."""
    most_jobs: _Count | None = None
    """Maximum number of a study's jobs that run at once."""
    clusters: Annotated[str, AfterValidator(_one_cluster)] | None = Field(None, examples=["second"])
    """Slurm's name of the cluster, if one installation has several: `--clusters` of every command of Slurm."""
    prefix: tuple[str, ...] = Field((), examples=[["ssh", "login"]])
    """Words before every command of Slurm outside of jobs, such as `ssh login`."""
    job_prefix: tuple[str, ...] = Field((), examples=[["ssh", "login"]])
    """The same inside jobs, for nodes that may not submit."""
    paths: Annotated[dict[str, str], AfterValidator(_paths)] = Field({}, examples=[{"/mnt/cluster/home": "/home"}])
    """Folder on this machine = the same folder on the cluster, if the two see the files under different paths."""
    arrays: bool | None = None
    """Set to false if the cluster forbids job arrays: each job is then submitted by itself."""
    python: str | None = Field(None, examples=["/shared/venv/bin/python"])
    """Python on the nodes. Default: the one that runs `ablate`; `python3` in a container."""
    container: Container | None = Field(None, examples=[{"apptainer": "torch.sif"}])
    """The container in which trials train; its keys are below. The follow-up job runs outside of it."""
    wrap: tuple[str, ...] = Field((), examples=[["numactl", "--interleave=all"]])
    """Words before Python in jobs that train."""
    gpu_type: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] | None = Field(None, examples=["a100"])
    """Type of the GPUs, for sites that reject requests without one."""
    cpus_per_gpu: _Count | None = None
    """CPUs to request per GPU, for sites that demand a fixed number. Threads per rank stay those of the study."""
    memory: Literal["per_node", "per_cpu", "per_gpu", "none"] = "per_node"
    """How to request a trial's memory: with `--mem`, `--mem-per-cpu` or `--mem-per-gpu`, or not at all."""
    requeue: bool = True
    """Set to false if the cluster forbids `--requeue`: interrupted trials then continue in new jobs."""
    whole_nodes: Annotated[bool, AfterValidator(_whole_nodes)] = False
    """For sites that allocate whole nodes: a job has a node to itself, and trains one-GPU trials side by side, one on
    each of its `gpus_per_node` GPUs."""
    setup: tuple[Annotated[str, AfterValidator(_line)], ...] = Field((), examples=[["module load cuda/12.4"]])
    """Bash lines to run at the start of a job."""
    options: dict[Option, OptionValue] = Field({}, examples=[{"mail-type": "FAIL"}])
    """Further sbatch options without dashes; `true` for flags. `{gpus}` stands for the GPUs per node that a job needs,
    as in `gres = "gpu:a100:{gpus}"`; an option with it is left out of jobs without GPUs."""
    trials_per_job: _Count | None = None
    """Trials per job, unless the study sets it. Default: chosen from measured durations."""
    at_once: Annotated[int, Field(ge=1, le=64)] | None = None
    """Trials trained side by side on a job's GPUs, unless the study sets it."""
    memory_cap: Memory | None = Field(None, examples=["256GB"])
    """Maximum memory when retrying trials that ran out of memory."""
    on_finish: Annotated[str | tuple[str, ...], AfterValidator(_finish)] | None = Field(None, examples=["notify-me"])
    """Called when a study ends: a command (a text that is split at blanks, or a list of words; no shell reads it), or
    an https:// address that receives JSON."""
    follow_up: FollowUp = FollowUp()
    """The job that runs after a study's jobs; its keys are below."""


class Cluster(ClusterTable):
    """A cluster and its name."""

    name: str = ANY
