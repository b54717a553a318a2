"""`ablate doctor --on NAME`: compares the cluster file with the cluster, then runs a probe job."""

import contextlib
import getpass
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import inf
from pathlib import Path

from ablate.errors import nearest, toml
from ablate.run.cluster import Cluster
from ablate.run.cluster_file import FILE
from ablate.run.machine import Check
from ablate.run.slurm.controller import Controller, SlurmError, ask, controller_of, dropped_choices
from ablate.run.slurm.packing import Share, job_minutes, mebibytes
from ablate.run.slurm.probe import folder_for_jobs, look_at_paths, run_probe
from ablate.run.slurm.rehearsal import fixed_number, rehearse
from ablate.run.slurm.room import room
from ablate.run.slurm.scheduler import configuration
from ablate.study.schema.resources import Resources, hours

_DOWN = ("down", "drain", "drng", "fail", "maint", "unk", "boot", "no_respond")


@dataclass(frozen=True)
class Nodes:
    """Identical nodes of a partition, as sinfo reports them."""

    partition: str
    default: bool
    up: bool
    limit: str
    """The longest time limit of a job, in Slurm's format."""
    count: int
    gpus: int
    """Per node."""
    state: str
    memory: int
    """In MB."""


def examine_cluster(cluster: Cluster, results: Path, resources: Resources | None = None) -> Iterator[Check]:
    """Check everything that needs no job, then run the probe unless there is a problem.

    resources: of a study's trials, to check the jobs of that study; None for small jobs.
    """
    yield Check("cluster", "ok", _summary(cluster))
    if note := dropped_choices(os.environ):
        yield Check("shell", "warning", note, f"write them into {FILE}")
    at = controller_of(cluster)
    try:
        if " is UP" not in (ping := ask(*at.command("scontrol", "ping"))):
            raise SlurmError("scontrol ping", ping)
        configured = configuration(at)
        nodes = _nodes(at)
    except SlurmError as error:
        message = f"does not answer: {' '.join(error.text.split())}"
        yield Check("controller", "problem", message, "is this a login node of the cluster? module load slurm?")
        return
    yield Check(
        "controller", "ok", f"{configured.get('ClusterName', '?')}, Slurm {configured.get('SLURM_VERSION', '?')}"
    )
    resources = resources or Resources(gpus_per_node=1 if cluster.gpus_per_node else 0)
    with folder_for_jobs(results) as folder:
        yield from _examine(cluster, folder, resources, configured, nodes)


def _examine(
    cluster: Cluster, folder: Path, resources: Resources, configured: Mapping[str, str], nodes: Sequence[Nodes]
) -> Iterator[Check]:
    """The checks once the controller has answered. folder: for scripts and for the probe."""
    usual = _of_trials(cluster, resources)
    checks = [
        *look_at_paths(cluster, folder),
        *_partitions(usual, nodes, resources),
        *_account(cluster),
        *_longest(cluster, resources),
        *_limits(cluster, configured),
        *fixed_number(cluster),
        *_preemption(usual, configured),
        *rehearse(cluster, folder, resources),
    ]
    for each in resources.when:
        own = resources.model_copy(update=each.model_dump(exclude={"condition"}, exclude_none=True))
        found = (
            _partitions(_of_trials(cluster, own), nodes, own),
            _longest(cluster, own),
            rehearse(cluster, folder, own),
        )
        new = (check for check in chain(*found) if check.state != "ok" and check not in checks)
        checks += [replace(check, message=f"where {each.condition}: {check.message}") for check in new]
    yield from checks
    if any(check.state == "problem" for check in checks):
        yield Check("job", "warning", "not submitted, because it would not run", "solve the problems above first")
        return
    yield from run_probe(cluster, folder)


def _of_trials(cluster: Cluster, resources: Resources) -> Cluster:
    """The cluster with the partition of some trials."""
    return cluster.model_copy(update={"partition": resources.partition or cluster.partition})


def _summary(cluster: Cluster) -> str:
    """What a cluster's table says, on one line."""
    given = cluster.model_dump(exclude_defaults=True, exclude={"name"})
    says = ", ".join(f"{key} = {toml(value)}" for key, value in given.items())
    return f"{cluster.name}: {says or f'{FILE} sets nothing, so Slurm uses its defaults'}"


