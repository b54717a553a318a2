"""A plan on a cluster: submitted once, whoever asks for it; and waited for, where somebody does."""

import getpass
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from ablate.errors import UserError
from ablate.records.attempt import trial_status
from ablate.records.code import snapshot
from ablate.records.files import Results
from ablate.run.execute import read_result
from ablate.run.plan import Plan
from ablate.run.pool import Outcome
from ablate.run.progress import Progress
from ablate.run.slurm.clusters import Cluster
from ablate.run.slurm.commands import SlurmError
from ablate.run.slurm.known import measured_of
from ablate.run.slurm.ledger import Ledger, Submission
from ablate.run.slurm.queue import queued, read_queue
from ablate.run.slurm.shares import Measured, share_out
from ablate.run.slurm.submit import Group
from ablate.run.slurm.waves import mend, submit_wave
from ablate.study.schema import Resources
from ablate.study.trial import Trial

LOOK_SECONDS = 20.0
"""Somebody who waits asks Slurm so often, and the records more often."""
_GLANCE_SECONDS = 1.0


def submit_plan(
    plan: Plan,
    results: Results,
    cluster: Cluster,
    device: str = "auto",
    reports: Path | None = None,
    extra_code: Sequence[Path] = (),
    follows: bool = True,
) -> Submission | None:
    """Submit what a recorded plan is to run and no job has yet; None where that is nothing.

    reports: the folder of pages. follows: whether a job looks after the others when they end.
    Raises UserError for what the cluster cannot do, SlurmError where the controller does not answer.
    """
    resources = _resources(plan.expansion.resources, cluster)
    code = snapshot(results, extra_code).folder
    ledger = Ledger(results)
    with ledger.lock():
        queue = read_queue(results, fresh=True)
        if not queue.answered:
            raise SlurmError("squeue", "it gives no answer, and what is queued already cannot be told; nothing is lost")
        if mend(results, queue):
            queue = read_queue(results, fresh=True)
        waiting = queued(results, queue)
        now = time.time()
        todo = [
            trial
            for trial in plan.to_run
            if trial.key not in waiting and trial_status(results.trial(trial.key), now).state not in ("done", "running")
        ]
        if not todo:
            return None
        base = Submission(
            id="", study=plan.loaded.study.name, profile=plan.profile, created=now, cluster=cluster, arrays=(),
            by=f"{getpass.getuser()}@{platform.node()}", code=str(code), path=tuple(_path(code)), device=device,
            reports=str(reports.absolute()) if reports else None, follows=follows,
        )  # fmt: skip
        return submit_wave(results, base, [_group(plan, todo, resources, results)])


def _resources(resources: Resources, cluster: Cluster) -> Resources:
    """What a trial needs, with what the cluster's file says where the study says nothing."""
    have = cluster.gpus_per_node
    if have is not None and resources.gpus_per_node > have:
        told = f"the trials need {resources.gpus_per_node} GPUs a node, and nodes of '{cluster.name}' have {have}"
        raise UserError(told, help="change gpus_per_node in the study's resources, or in ablate.toml")
    own = {name: value for name in ("trials_per_job", "at_once") if (value := getattr(cluster, name)) is not None}
    said = {name for name in own if getattr(resources, name) is not None}
    return resources.model_copy(update={name: value for name, value in own.items() if name not in said})


def _group(plan: Plan, todo: Sequence[Trial], resources: Resources, results: Results) -> Group:
    """All trials of a plan need the same. Where none of them has ever run, one goes first."""
    measured = measured_of(results, plan.distinct)
    if measured.seconds is None:
        hours = [price.pretraining[1] + price.evaluation for price in plan.cost.prices if not price.assumed]
        measured = Measured(3600 * sum(hours) / len(hours), measured.gpu_memory) if hours else measured
    pretrainings = {trial.key: trial.pretrain_key for trial in todo}
    return Group(resources, share_out(pretrainings, resources, measured), canary=not plan.counts["done"])


def _path(code: Path) -> Iterator[str]:
    """Where this Python finds modules that a job's own would not: the project's folder, a PYTHONPATH."""
    for entry in dict.fromkeys(str(Path(entry).absolute()) for entry in sys.path):
        if entry != str(code) and not entry.startswith((sys.prefix, sys.base_prefix)) and Path(entry).is_dir():
            yield entry


def wait(plan: Plan, results: Results, submission: Submission, console: Console) -> dict[str, Outcome]:
    """Stay until a submission and the waves that follow it have ended; how each trial ended, by key."""
    from ablate.run.slurm.follow import look_after

    keys = submission.keys
    labels = {trial.key: trial.label for trial in plan.expansion.trials if trial.key in keys}
    outcomes: dict[str, Outcome] = {}
    asked = time.monotonic()
    current: Submission | None = submission
    with Progress(console, labels, 1) as progress:
        while current is not None:
            for key in [key for key in labels if key not in outcomes and results.trial(key).result.exists()]:
                outcomes[key] = {"state": "done"}
                progress.ended(key, outcomes[key], read_result(results, key))
            if all(key in outcomes for key in current.keys):
                Ledger(results).end(current.id)
                break
            if time.monotonic() - asked > LOOK_SECONDS:
                step = look_after(results, current.id)
                asked = time.monotonic()
                current = step.next or (current if step.alive else None)
            time.sleep(_GLANCE_SECONDS)
        for key in [key for key in labels if key not in outcomes]:
            status = trial_status(results.trial(key), time.time())
            attempts = results.trial(key).attempt_folders()
            outcomes[key] = {
                "state": status.state, "cause": status.cause, "message": status.message or "",
                **({"attempt": attempts[-1].name} if attempts else {}),
            }  # fmt: skip
            progress.ended(key, outcomes[key], read_result(results, key))
    return outcomes
