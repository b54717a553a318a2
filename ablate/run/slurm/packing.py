"""Packs trials into jobs and jobs into arrays: how many trials a job trains, and with what time and memory."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from pydantic import BaseModel, ConfigDict

from ablate.errors import UserError
from ablate.run.cluster import GPUS, Cluster
from ablate.study.schema.resources import Resources, hours

_TARGET_SECONDS = 300.0
"""Duration to aim for when short trials share a job: the ten seconds that a job takes to start are then negligible."""
_MOST_JOBS_UNTIMED = 100
"""Most jobs to make of trials whose duration is unknown."""
_SHORT_SECONDS = 600.0
"""Longer trials have a GPU to themselves unless `at_once` says otherwise: they fill it for long enough."""
_MOST_AT_ONCE = 8
_GPU_MEMORY = 0.9
"""Part of a GPU's memory that trials side by side may use together."""
_DEFAULT_MINUTES = 240
"""Time limit of a job if neither study nor cluster sets one; trials that need longer resume in the next job."""
_GRACE_SECONDS = 120
"""Time that trials have to save their state before the limit, or a quarter of the limit if that is less."""


REQUESTS_GPUS = frozenset({"gres", "gpus", "gpus-per-node", "gpus-per-task", "exclusive"})
"""Options by which a cluster's table requests GPUs in its own way."""


@dataclass(frozen=True)
class Timing:
    """What finished trials of the same kind took; None if there are none."""

    seconds: float | None = None
    gpu_memory: float | None = None
    """Peak use of the GPU's memory by one trial, from 0 to 1."""


class Share(BaseModel):
    """The trials of one job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[str, ...]
    at_once: int = 1
    """How many of them train side by side."""


class Array(BaseModel):
    """One call of sbatch: jobs with the same resources, one per share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """The job's name, which no other job has: Slurm finds the job by it even if the id was never recorded."""
    resources: Resources
    shares: tuple[Share, ...]
    avoid: tuple[str, ...] = ()
    """Nodes to exclude."""
    canary: bool = False
    """Whether it runs first, and releases the held arrays once its first trial has passed its first steps."""
    held: bool = False
    """Whether it waits for the canary."""
    most: int | None = None
    """How many of its jobs may run at once; None for all."""
    after: str | None = None
    """The name of the array whose place it takes once that has ended, where the number of jobs at once is limited."""


@dataclass(frozen=True)
class Group:
    """Trials with the same resources, in shares."""

    resources: Resources
    shares: tuple[Share, ...]
    avoid: tuple[str, ...] = ()
    canary: bool = False
    """Whether to run the first trial before the others."""


@dataclass(frozen=True)
class Room:
    """How many jobs a cluster accepts."""

    array: int = 1001
    """Jobs of one array: Slurm's MaxArraySize is one more than the greatest index."""
    jobs: int | None = None
    """Jobs that may still be submitted; None if there is no limit."""


def share_out(pretrainings: Mapping[str, str], resources: Resources, timing: Timing) -> tuple[Share, ...]:
    """Divide trials into shares, in their order. Trials with a common pretraining share a job, which trains it once.

    pretrainings: trial key -> pretrain key. A trial of several ranks has a job to itself unless `trials_per_job` says
    otherwise, and never shares its GPUs.
    """
    at_once = 1 if ranks(resources) > 1 else resources.at_once or _at_once(resources, timing)
    size = resources.trials_per_job or _trials_per_job(len(pretrainings), resources, timing, at_once)
    together: dict[str, list[str]] = {}
    for key, pretraining in pretrainings.items():
        together.setdefault(pretraining, []).append(key)
    shares: list[list[str]] = []
    for keys in together.values():
        if not shares or len(shares[-1]) + len(keys) > size:
            shares.append([])
        shares[-1] += keys
    return tuple(
        Share(keys=tuple(keys), at_once=min(at_once, len({pretrainings[key] for key in keys}))) for keys in shares
    )


def _at_once(resources: Resources, timing: Timing) -> int:
    if not resources.gpus_per_node or not timing.gpu_memory or not 0 < (timing.seconds or 0) <= _SHORT_SECONDS:
        return 1
    return max(1, min(_MOST_AT_ONCE, int(_GPU_MEMORY / timing.gpu_memory)))


def _trials_per_job(trials: int, resources: Resources, timing: Timing, at_once: int) -> int:
    if ranks(resources) > 1:
        return 1
    if not timing.seconds:
        return max(at_once, ceil(trials / _MOST_JOBS_UNTIMED))
    return max(at_once, int(_TARGET_SECONDS / timing.seconds) * at_once)


def pack(
    groups: Iterable[Group], base: str, room: Room, most: int | None = None
) -> tuple[tuple[Array, ...], tuple[str, ...]]:
    """Pack groups into arrays that the cluster accepts, held arrays before their canary; and the trials left over.

    base: beginning of the arrays' names. most: how many jobs may run at once.
    """
    arrays: list[Array] = []
    canaries: list[Array] = []
    left: list[str] = []
    groups = list(groups)
    waits = any(_canary(group, len(groups) > 1)[0] for group in groups)
    free = room.jobs
    for group in groups:
        first, shares = _canary(group, len(groups) > 1)
        kept = len(shares) if free is None else max(0, min(len(shares), free - len(first)))
        free = None if free is None else free - kept - len(first)
        left += [key for share in shares[kept:] for key in share.keys]
        for start in range(0, kept, room.array):
            part = tuple(shares[start : min(kept, start + room.array)])
            arrays.append(_array(base, group, len(arrays) + len(canaries), part, held=waits))
        if first:
            canaries.append(_array(base, group, len(arrays) + len(canaries), tuple(first), canary=True))
    arrays += canaries
    if most is None:
        return tuple(arrays), tuple(left)
    if most <= sum(array.canary for array in arrays):  # the others go into the wave after the canary's
        left += [key for array in arrays if not array.canary for share in array.shares for key in share.keys]
        arrays = [array for array in arrays if array.canary]
    return tuple(_in_lanes(arrays, most)), tuple(left)


