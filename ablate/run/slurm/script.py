"""The scripts of all jobs on a cluster: an array's, the follow-up job's, and the doctor's probe. Pure functions.

Every path in them is the cluster's: `seen` is what the cluster calls a file or folder of this machine.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from ablate.records.files import Results
from ablate.run.cluster import GPUS, Cluster
from ablate.run.slurm.command import follow_up_command, srun_options, training_command
from ablate.run.slurm.controller import controller_of
from ablate.run.slurm.ledger import Ledger, Submission, Watch
from ablate.run.slurm.packing import REQUESTS_GPUS, Array, grace_seconds, job_memory, job_minutes, ranks
from ablate.run.slurm.scheduler import make_script
from ablate.study.schema.resources import Resources, hours

Parameters = dict[str, Any]
"""Options of sbatch in submitit's words; see scheduler.make_script."""
PROBE = "ablate-doctor"
"""The name of the doctor's job."""
FOLLOW_UP = "follow-up.sh"
"""The script of a follow-up job in the doctor's folder, which the probe shows to sbatch from a node."""
_FOLLOW_UP_MINUTES = 30
_PROBE_MINUTES = 5
_LATER = "now+10minutes"
"""When the follow-up job looks for room, if there was none for any other job."""
_OF_MEMORY = frozenset({"mem", "mem-per-cpu", "mem-per-gpu"})
"""sbatch accepts one of them: a trial's own memory, which may have grown, replaces that of the table."""
_OF_GPUS = REQUESTS_GPUS | {
    "cpus-per-gpu", "gpu-bind", "gpu-freq", "gres-flags", "mem-per-gpu", "ntasks-per-gpu", "tres-bind", "tres-per-job",
    "tres-per-node", "tres-per-task",
}  # fmt: skip
"""Options that make sense only with GPUs; the follow-up job needs none."""


def array_script(results: Results, submission: Submission, array: Array, ids: Mapping[str, str] | None = None) -> str:
    """The script of one array of a submission. ids: array name -> id, of those that were sent before."""
    cluster, resources, seen = submission.cluster, array.resources, controller_of(submission.cluster).seen
    minutes = job_minutes(resources, cluster.time, array.shares)
    first = [(ids or {}).get(array.after, array.after)] if array.after else submission.behind
    folders = [seen(results.root.absolute()), *map(seen, submission.path)]
    through_srun = ranks(resources) > 1 or bool(srun_options(cluster, folders))
    signal = f"USR2@{grace_seconds(minutes)}"
    parameters = job_parameters(cluster, resources, minutes, max(share.at_once for share in array.shares))
    parameters["additional_parameters"] |= {
        "signal": signal if through_srun else f"B:{signal}",
        **({"hold": True} if array.held else {}),
    }
    parameters |= {
        "job_name": array.name,
        "setup": _setup(submission),
        "exclude": ",".join(array.avoid) or None,
        "map_count": len(array.shares) if len(array.shares) > 1 else None,
        "array_parallelism": array.most or len(array.shares),
        "dependency": f"afterany:{':'.join(first)}" if first else None,
        # newer versions of srun do not take over the CPUs of the job
        "srun_args": [
            "--kill-on-bad-exit=1", f"--cpus-per-task={parameters['cpus_per_task']}", *srun_options(cluster, folders)
        ],
        "use_srun": through_srun,
    }  # fmt: skip
    module = f"ablate.run.slurm.{'ranks' if ranks(resources) > 1 else 'job'}"
    arguments = ["-m", module, folders[0], submission.id, array.name]
    command = training_command(cluster, arguments, folders, job_gpus(cluster, resources))
    # Without srun the shell becomes Python, so that signals reach it.
    log = seen(Ledger(results).log(submission.id).absolute())
    return make_script(command if through_srun else f"exec {command}", log, parameters)


