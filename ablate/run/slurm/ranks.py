"""A trial on many ranks: the first claims and records it, the others train with it; they meet where Slurm says."""

import json
import os
import re
import traceback
from typing import TYPE_CHECKING, Any

from ablate.records.files import Results
from ablate.run.failures import note_failure_of_rank
from ablate.run.slurm.commands import ask
from ablate.run.slurm.ledger import Array, Submission
from ablate.run.slurm.life import Canary, Signals, end_own_attempts, place
from ablate.run.slurm.shares import Share

if TYPE_CHECKING:
    from torch import device as Device

    from ablate.run.pool import Outcome
    from ablate.simclr.distributed import World

_FIRST_PORT, _PORTS = 20_000, 20_000


def run_on_ranks(
    results: Results, submission: Submission, array: Array, share: Share, signals: Signals
) -> "dict[str, Outcome]":
    """Train a share's trials one after another on all ranks of this step; called on each. How they ended, by key.

    Raises Leave where the job has to end, and RuntimeError where ranks can no longer go on together.
    """
    import torch

    from ablate.run.serve import pick_device
    from ablate.simclr.distributed import started

    torch.set_num_threads(array.resources.cpus_per_task or 1)
    os.environ.update(rendezvous(os.environ))
    kind = pick_device(submission.device).partition(":")[0]
    with started(kind) as (world, device):
        if world.first:
            return _first(results, share, str(device), world, signals, Canary(submission, array))
        _other(results, device, world, signals)
    return {}


def rendezvous(environment: "os._Environ[str] | dict[str, str]") -> dict[str, str]:
    """RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT of a rank that srun started.

    The address is the first node's as Slurm has it, since nodes' names need not resolve; the port is another after
    each requeue, so that no rank of an earlier life is met.
    """
    first = ask("scontrol", "show", "hostnames", environment["SLURM_STEP_NODELIST"]).split()[0]
    told = re.search(r"NodeAddr=(\S+)", ask("scontrol", "show", "node", first))
    number = int(environment["SLURM_JOB_ID"]) + 7919 * int(environment.get("SLURM_RESTART_COUNT", 0))
    return {
        "RANK": environment["SLURM_PROCID"],
        "LOCAL_RANK": environment["SLURM_LOCALID"],
        "WORLD_SIZE": environment["SLURM_STEP_NUM_TASKS"],
        "MASTER_ADDR": told[1] if told else first,
        "MASTER_PORT": str(_FIRST_PORT + number % _PORTS),
    }


def _first(
    results: Results, share: Share, device: str, world: "World", signals: Signals, canary: Canary
) -> "dict[str, Outcome]":
    """The rank that claims and writes."""
    from ablate.run.worker import run_trial

    end_own_attempts(results, share.keys, place())
    outcomes: dict[str, Outcome] = {}
    for key in share.keys:
        signals.ask()
        outcomes[key] = run_trial(results, key, place(), device, lambda: signals.cause, canary.look, world=world)
        if outcomes[key]["state"] == "done":
            canary.passed()
        if outcomes[key]["state"] == "interrupted":
            signals.ask(outcomes)
        if outcomes[key]["state"] == "failed" and outcomes[key].get("cause") != "diverged":
            raise RuntimeError(f"trial {key[:12]} failed on the first rank, which the others may not know of")
    world.tell(None)
    return outcomes


def _other(results: Results, device: "Device", world: "World", signals: Signals) -> None:
    """A rank that trains what the first one says, and writes nothing unless it fails."""
    from ablate.run.worker import function_and_config
    from ablate.simclr.context import Console, Diverged, Interrupted

    while (told := world.tell(None)) is not None:
        key, attempt = told
        folder = results.trial(key)
        spec: dict[str, Any] = json.loads(folder.trial.read_text(encoding="utf-8"))
        try:
            train, config = function_and_config(spec)
            checkpoints = results.pretrained(spec["pretrain_key"])
            train(config, Console(device, checkpoints, world, stopping=lambda: signals.cause is not None))
        except (Interrupted, Diverged):  # on all ranks alike
            continue
        except Exception as error:
            traceback.print_exc()
            note_failure_of_rank(folder.attempts / attempt, world.rank, error)
            raise
