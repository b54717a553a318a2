"""Many processes that compute one trial: started by torchrun or Slurm, over NCCL on GPUs and gloo on CPUs.

Rank r of W takes images r N / W .. (r + 1) N / W of every batch. The ranks exchange batch norm's statistics
(section 2.2), the representations z that serve as negatives, and the mean of all gradients. Since randomness depends
on the step and not on the rank, W ranks compute the same as one.
"""

import os
import platform
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ablate.errors import UserError
from ablate.trainer.rendezvous import Rendezvous, meet


@dataclass(frozen=True)
class World:
    """The number of processes that compute one trial, and the rank of this one."""

    rank: int = 0
    size: int = 1
    _announced: Iterator[int] = field(default_factory=count, repr=False, compare=False)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def slice(self, count: int) -> slice:
        """The part of `count` images that this rank computes. Raises ValueError if the ranks do not divide them."""
        if count % self.size:
            raise ValueError(f"batch_size = {count} is not a multiple of the {self.size} ranks")
        share = count // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def gather(self, values: Tensor) -> Tensor:
        """The rows of all ranks, (n, ...) -> (W n, ...); its gradient is the sum of all ranks' gradients."""
        if self.size == 1:
            return values
        gathered: Tensor = _Gather.apply(values, self)  # type: ignore[no-untyped-call]
        return gathered

    def sum(self, values: Tensor) -> Tensor:
        """The sum over ranks; its gradient is summed over ranks, too."""
        if self.size == 1:
            return values
        total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
        return total

    def mean_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over ranks, in one exchange."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients]).div_(self.size)
        dist.all_reduce(flat)
        for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def agree(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is true on any rank."""
        if self.size == 1:
            return flag
        flags = torch.tensor(float(flag), device=device)
        dist.all_reduce(flags)
        return bool(flags)

    def tell(self, value: Any) -> Any:
        """The value of the first rank, on all ranks."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def announce(self, value: Any = None) -> Any:
        """The value of the first rank, on all ranks, which wait for it for as long as it takes.

        `tell` gives up after TIMEOUT, and the first rank may take longer: it trains a command alone. The first rank
        goes on when all have the value: after the last one it closes the store, which the others still use.
        """
        if self.size == 1:
            return value
        name, store = f"announcement {next(self._announced)}", dist.distributed_c10d._get_default_store()
        others = [f"{name} {rank}" for rank in range(1, self.size)]
        if self.first:
            store.set(name, "")
        else:
            _wait_for(store, [name])
        announced = self.tell(value)
        if self.first:
            _wait_for(store, others)
        else:
            store.set(others[self.rank - 1], "")
        return announced


def _wait_for(store: Any, names: list[str]) -> None:
    """Wait until the store has these; its own `wait` would keep NCCL's threads from the store."""
    while not store.check(names):
        time.sleep(0.1)


ALONE = World()
"""One process."""


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, world: World) -> Tensor:
        ctx.world = world
        parts = [torch.empty_like(values) for _ in range(world.size)]
        dist.all_gather(parts, values.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.contiguous()
        dist.all_reduce(total)
        return total[ctx.world.slice(len(total))], None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


TIMEOUT = timedelta(minutes=30)
"""How long a rank waits for the others before it gives up."""


@contextmanager
def started(device: str, at: Rendezvous | None = None) -> Iterator[tuple[World, torch.device]]:
    """The ranks that torchrun or Slurm started, and the device of this one; a single process otherwise.

    at: where they meet. Without it, torchrun's variables say that (RANK, LOCAL_RANK, WORLD_SIZE and MASTER_ADDR), and
    for `srun` it follows from Slurm's.
    """
    if at is None and (at := _rendezvous()) is None:
        alone = torch.device(device)
        if alone.type == "cuda" and alone.index is not None and torch.cuda.is_available():
            torch.cuda.set_device(alone)  # CUDA graphs and Triton use the current GPU
        yield World(), alone
        return
    on_gpu = device.startswith("cuda")
    if on_gpu:
        if not (gpus := torch.cuda.device_count()):
            raise UserError(f"--device {device}: torch sees no GPU on {platform.node()}", help="use --device cpu")
        found = torch.device("cuda", at.local_rank % gpus)
        torch.cuda.set_device(found)
    else:
        found = torch.device(device)
    joined: dict[str, Any] = {}
    if at.host is not None:
        os.environ.update(at.variables)
        joined = {"store": meet(at, TIMEOUT), "rank": at.rank, "world_size": at.size}
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=TIMEOUT, **joined)
    try:
        world = World(dist.get_rank(), dist.get_world_size())
        if on_gpu:
            uuid = torch.cuda.get_device_properties(found).uuid
            refuse_shared_gpus(dist.distributed_c10d._get_default_store(), world, f"{platform.node()} {uuid}")
        yield world, found
    finally:
        dist.destroy_process_group()


def refuse_shared_gpus(store: Any, world: World, gpu: str) -> None:
    """Raise UserError on every rank if two of them use one GPU, which NCCL refuses later and less clearly.

    store: key -> bytes, shared by the ranks. gpu: the host and the GPU of this rank. A rank may see one GPU of its own
    only, so the rank's number on its node does not tell.
    """
    store.set(f"gpu-{world.rank}", gpu)
    ranks: dict[str, list[int]] = {}
    for rank in range(world.size):
        ranks.setdefault(store.get(f"gpu-{rank}").decode(), []).append(rank)
    for where, sharing in ranks.items():
        if len(sharing) > 1:
            raise UserError(
                f"ranks {', '.join(map(str, sharing))} would share one GPU of {where.partition(' ')[0]}",
                help="start at most as many ranks on a node as it has GPUs: --nproc-per-node, or --gpus-per-node",
            )


def _rendezvous() -> Rendezvous | None:
    """Where the ranks of torchrun and srun meet; None outside of both."""
    known = os.environ
    if "RANK" in known and "WORLD_SIZE" in known:
        return Rendezvous(int(known["RANK"]), int(known.get("LOCAL_RANK", 0)), int(known["WORLD_SIZE"]))
    if int(known.get("SLURM_STEP_NUM_TASKS", 1)) < 2:  # also in a batch script itself, outside of srun
        return None
    command = ["scontrol", "show", "hostnames", known["SLURM_STEP_NODELIST"]]
    hosts = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    name = "/".join(known.get(f"SLURM_{part}", "") for part in ("CLUSTER_NAME", "JOB_ID", "STEP_ID", "RESTART_COUNT"))
    rank, local, size = (int(known[f"SLURM_{part}"]) for part in ("PROCID", "LOCALID", "STEP_NUM_TASKS"))
    return Rendezvous(rank, local, size, hosts[0], name)