def follow_up_script(
    results: Results, submission: Submission, after: Sequence[str], watch: Watch, plain: bool = False
) -> str:
    """The script of the job that looks after a submission when some jobs have ended.

    after: their ids. plain: without the cluster's `options`, which sbatch may reject for a job as small as this.
    """
    cluster, seen = submission.cluster, controller_of(submission.cluster).seen
    own = cluster.model_copy(update={"options": {}}) if plain else cluster
    parameters = _cluster_parameters(own, 0, without=_OF_GPUS) | {
        "job_name": watch.name(submission.id),
        "setup": [*_if_it_fails(submission), *_setup(submission)],
        "time": round(hours(cluster.follow_up.time) * 60) if cluster.follow_up.time else _FOLLOW_UP_MINUTES,
        "dependency": f"afterany:{':'.join(after)}" if after else None,
        "use_srun": False,
    }
    if cluster.follow_up.partition:
        parameters["partition"] = cluster.follow_up.partition
    if watch.delay:
        parameters["additional_parameters"]["begin"] = f"now+{watch.delay}"
    elif not after and not submission.arrays:
        parameters["additional_parameters"]["begin"] = _LATER
    parameters["additional_parameters"] |= {} if plain else cluster.follow_up.options
    arguments = ["-m", "ablate", "follow", submission.id, "--results", seen(results.root.absolute())]
    arguments += ["--reports", seen(submission.reports)] if submission.reports else []
    return make_script(
        follow_up_command(cluster, arguments), seen(Ledger(results).log(submission.id).absolute()), parameters
    )


def _if_it_fails(submission: Submission) -> list[str]:
    """The lines of bash that cancel the held arrays if this job cannot do its work: nobody else would release them.

    It may fail of what the canary failed of, as of a Python that the nodes do not have.
    """
    held = " ".join(shlex.quote(array.name) for array in submission.arrays if array.held)
    if not held:
        return []
    cluster = submission.cluster
    before = "".join(f"{shlex.quote(word)} " for word in cluster.job_prefix)
    where = f" --clusters={shlex.quote(cluster.clusters)}" if cluster.clusters else ""
    asked = f'{before}squeue{where} --noheader --states=PENDING --name="$name" --format=%r'
    ended = f'{before}scancel{where} --quiet --name="$name"'
    text = f"[ $? = 0 ] || for name in {held}; do {asked} | grep -q ^JobHeld && {ended}; done"
    return [f"trap {shlex.quote(text)} EXIT"]


def probe_script(cluster: Cluster, folder: Path, home: Path, program: str, before: Sequence[str] = ()) -> str:
    """The script of the doctor's job: a Python program that writes a file, on one GPU if the cluster's nodes have any.

    folder: for the file, `answer.json`, whose path the program receives, and for the job's output. home: the folder
    that holds this package. before: a program and its arguments, to run first as the follow-up job runs: outside of a
    container.
    """
    resources = Resources(gpus_per_node=1 if cluster.gpus_per_node else 0)
    parameters = job_parameters(cluster, resources, _PROBE_MINUTES)
    folders = list(map(controller_of(cluster).seen, (folder, home)))
    parameters["additional_parameters"]["chdir"] = folders[0]
    setup = [*cluster.setup, _python_path(folders[1:])]
    setup += [f"{follow_up_command(cluster, ['-c', *before])} || true"] if before else []
    arguments = ["-c", program, f"{folders[0]}/answer.json"]
    options = srun_options(cluster, folders)
    command = training_command(cluster, arguments, folders, resources.gpus_per_node)
    parameters |= {"job_name": PROBE, "setup": setup, "use_srun": bool(options), "srun_args": options}
    return make_script(command if options else f"exec {command}", folders[0], parameters)