def _nodes(at: Controller) -> list[Nodes]:
    found = []
    for line in ask(*at.command("sinfo", "--noheader", "--all", "--format=%P|%a|%l|%D|%G|%T|%m")).splitlines():
        if line.count("|") != 6:  # a banner, or `CLUSTER: name`
            continue
        name, up, limit, count, gres, state, memory = line.strip().split("|")
        gpus = sum(int(number) for number in re.findall(r"\bgpu:(?:[^:,()]+:)?(\d+)", gres))
        plain = name.rstrip("*")
        state = state.rstrip("*$~#!%@^-+")
        largest = int("".join(re.findall(r"^\d+", memory)) or 0)
        found.append(Nodes(plain, name.endswith("*"), up == "up", limit, int(count), gpus, state, largest))
    return found


def _partitions(cluster: Cluster, nodes: Sequence[Nodes], resources: Resources) -> Iterator[Check]:
    """Whether the partitions exist and offer the time and GPUs of the table."""
    known = list(dict.fromkeys(each.partition for each in nodes))
    default = next((each.partition for each in nodes if each.default), None)
    help = f"partitions are: {', '.join(known)}"
    if cluster.partition is None and default is None:
        yield Check("partition", "problem", "the table names none, and Slurm has no default", help)
    for name in (cluster.partition or default or "").split(","):
        own = [each for each in nodes if each.partition == name]
        if name and not own:
            yield Check("partition", "problem", f"there is no partition '{name}'{nearest(name, known)}", help)
        elif name:
            yield from _partition(cluster, name, own, resources)
    follow_up = cluster.follow_up.partition
    if follow_up and follow_up not in known:
        message = f"follow_up.partition: there is no partition '{follow_up}'{nearest(follow_up, known)}"
        yield Check("partition", "problem", message, help)


def _partition(cluster: Cluster, name: str, own: Sequence[Nodes], resources: Resources) -> Iterator[Check]:
    working = [each for each in own if not each.state.lower().startswith(_DOWN)]
    count, total = sum(each.count for each in working), sum(each.count for each in own)
    gpus, limit = max((each.gpus for each in own), default=0), own[0].limit
    message = f"{name}: {count} of {total} nodes are up, {gpus} GPUs per node, time limit {limit}"
    if not own[0].up or not count:
        help = "ask the cluster's administrators, or choose another partition"
        yield Check("partition", "problem", f"{message}; it accepts no jobs now", help)
    else:
        yield Check("partition", "ok", message)
    help = f"set a shorter time in {FILE}: trials resume in the next job"
    most = _hours(limit)
    if cluster.time and hours(cluster.time) > most:
        yield Check("time", "problem", f"time = '{cluster.time}' is more than {name} allows ({limit})", help)
    elif resources.time and not cluster.time and hours(resources.time) > most:
        message = f"a trial's time = '{resources.time}' is more than {name} allows ({limit}): its job would never start"
        yield Check("time", "problem", message, help)
    largest = max((each.memory for each in own), default=0)
    if resources.memory and cluster.memory != "none" and mebibytes(resources.memory) > largest > 0:
        message = f"a trial's memory = '{resources.memory}' is more than any node of {name} has ({largest} MB)"
        yield Check("memory", "problem", message, "change it in [resources] of the study, or choose another partition")
    if cluster.gpus_per_node is not None and cluster.gpus_per_node > gpus:
        message = f"gpus_per_node = {cluster.gpus_per_node}, but nodes of {name} have {gpus}"
        yield Check("gpus", "problem", message, f"correct it in {FILE}, or choose another partition")


def _hours(limit: str) -> float:
    """Hours of a limit as sinfo prints it: `[days-]hours:minutes:seconds`, `minutes:seconds`, or a word."""
    if not limit[:1].isdigit():  # infinite, n/a, UNLIMITED
        return inf
    return hours(limit if limit.count(":") > 1 or "-" in limit else f"0:{limit}")


