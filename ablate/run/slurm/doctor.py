"""What `ablate doctor --on NAME` looks at: whether a cluster is as the cluster file says, and runs a job of ours."""

import getpass
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.errors import nearest
from ablate.run.checks import Check
from ablate.run.slurm.clusters import FILE, Cluster
from ablate.run.slurm.commands import SlurmError, ask, configuration
from ablate.run.slurm.tiny_job import run_tiny_job, sbatch_options
from ablate.study.schema import hours
from ablate.study.words import toml

_DOWN = ("down", "drain", "drng", "fail", "maint", "unk", "boot", "no_respond")


@dataclass(frozen=True)
class Nodes:
    """Nodes of a partition that are alike, as sinfo tells them."""

    partition: str
    default: bool
    up: bool
    limit: str
    """The longest that a job may take, in Slurm's words."""
    count: int
    gpus: int
    """Of one node."""
    state: str


def examine_cluster(cluster: Cluster, results: Path) -> Iterator[Check]:
    """Look at everything, what needs no job first; where something is wrong, no job is sent."""
    yield Check("cluster", "ok", _shown(cluster))
    try:
        if " is UP" not in (ping := ask("scontrol", "ping")):
            raise SlurmError("scontrol ping", ping)
        configured = configuration()
        nodes = _nodes()
    except SlurmError as error:
        told = f"gives no answer: {' '.join(_lines(error))}"
        yield Check("controller", "problem", told, "is this a login node of the cluster? module load slurm?")
        return
    told = f"{configured.get('ClusterName', '?')}, Slurm {configured.get('SLURM_VERSION', '?')}"
    yield Check("controller", "ok", told)
    looked = [
        *_partition(cluster, nodes),
        *_account(cluster),
        *_limits(configured),
        *_signals(configured),
        *_accepted(cluster),
    ]
    yield from looked
    if any(check.state == "problem" for check in looked):
        yield Check("job", "warning", "not sent, since it would not run", "mend what is wrong above first")
        return
    yield from run_tiny_job(cluster, results)


def _shown(cluster: Cluster) -> str:
    """What a cluster's table says, on one line."""
    given = cluster.model_dump(exclude_defaults=True, exclude={"name"})
    says = ", ".join(f"{key} = {toml(value)}" for key, value in given.items() if value)
    return f"{cluster.name}: {says or f'nothing of its own in {FILE}, so Slurm decides'}"


def _nodes() -> list[Nodes]:
    found = []
    for line in ask("sinfo", "--noheader", "--all", "--format=%P|%a|%l|%D|%G|%T").splitlines():
        name, up, limit, count, gres, state = line.strip().split("|")
        gpus = sum(int(number) for number in re.findall(r"\bgpu:(?:[^:,()]+:)?(\d+)", gres))
        plain = name.rstrip("*")
        found.append(Nodes(plain, name.endswith("*"), up == "up", limit, int(count), gpus, state.rstrip("*$~#!%@^-+")))
    return found


def _partition(cluster: Cluster, nodes: Sequence[Nodes]) -> Iterator[Check]:
    """Whether the partitions are there, and their time and GPUs are enough."""
    known = list(dict.fromkeys(each.partition for each in nodes))
    default = next((each.partition for each in nodes if each.default), None)
    if cluster.partition is None and default is None:
        yield Check("partition", "problem", "none is named and Slurm has no default", f"partitions are: {_list(known)}")
    for name in (cluster.partition or default or "").split(","):
        own = [each for each in nodes if each.partition == name]
        if name and not own:
            told = f"there is no partition '{name}'{nearest(name, known)}"
            yield Check("partition", "problem", told, f"partitions are: {_list(known)}")
        elif name:
            yield from _one_partition(cluster, name, own)
    follow_up = cluster.follow_up.partition
    if follow_up and follow_up not in known:
        told = f"follow_up.partition: there is no partition '{follow_up}'{nearest(follow_up, known)}"
        yield Check("partition", "problem", told, f"partitions are: {_list(known)}")


