"""The keys of `[resources]`: what one trial needs of a machine, and what trials of some cells need instead."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from ablate.errors import InvalidValue
from ablate.study.toml.table import Table


def amount_of_memory(text: str) -> str:
    """The text, which is an amount as in `64GB`. Raises ValueError."""
    if not re.fullmatch(r"\d+\s?(MB|GB|TB|M|G|T)", text):
        raise InvalidValue("must be an amount of memory", 'for example memory = "64GB"')
    return text


def duration(text: str) -> str:
    """The text, which is a duration (see `hours`). Raises ValueError."""
    hours(text)
    return text


def hours(time: str) -> float:
    """Hours of `24h`, `90min`, `2d`, or Slurm's `[days-]hours:minutes[:seconds]`. Raises ValueError."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s?(d|h|min|m|s)", time):
        return float(match[1]) * {"d": 24, "h": 1, "min": 1 / 60, "m": 1 / 60, "s": 1 / 3600}[match[2]]
    if match := re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?", time):
        days, hour, minute, second = (int(part or 0) for part in match.groups())
        return days * 24 + hour + minute / 60 + second / 3600
    raise InvalidValue("must be a duration", 'for example time = "24h", "90min" or "1-12:00:00"')


_Memory = Annotated[str, AfterValidator(amount_of_memory)]
_Time = Annotated[str, AfterValidator(duration)]
_TrialsPerJob = Annotated[int, Field(ge=1, le=10_000)]
_AtOnce = Annotated[int, Field(ge=1, le=64)]
_Cpus = Annotated[int, Field(ge=1, le=1024)]
_GpuType = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
_SAME_FOR_ALL = ("nodes", "gpus_per_node", "cpus_per_task")


class ResourcesWhen(Table):
    """What the trials of some cells need instead; `nodes`, `gpus_per_node` and `cpus_per_task` must not differ."""

    condition: str = Field(alias="if", examples=["encoder == 'resnet50'"])
    """A condition on axes and `case`: the cells whose trials need this."""
    memory: _Memory | None = None
    """Memory per node."""
    time: _Time | None = None
    """Time limit of one attempt."""
    trials_per_job: _TrialsPerJob | None = None
    """Trials per cluster job."""
    at_once: _AtOnce | None = None
    """Number of a job's trials that train side by side."""
    partition: str | None = None
    """Partition on a cluster."""
    gpu_type: _GpuType | None = None
    """Type of the GPUs. Types may round differently: check that this does not explain a difference between cells."""
    cpus: _Cpus | None = None
    """CPUs to request per rank, if more than its threads."""

    @model_validator(mode="before")
    @classmethod
    def _nothing_that_changes_numbers(cls, table: Any) -> Any:
        if isinstance(table, dict) and (found := next((name for name in _SAME_FOR_ALL if name in table), None)):
            message = f"{found} must be the same for all cells: the number of nodes, GPUs and threads changes rounding"
            help = "set it in [resources]; for more CPUs in some cells, with the same number of threads, set cpus = ..."
            raise InvalidValue(message, help)
        return table


class Resources(Table):
    """The resources of one trial."""

    nodes: Annotated[int, Field(ge=1, le=10_000)] = 1
    gpus_per_node: Annotated[int, Field(ge=0, le=64)] = 0
    cpus_per_task: _Cpus | None = None
    """Threads per rank. Default: 1. There is one rank per GPU, or a single one without GPUs."""
    cpus: _Cpus | None = None
    """CPUs to request per rank, if more than its threads."""
    memory: _Memory | None = None
    """Memory per node, as in `"64GB"`."""
    time: _Time | None = None
    """Time limit of one attempt, as in `"24h"`, `"90min"` or Slurm's `"1-12:00:00"`."""
    trials_per_job: _TrialsPerJob | None = None
    """Trials per cluster job. Default: enough to make the start-up time of a job negligible."""
    at_once: _AtOnce | None = None
    """Number of a job's trials that train side by side on the same GPUs. Default: 1, unless measurements show that the
    trials are small."""
    partition: str | None = None
    """Partition on a cluster, instead of the one in the cluster's table."""
    gpu_type: _GpuType | None = None
    """Type of the GPUs, instead of the one in the cluster's table."""
    when: tuple[ResourcesWhen, ...] = Field((), examples=[[{"if": "encoder == 'resnet50'", "memory": "64GB"}]])
    """What trials of some cells need instead, as `[[resources.when]]`; of several that apply, the last one counts."""
