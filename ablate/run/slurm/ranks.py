"""A job on several ranks: the first rank claims and records each trial, the others train it together with the first.

srun python -m ablate.run.slurm.ranks RESULTS SUBMISSION ARRAY
"""

import contextlib
import os
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any

from submitit import JobEnvironment

from ablate.records.files import Results
from ablate.records.reading import read_trial
from ablate.run.causes import record_failure_of_rank
from ablate.run.slurm.controller import SlurmError, ask
from ablate.run.slurm.job import Canary, Signals, end_own_attempts, place, run_job
from ablate.run.slurm.ledger import Submission
from ablate.run.slurm.packing import Array, Share

if TYPE_CHECKING:
    from torch import device as Device

    from ablate.run.causes import Outcome
    from ablate.trainer.rendezvous import Rendezvous
    from ablate.trainer.world import World


def train_on_ranks(
    results: Results, submission: Submission, array: Array, share: Share, signals: Signals
) -> "dict[str, Outcome]":
    """Train the trials of a share one after another on all ranks of this step; called on each rank.

    Raises Leave if the job has to end, and RuntimeError if the ranks cannot continue together.
    """
    import torch

    from ablate.run.machine import pick_device
    from ablate.trainer.world import started

    torch.set_num_threads(array.resources.cpus_per_task or 1)
    kind = pick_device(submission.device).partition(":")[0]
    with started(kind, rendezvous(submission, array)) as (world, device):
        if world.first:
            return _train_and_record(results, share, str(device), world, signals, Canary(submission, array))
        _train(results, device, world, signals)
    return {}


def rendezvous(submission: Submission, array: Array) -> "Rendezvous":
    """Where the ranks that srun started meet. The address is Slurm's for the first node: its name may not resolve.

    The number of the job tells neither a requeued job from its earlier run nor two clusters on one machine apart.
    """
    from ablate.trainer.rendezvous import Rendezvous

    job = JobEnvironment()
    first = job.hostnames[0]
    address = None
    with contextlib.suppress(SlurmError):  # a container without Slurm's commands
        address = re.search(r"NodeAddr=(\S+)", ask("scontrol", "show", "node", first))
    name = f"{submission.id}/{array.name}/{job.raw_job_id}/{os.environ.get('SLURM_RESTART_COUNT', 0)}"
    host = address[1] if address else first
    return Rendezvous(job.global_rank, job.local_rank, job.num_tasks, host, name)


def _train_and_record(
    results: Results, share: Share, device: str, world: "World", signals: Signals, canary: Canary
) -> "dict[str, Outcome]":
    """What the first rank does."""
    from ablate.run.attempt import run_trial

    end_own_attempts(results, share.keys)
    outcomes: dict[str, Outcome] = {}
    for key in share.keys:
        signals.check()
        outcomes[key] = run_trial(results, key, place(), device, lambda: signals.cause, canary.look, world=world)
        if outcomes[key]["state"] == "done":
            canary.passed()
        if outcomes[key]["state"] == "interrupted":
            signals.check(outcomes)
        if outcomes[key]["state"] == "failed" and outcomes[key].get("cause") not in ("diverged", "metric"):
            raise RuntimeError(f"trial {key[:12]} failed on the first rank; other ranks may not have noticed")
    world.announce()
    return outcomes


def _train(results: Results, device: "Device", world: "World", signals: Signals) -> None:
    """What the other ranks do: train the trials that the first one names, and record nothing but failures."""
    from ablate.run.attempt import function_and_config
    from ablate.trainer.contract import Console, Diverged, Interrupted

    while (announced := world.announce()) is not None:
        key, attempt = announced
        folder = results.trial(key)
        spec: dict[str, Any] = read_trial(folder.trial).model_dump(exclude_unset=True)
        try:
            train, config = function_and_config(spec)
            checkpoints = results.pretrained(spec["pretrain_key"])
            train(config, Console(device, checkpoints, world, stopping=lambda: signals.cause is not None))
        except (Interrupted, Diverged):  # on all ranks at the same step
            continue
        except BaseException as error:
            traceback.print_exc()
            record_failure_of_rank(folder.attempts / attempt, world.rank, error)
            raise


if __name__ == "__main__":
    run_job(sys.argv[1:], train_on_ranks)