def _one_partition(cluster: Cluster, name: str, own: Sequence[Nodes]) -> Iterator[Check]:
    working = [each for each in own if not each.state.lower().startswith(_DOWN)]
    count, gpus = sum(each.count for each in working), max((each.gpus for each in own), default=0)
    told = (
        f"{name}: {count} of {sum(each.count for each in own)} nodes work, {gpus} GPUs a node, at most {own[0].limit}"
    )
    if not own[0].up or not count:
        yield Check(
            "partition", "problem", f"{told}; it takes no jobs now", "ask who runs the cluster, or name another"
        )
    else:
        yield Check("partition", "ok", told)
    if cluster.time and own[0].limit not in ("infinite", "n/a") and hours(cluster.time) > _hours(own[0].limit):
        told = f"time = '{cluster.time}' is more than {name} allows ({own[0].limit})"
        yield Check("time", "problem", told, f"give a shorter one in {FILE}: trials go on in the next job")
    if cluster.gpus_per_node is not None and cluster.gpus_per_node > gpus:
        told = f"gpus_per_node = {cluster.gpus_per_node}, and a node of {name} has {gpus}"
        yield Check("gpus", "problem", told, f"correct it in {FILE}, or name another partition")


def _hours(limit: str) -> float:
    """Hours of a limit as sinfo tells it: `[days-]hours:minutes:seconds`, or `minutes:seconds`."""
    return hours(limit if limit.count(":") > 1 or "-" in limit else f"0:{limit}")


def _account(cluster: Cluster) -> Iterator[Check]:
    """Whether the user may use the account and the quality of service."""
    user = getpass.getuser()
    try:
        rows = ask("sacctmgr", "-nP", "show", "assoc", "where", f"user={user}", "format=Account,QOS").splitlines()
        ask("sacct", "--noheader", "--allocations", "--format=JobID")
    except SlurmError as error:
        told = f"gives no answer: {error.told.partition(chr(10))[0]}"
        help = "runs go on without it, but why a job died is known less well: a time-out is told from a crash by squeue"
        yield Check("accounting", "warning", told, f"{help} only")
        return
    accounts = list(dict.fromkeys(row.partition("|")[0] for row in rows))
    services = list(dict.fromkeys(name for row in rows for name in row.partition("|")[2].split(",") if name))
    yield Check("accounting", "ok", f"sacct answers; accounts of {user}: {_list(accounts) or 'none'}")
    if cluster.account and accounts and cluster.account not in accounts:
        told = f"account = '{cluster.account}' is none of {user}'s{nearest(cluster.account, accounts)}"
        yield Check("account", "problem", told, f"accounts are: {_list(accounts)}")
    if cluster.qos and services and cluster.qos not in services:
        told = f"qos = '{cluster.qos}' is none that {user} may use{nearest(cluster.qos, services)}"
        yield Check("qos", "problem", told, f"they are: {_list(services)}")


def _limits(configured: dict[str, str]) -> Iterator[Check]:
    """How many jobs fit into one array, and into the queue."""
    told = f"MaxArraySize {configured.get('MaxArraySize', '?')}, MaxJobCount {configured.get('MaxJobCount', '?')}"
    yield Check("limits", "ok", f"{told}: longer arrays are split")


def _signals(configured: dict[str, str]) -> Iterator[Check]:
    """Whether a preempted job hears of it in time to save its state."""
    mode = configured.get("PreemptMode", "OFF")
    if "REQUEUE" not in mode and "CANCEL" not in mode:
        return
    if "preempt_send_user_signal" in configured.get("SlurmctldParameters", ""):
        yield Check("preemption", "ok", f"{mode}; a preempted job is told in time to save its state")
        return
    wait = configured.get("KillWait", "?").removesuffix(" sec")
    told = f"{mode}, without preempt_send_user_signal: a preempted job has {wait} s (KillWait) after SIGTERM"
    help = "a trial that saves its state in less loses nothing; else it goes on from its last checkpoint"
    yield Check("preemption", "warning", told, help)


def _accepted(cluster: Cluster) -> Iterator[Check]:
    """Whether sbatch takes what the table says, by its own judgement."""
    try:
        ask("sbatch", "--test-only", *sbatch_options(cluster), "--wrap", "true")
    except SlurmError as error:
        lines = [line.removeprefix("sbatch: error: ").removeprefix("allocation failure: ") for line in _lines(error)]
        yield Check("sbatch", "problem", f"refuses a job: {'; '.join(dict.fromkeys(lines))}", f"correct {FILE}")
        return
    yield Check("sbatch", "ok", "takes such a job")


def _lines(error: SlurmError) -> list[str]:
    return [line.strip() for line in error.told.splitlines() if line.strip()]


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