def job_parameters(cluster: Cluster, resources: Resources, minutes: int, at_once: int = 1) -> Parameters:
    """The parameters of every job that trains: what the cluster's table says, and what its trials need."""
    gpus, tasks = job_gpus(cluster, resources), ranks(resources) // resources.nodes
    asks_for_gpus = gpus and not REQUESTS_GPUS & set(cluster.options)
    cpus = max(resources.cpus_per_task or 1, resources.cpus or 1) * at_once
    cpus = max(cpus, ceil((cluster.cpus_per_gpu or 0) * gpus / tasks))
    gpu_type = resources.gpu_type or cluster.gpu_type
    memory = _memory(cluster, job_memory(resources, at_once), gpus, tasks * cpus)
    parameters = _cluster_parameters(cluster, gpus, without=_OF_MEMORY if memory else ())
    if cluster.whole_nodes:
        parameters["additional_parameters"].setdefault("exclusive", True)
    return (
        parameters
        | ({"partition": resources.partition} if resources.partition else {})
        | {
            "time": minutes,
            "nodes": resources.nodes,
            "ntasks_per_node": tasks,
            "cpus_per_task": cpus,
            "gpus_per_node": ":".join(filter(None, (gpu_type, str(gpus)))) if asks_for_gpus else None,
        }
        | memory
    )


def job_gpus(cluster: Cluster, resources: Resources) -> int:
    """The GPUs per node of a job: those of its trial, or those of a whole node that trains one-GPU trials."""
    whole = cluster.whole_nodes and resources.gpus_per_node == ranks(resources) == 1
    return cluster.gpus_per_node or 1 if whole else resources.gpus_per_node


def _memory(cluster: Cluster, mebibytes: int | None, gpus: int, cpus: int) -> Parameters:
    """The request for so much memory per node, in the way of the cluster."""
    if mebibytes is None or cluster.memory == "none":
        return {}
    if cluster.memory == "per_cpu":
        return {"mem_per_cpu": f"{ceil(mebibytes / cpus)}M"}
    if cluster.memory == "per_gpu" and gpus:
        return {"mem_per_gpu": f"{ceil(mebibytes / gpus)}M"}
    return {"mem": f"{mebibytes}M"}


def _cluster_parameters(cluster: Cluster, gpus: int, without: Iterable[str] = ()) -> Parameters:
    """The parameters that the cluster's table sets for all jobs. gpus: per node, for the placeholder in options."""
    placeholder = f"{{{GPUS}}}"
    own = {name: value for name, value in cluster.options.items() if name not in without}
    own = {name: value for name, value in own.items() if gpus or placeholder not in str(value)}
    own = {
        name: value.replace(placeholder, str(gpus)) if isinstance(value, str) else value for name, value in own.items()
    }
    named = {name: getattr(cluster, name) for name in ("partition", "account", "qos", "constraint")}
    return {**named, "additional_parameters": {**({"requeue": True} if cluster.requeue else {}), **own}}


def _setup(submission: Submission) -> list[str]:
    code, *others = map(controller_of(submission.cluster).seen, (submission.code, *submission.path))
    return [*submission.cluster.setup, _owned(code), _check(code), _python_path([code, *others])]


def _check(code: str) -> str:
    """The line of bash that ends the job if its code was damaged, before Python imports any of it."""
    advice = f"the snapshot {code} was damaged or moved; submit again, which uses another copy"
    command = f"cd {shlex.quote(code)} && sha256sum --quiet --check files.sha256"
    return f"({command}) || {{ echo {shlex.quote(advice)} >&2; exit 1; }}"


def _owned(code: str) -> str:
    """The line of bash that ends the job if anybody else can change its code, or made it."""
    advice = f"others own or can change files of the snapshot {code}; remove it and submit again"
    found = rf'find {shlex.quote(code)} ! -type l \( ! -user "$(id -u)" -o -perm /022 \) -print -quit'
    return f'[ -z "$({found})" ] || {{ echo {shlex.quote(advice)} >&2; exit 1; }}'


def _python_path(folders: Iterable[str]) -> str:
    """The line of bash that makes Python look into these folders first."""
    return f'export PYTHONPATH={":".join(map(shlex.quote, folders))}"${{PYTHONPATH:+:$PYTHONPATH}}"'