def _in_lanes(arrays: Sequence[Array], most: int) -> list[Array]:
    """Arrays of which at most so many jobs run at once: in lanes, in each of which one array follows the other."""
    others = [array for array in arrays if not array.canary]
    places = most - (len(arrays) - len(others))
    lanes = max(1, min(places, len(others)))
    placed = []
    for number, array in enumerate(others):
        width = places // lanes + (number % lanes < places % lanes)
        after = others[number - lanes].name if number >= lanes else None
        placed.append(array.model_copy(update={"most": width, "after": after}))
    return placed + [array for array in arrays if array.canary]


def _array(base: str, group: Group, number: int, shares: tuple[Share, ...], **kind: bool) -> Array:
    return Array(name=f"{base}-{number + 1}", resources=group.resources, shares=shares, avoid=group.avoid, **kind)


def _canary(group: Group, awaited: bool) -> tuple[Sequence[Share], Sequence[Share]]:
    """A share with the first trial only, and the other shares; no such share if the group has no canary.

    awaited: whether other groups wait for it; one job alone needs no canary.
    """
    if not group.canary or (len(group.shares) < 2 and not awaited):
        return (), group.shares
    head, *rest = group.shares
    others = [head.model_copy(update={"keys": head.keys[1:]})] if len(head.keys) > 1 else []
    return (Share(keys=head.keys[:1]),), (*others, *rest)


def resources_on(resources: Resources, cluster: Cluster) -> Resources:
    """What a trial needs; the cluster's table fills in what the study does not set.

    Raises UserError if the cluster's nodes, or its options, give too few GPUs.
    """
    have, fixed = cluster.gpus_per_node, fixed_gpus(cluster)
    if resources.gpu_type and (own_way := REQUESTS_GPUS & set(cluster.options)):
        message = f"trials need GPUs of the type '{resources.gpu_type}', but options.{min(own_way)} requests GPUs"
        raise UserError(message, help="use gpu_type of the cluster in place of that option in ablate.toml")
    if fixed and resources.gpus_per_node > fixed[1]:
        message = f"trials need {resources.gpus_per_node} GPUs per node, but options.{fixed[0]} requests {fixed[1]}"
        raise UserError(message, help=f"write {{{GPUS}}} in place of the number in ablate.toml")
    if have is not None and resources.gpus_per_node > have:
        message = f"trials need {resources.gpus_per_node} GPUs per node, but nodes of '{cluster.name}' have {have}"
        raise UserError(message, help="change gpus_per_node in the study's resources, or in ablate.toml")
    own = {name: value for name in ("trials_per_job", "at_once") if (value := getattr(cluster, name)) is not None}
    filled = resources.model_copy(update={name: own[name] for name in own if getattr(resources, name) is None})
    if cluster.whole_nodes and have and resources.gpus_per_node == ranks(resources) == 1:
        return filled.model_copy(update={"at_once": have * (filled.at_once or 1)})
    return filled


def unused_gpus(resources: Resources, cluster: Cluster) -> str | None:
    """What to say of trials that request no GPU where nodes have some, which is easily forgotten; None otherwise."""
    given = any(name in REQUESTS_GPUS and f"{{{GPUS}}}" not in str(value) for name, value in cluster.options.items())
    if resources.gpus_per_node or not cluster.gpus_per_node or given:
        return None
    have = f"nodes of '{cluster.name}' have {cluster.gpus_per_node}"
    return f"the trials request no GPU, although {have}: gpus_per_node = 1 in the study's [resources] requests one"


def fixed_gpus(cluster: Cluster) -> tuple[str, int] | None:
    """The option of a cluster that requests the same number of GPUs per node for all trials, and that number."""
    for name in ("gres", "gpus-per-node"):
        found = re.fullmatch(r"(?:gpu:)?(?:[^:,]+:)?(\d+)", str(cluster.options.get(name, "")))
        if found:
            return name, int(found[1])
    return None


def ranks(resources: Resources) -> int:
    """The processes of one trial: one per GPU, or one per node without GPUs."""
    return resources.nodes * max(1, resources.gpus_per_node)


def job_minutes(resources: Resources, most: str | None, shares: Iterable[Share]) -> int:
    """The time limit in minutes of the jobs of some shares. most: the cluster's limit for a job."""
    limit = hours(most) * 60 if most else None
    if not resources.time:
        return ceil(limit or _DEFAULT_MINUTES)
    rounds = max(ceil(len(share.keys) / share.at_once) for share in shares)
    wanted = hours(resources.time) * 60 * rounds
    return max(1, ceil(min(wanted, limit) if limit else wanted))


def grace_seconds(minutes: int) -> int:
    """How long before its time limit a job receives the signal to save its state."""
    return min(_GRACE_SECONDS, minutes * 15)


def job_memory(resources: Resources, at_once: int) -> int | None:
    """The memory in MiB of each node of a job; None if the study sets none."""
    return None if resources.memory is None else mebibytes(resources.memory) * at_once


def mebibytes(memory: str) -> int:
    """`64GB` -> 65536, as Slurm counts."""
    number, unit = memory.rstrip("MGTB "), memory.strip(" 0123456789").rstrip("B")
    return int(number) * {"M": 1, "G": 1024, "T": 1024**2}[unit]
