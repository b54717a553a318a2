"""What sbatch is told, in submitit's words: of the jobs of an array, and of the one that follows them."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablate.run.slurm.ledger import Array, Submission
from ablate.run.slurm.shares import grace_seconds, job_memory, job_minutes, ranks
from ablate.study.schema import Resources, hours

MOST_TIMEOUTS = 50
"""A job goes on after its time limit, or a preemption late in it, so often; then the rules decide."""
_FOLLOW_UP_MINUTES = 30
_LATER = "now+10minutes"
"""When the job that follows looks for room, where there was none for any other."""
_OF_TRIALS = frozenset({"gres", "gpus", "gpus-per-node", "gpus-per-task", "exclusive"})
"""Options by which a cluster's file asks for GPUs in its own way: the job that follows needs none."""


def executor_for(log: Path, submission: Submission, parameters: dict[str, Any], srun: bool) -> Any:
    """Submitit's executor. Without srun the shell becomes Python, so that signals reach it."""
    from submitit import SlurmExecutor

    python = f"{shlex.quote(sys.executable)} -P"
    log.mkdir(parents=True, exist_ok=True)
    executor = SlurmExecutor(log, max_num_timeout=MOST_TIMEOUTS, python=python if srun else f"exec {python}")
    executor.update_parameters(**parameters, use_srun=srun, wckey=None, stderr_to_stdout=True)
    return executor


def _common(submission: Submission) -> dict[str, Any]:
    """What all jobs of a submission have, those that follow too."""
    cluster = submission.cluster
    names = ("partition", "account", "qos", "constraint")
    path = ":".join(map(shlex.quote, (submission.code, *submission.path)))
    setup = [*cluster.setup, f'export PYTHONPATH={path}"${{PYTHONPATH:+:$PYTHONPATH}}"']
    return {
        **{name: value for name in names if (value := getattr(cluster, name))},
        "setup": setup,
        "additional_parameters": {"requeue": True, **cluster.options},
    }


def of_array(submission: Submission, array: Array) -> dict[str, Any]:
    """Of the jobs of an array, in submitit's words."""
    cluster, resources = submission.cluster, array.resources
    at_once = max(share.at_once for share in array.shares)
    minutes, memory = minutes_of(submission, array), job_memory(resources, at_once)
    batch = "B:" if ranks(resources) == 1 else ""
    found = _common(submission)
    signal = f"{batch}USR2@{grace_seconds(minutes)}"
    found["additional_parameters"] = {"signal": signal, **found["additional_parameters"]}
    if array.held:
        found["additional_parameters"]["hold"] = True
    arrays = sum(not each.canary for each in submission.arrays)
    return {
        **found,
        "job_name": array.name,
        "time": minutes,
        "nodes": resources.nodes,
        "ntasks_per_node": ranks(resources) // resources.nodes,
        "cpus_per_task": (resources.cpus_per_task or 1) * at_once,
        **({"gpus_per_node": resources.gpus_per_node} if _asks_for_gpus(submission, resources) else {}),
        **({"mem": f"{memory}M"} if memory else {}),
        **({"exclude": ",".join(array.avoid)} if array.avoid else {}),
        **({"srun_args": ["--kill-on-bad-exit=1"]} if ranks(resources) > 1 else {}),
        "array_parallelism": max(1, (cluster.most_jobs or len(array.shares) * arrays) // max(1, arrays)),
    }


def _asks_for_gpus(submission: Submission, resources: Resources) -> bool:
    """Whether GPUs are asked for by their number; a cluster's own `gres` or `gpus` does that otherwise."""
    return bool(resources.gpus_per_node) and not _OF_TRIALS & set(submission.cluster.options)


def minutes_of(submission: Submission, array: Array) -> int:
    """The time limit of an array's jobs."""
    return job_minutes(array.resources, submission.cluster.time, array.shares)


def of_follow_up(submission: Submission, after: Sequence[str]) -> dict[str, Any]:
    """Of the job that looks after a submission when some jobs have ended."""
    cluster = submission.cluster
    minutes = round(hours(cluster.follow_up.time) * 60) if cluster.follow_up.time else _FOLLOW_UP_MINUTES
    found = _common(submission) | {"job_name": submission.follower, "time": minutes}
    own = {name: value for name, value in found["additional_parameters"].items() if name not in _OF_TRIALS}
    found["additional_parameters"] = own
    if cluster.follow_up.partition:
        found["partition"] = cluster.follow_up.partition
    if after:
        found["dependency"] = f"afterany:{':'.join(after)}"
    elif not submission.arrays:
        own["begin"] = _LATER
    return found