def _account(cluster: Cluster) -> Iterator[Check]:
    """Whether the user may use the account and the quality of service."""
    user, at = getpass.getuser(), controller_of(cluster)
    try:
        listed = ask(*at.command("sacctmgr", "-nP", "show", "assoc", "where", f"user={user}", "format=Account,QOS"))
        rows = [row for row in listed.splitlines() if row.count("|") == 1]
        ask(*at.command("sacct", "--noheader", "--allocations", "--format=JobID"))
    except SlurmError as error:
        help = (
            "runs work without it, but less is known of why a job ended: only squeue can tell a time-out from a crash"
        )
        yield Check("accounting", "warning", f"does not answer: {error.text.partition(chr(10))[0]}", help)
        return
    accounts = list(dict.fromkeys(row.partition("|")[0] for row in rows))
    services = list(dict.fromkeys(name for row in rows for name in row.partition("|")[2].split(",") if name))
    yield Check("accounting", "ok", f"sacct answers; accounts of {user}: {', '.join(accounts) or 'none'}")
    if cluster.account and accounts and cluster.account not in accounts:
        message = f"account = '{cluster.account}' is not an account of {user}{nearest(cluster.account, accounts)}"
        yield Check("account", "problem", message, f"accounts are: {', '.join(accounts)}")
    if cluster.qos and services and cluster.qos not in services:
        message = f"qos = '{cluster.qos}' is not open to {user}{nearest(cluster.qos, services)}"
        yield Check("qos", "problem", message, f"values are: {', '.join(services)}")


def _longest(cluster: Cluster, resources: Resources) -> Iterator[Check]:
    """Whether the quality of service allows jobs as long as those of one trial."""
    at, user = controller_of(cluster), getpass.getuser()
    try:
        asked = ask(
            *at.command("sacctmgr", "-nP", "show", "assoc", "where", f"user={user}", "format=Account,DefaultQOS")
        )
        listed = ask(*at.command("sacctmgr", "-nP", "show", "qos", "format=Name,MaxWall"))
    except SlurmError:  # no accounting, which another check tells
        return
    accounts, services = (
        [row.split("|") for row in text.splitlines() if row.count("|") == 1] for text in (asked, listed)
    )
    own = [service for account, service in accounts if cluster.account in (None, account) and service]
    name = cluster.qos or next(iter(own), "normal")
    limit = dict(services).get(name, "")
    minutes = job_minutes(resources, cluster.time, (Share(keys=("",)),))
    if limit and minutes > 60 * _hours(limit):
        message = f"jobs ask for {minutes} minutes, but the quality of service '{name}' allows {limit}"
        yield Check("time", "problem", message, f"set a shorter time in {FILE}: trials resume in the next job")


def _limits(cluster: Cluster, configured: Mapping[str, str]) -> Iterator[Check]:
    """How many jobs fit into an array and into the queue."""
    array, jobs = configured.get("MaxArraySize", "?"), configured.get("MaxJobCount", "?")
    free = room(cluster)
    split = "larger arrays are split" if free.array > 1 else "no arrays, so each job is submitted by itself"
    message = f"MaxArraySize {array}, MaxJobCount {jobs}: {split}"
    if free.jobs is None:
        yield Check("limits", "ok", message)
    elif free.jobs:
        yield Check("limits", "ok", f"{message}; room for {free.jobs} more jobs of yours")
    else:
        help = "wait until some of your jobs have ended"
        yield Check("limits", "warning", f"{message}; no room for more jobs of yours", help)


def _preemption(cluster: Cluster, configured: Mapping[str, str]) -> Iterator[Check]:
    """Whether a preempted job is warned in time to save its state."""
    mode = configured.get("PreemptMode", "OFF")
    if cluster.partition:  # its own mode takes precedence
        with contextlib.suppress(SlurmError):
            name = cluster.partition.partition(",")[0]
            shown = ask(*controller_of(cluster).command("scontrol", "show", "partition", name))
            own = re.search(r"\bPreemptMode=(\S+)", shown)
            mode = own[1] if own else mode
    if "REQUEUE" not in mode and "CANCEL" not in mode:
        return
    after = "" if "REQUEUE" in mode else "; Slurm does not requeue it: the follow-up job submits its trials again"
    if "preempt_send_user_signal" in configured.get("SlurmctldParameters", ""):
        yield Check("preemption", "ok", f"{mode}; a preempted job is warned in time to save its state{after}")
        return
    wait = configured.get("KillWait", "?").removesuffix(" sec")
    message = f"{mode}, without preempt_send_user_signal: a preempted job has {wait} s (KillWait) after SIGTERM{after}"
    help = "trials that save their state faster lose nothing; others resume from their last checkpoint"
    yield Check("preemption", "warning", message, help)
