"""Which trials one job trains: shares of a group of trials that need the same of a machine."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from pydantic import BaseModel, ConfigDict

from ablate.study.schema import Resources, hours

_TARGET_SECONDS = 300.0
"""A job of short trials should take so long: its start, of about ten seconds, is then a small part of it."""
_JOBS_UNMEASURED = 100
"""Of trials that nobody has timed, no more jobs are made than that."""
_SHORT_SECONDS = 600.0
"""Trials longer than that are not trained side by side on one GPU unless somebody says so: they fill it long enough."""
_MOST_AT_ONCE = 8
_FILLED = 0.9
"""Of a GPU's memory, what trials side by side may hold together."""
_DEFAULT_MINUTES = 240
"""The time limit of a job where neither the study nor the cluster names one; at it, trials go on in the next."""
_GRACE_SECONDS = 120
"""Or a quarter of the time where that is less."""


@dataclass(frozen=True)
class Measured:
    """What done trials like those of a group took; None where none is done."""

    seconds: float | None = None
    gpu_memory: float | None = None
    """The part of its GPU's memory that one held at most, from 0 to 1."""


class Share(BaseModel):
    """What one job trains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[str, ...]
    at_once: int = 1
    """So many of the trials side by side."""


def share_out(pretrainings: Mapping[str, str], resources: Resources, measured: Measured) -> tuple[Share, ...]:
    """Trials in shares, in their order; those that share a pretraining are in one, so that it is trained once.

    pretrainings: trial key -> pretrain key. A trial of several ranks shares its job with none, unless
    `trials_per_job` says so, and its GPUs never.
    """
    at_once = 1 if ranks(resources) > 1 else resources.at_once or _at_once(resources, measured)
    size = resources.trials_per_job or _trials_per_job(len(pretrainings), resources, measured, at_once)
    together: dict[str, list[str]] = {}
    for key, pretraining in pretrainings.items():
        together.setdefault(pretraining, []).append(key)
    shares: list[list[str]] = []
    for keys in together.values():
        if not shares or len(shares[-1]) + len(keys) > size:
            shares.append([])
        shares[-1] += keys
    return tuple(Share(keys=tuple(keys), at_once=min(at_once, _pretrainings(keys, pretrainings))) for keys in shares)


def _pretrainings(keys: Iterable[str], pretrainings: Mapping[str, str]) -> int:
    return len({pretrainings[key] for key in keys})


def ranks(resources: Resources) -> int:
    """The processes that one trial takes: one a GPU, or one a node where there is none."""
    return resources.nodes * max(1, resources.gpus_per_node)


def _at_once(resources: Resources, measured: Measured) -> int:
    if not resources.gpus_per_node or not measured.gpu_memory or not measured.seconds:
        return 1
    if measured.seconds > _SHORT_SECONDS:
        return 1
    return max(1, min(_MOST_AT_ONCE, int(_FILLED / measured.gpu_memory)))


def _trials_per_job(trials: int, resources: Resources, measured: Measured, at_once: int) -> int:
    if ranks(resources) > 1:
        return 1
    if not measured.seconds:
        return max(at_once, ceil(trials / _JOBS_UNMEASURED))
    return max(at_once, int(_TARGET_SECONDS / measured.seconds) * at_once)


def job_minutes(resources: Resources, most: str | None, shares: Iterable[Share]) -> int:
    """The time limit in minutes of the jobs of some shares. most: what the cluster allows a job."""
    limit = hours(most) * 60 if most else None
    if not resources.time:
        return ceil(limit or _DEFAULT_MINUTES)
    rounds = max(ceil(len(share.keys) / share.at_once) for share in shares)
    wanted = hours(resources.time) * 60 * rounds
    return max(1, ceil(min(wanted, limit) if limit else wanted))


def grace_seconds(minutes: int) -> int:
    """How long before its time limit a job is told to save its state."""
    return min(_GRACE_SECONDS, minutes * 15)


def job_memory(resources: Resources, at_once: int) -> int | None:
    """The memory in MiB of each node of a job; None where the study names none."""
    return None if resources.memory is None else mebibytes(resources.memory) * at_once


def mebibytes(memory: str) -> int:
    """`64GB` -> 65536, as Slurm counts."""
    number, unit = memory.rstrip("MGTB "), memory.strip(" 0123456789").rstrip("B")
    return int(number) * {"M": 1, "G": 1024, "T": 1024**2}[unit]
