"""One computation over many processes: started by torchrun or Slurm, over NCCL on GPUs and gloo on CPUs.

Rank r of W takes images r N / W .. (r + 1) N / W of every batch. What crosses ranks: batch norm's statistics
(section 2.2), the representations z that serve as negatives, and the mean of all gradients. With these, and
randomness that belongs to the step, W ranks compute what one computes.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class World:
    """The processes that compute one trial, and which of them this one is."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def slice(self, count: int) -> slice:
        """The part of `count` images that is this rank's. Raises ValueError where the ranks do not divide them."""
        if count % self.size:
            raise ValueError(f"batch_size = {count} is not a multiple of the {self.size} ranks")
        share = count // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def gather(self, values: Tensor) -> Tensor:
        """The rows of all ranks, (n, ...) -> (W n, ...); its gradient sums what every rank has for them."""
        if self.size == 1:
            return values
        gathered: Tensor = _Gather.apply(values, self)  # type: ignore[no-untyped-call]
        return gathered

    def sum(self, values: Tensor) -> Tensor:
        """The sum over ranks; its gradient is again a sum."""
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
        """Whether the flag is up on any rank."""
        if self.size == 1:
            return flag
        flags = torch.tensor(float(flag), device=device)
        dist.all_reduce(flags)
        return bool(flags)

    def tell(self, value: Any) -> Any:
        """What the first rank has, on all of them."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]


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


class GlobalBatchNorm(nn.Module):
    """Batch norm over all ranks for any device (torch's SyncBatchNorm needs a GPU).

    Takes the parameters and running statistics of a BatchNorm1d or BatchNorm2d, under the same names. The
    variance is that of all values about their common mean, computed in two passes.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, local: nn.BatchNorm1d | nn.BatchNorm2d, world: World) -> None:
        super().__init__()
        assert local.momentum is not None  # a mean over all batches is used by no network here
        self.weight, self.bias = local.weight, local.bias
        self.eps, self.momentum, self._world = local.eps, local.momentum, world
        self.track_running_stats = local.track_running_stats
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(local, name))

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise (B, C) or (B, C, H, W) by channel."""
        shape = (1, -1, *[1] * (inputs.ndim - 2))
        if self.training:
            mean, variance = self._statistics(inputs.to(self.weight.dtype), shape)
        else:
            mean, variance = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(variance + self.eps)
        output: Tensor = (inputs - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)
        return output.to(inputs.dtype)

    def _statistics(self, inputs: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        axes = [0, *range(2, inputs.ndim)]
        count = inputs.numel() // inputs.shape[1] * self._world.size
        mean = self._world.sum(inputs.sum(axes)) / count
        variance = self._world.sum((inputs - mean.view(shape)).square().sum(axes)) / count
        if self.track_running_stats:
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * (count / max(1, count - 1)), self.momentum)
                self.num_batches_tracked.add_(1)
        return mean, variance


def make_batch_norm_global(module: nn.Module, world: World) -> None:
    """Let every batch norm within a module see all ranks."""
    if world.size == 1:
        return
    for name, child in list(module.named_children()):
        if not isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            make_batch_norm_global(child, world)
        elif child.running_mean is not None and child.running_mean.is_cuda:
            setattr(module, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
        else:
            setattr(module, name, GlobalBatchNorm(child, world))


@contextmanager
def started(device: str) -> Iterator[tuple[World, torch.device]]:
    """The world that torchrun or Slurm started this process in, and its device; one process otherwise.

    torchrun sets RANK, LOCAL_RANK, WORLD_SIZE and MASTER_ADDR; for `srun` they are made from Slurm's variables.
    """
    variables = _rendezvous()
    if variables is None:
        yield World(), torch.device(device)
        return
    os.environ.update(variables)
    on_gpu = device.startswith("cuda")
    place = (
        torch.device("cuda", int(variables["LOCAL_RANK"]) % torch.cuda.device_count())
        if on_gpu
        else torch.device(device)
    )
    if on_gpu:
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(minutes=30))
    try:
        yield World(dist.get_rank(), dist.get_world_size()), place
    finally:
        dist.destroy_process_group()


def _rendezvous() -> dict[str, str] | None:
    """RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT; None outside of torchrun and of srun."""
    known = os.environ
    if "RANK" in known and "WORLD_SIZE" in known:
        wanted = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
        return {"LOCAL_RANK": known.get("LOCAL_RANK", "0"), **{name: known[name] for name in wanted}}
    if int(known.get("SLURM_STEP_NUM_TASKS", 1)) < 2:  # also in a batch script itself, outside of srun
        return None
    command = ["scontrol", "show", "hostnames", known["SLURM_STEP_NODELIST"]]
    hosts = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return {
        "RANK": known["SLURM_PROCID"],
        "LOCAL_RANK": known["SLURM_LOCALID"],
        "WORLD_SIZE": known["SLURM_STEP_NUM_TASKS"],
        "MASTER_ADDR": hosts[0],
        "MASTER_PORT": str(20000 + int(known["SLURM_JOB_ID"]) % 20000),  # the same for all, another for each job
    }
