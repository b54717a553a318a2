"""Batch norm over all ranks on GPUs, by torch's own kernels, without a wait for the GPU in each layer."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules._functions import SyncBatchNorm as _TorchFunction


class SynchronizedBatchNorm(nn.SyncBatchNorm):
    """torch's SyncBatchNorm for ranks that all have the same number of images.

    torch allows ranks without images: in each layer it copies the counts of all ranks to the CPU to leave those out,
    and so waits for the GPU, 22 times in a ResNet-18. Here no rank is without images.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize (B, C) or (B, C, H, W) by channel."""
        if not self.training:
            return super().forward(inputs)
        running_mean = running_var = None
        if self.track_running_stats and self.running_mean is not None:
            running_mean, running_var = self.running_mean, self.running_var
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        group, momentum = dist.group.WORLD, self.momentum
        arguments = (
            self.weight,
            self.bias,
            running_mean,
            running_var,
            self.eps,
            momentum,
            group,
            dist.get_world_size(),
        )
        output: Tensor = _Normalize.apply(inputs, *arguments)  # type: ignore[no-untyped-call]
        return output


def synchronized(local: nn.BatchNorm1d | nn.BatchNorm2d) -> SynchronizedBatchNorm:
    """Take over the parameters and running statistics of a batch norm, under the same names."""
    norm = SynchronizedBatchNorm(local.num_features, local.eps, local.momentum, local.affine, local.track_running_stats)
    norm.weight, norm.bias = local.weight, local.bias
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        setattr(norm, name, getattr(local, name))
    norm.training = local.training
    return norm


class _Normalize(_TorchFunction):
    """The forward pass of torch's function with the same count on each rank; its backward pass is torch's."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        eps: float,
        momentum: float,
        process_group: Any,
        world_size: int,
    ) -> Tensor:
        if not inputs.is_contiguous(memory_format=torch.channels_last) if inputs.ndim == 4 else True:
            inputs = inputs.contiguous()
        own = torch.cat(torch.batch_norm_stats(inputs, eps))  # mean and 1 / deviation, (2 C,)
        gathered = own.new_empty(world_size * len(own))
        dist.all_gather_into_tensor(gathered, own, process_group)
        means, inverses = gathered.view(world_size, -1).chunk(2, dim=1)  # (ranks, C) each
        counts = own.new_full((world_size,), inputs.numel() // inputs.shape[1])
        mean, inverse = torch.batch_norm_gather_stats_with_counts(
            inputs, means, inverses, running_mean, running_var, momentum, eps, counts
        )
        ctx.save_for_backward(inputs, weight, mean, inverse, counts.to(torch.int32))
        ctx.process_group = process_group
        return torch.batch_norm_elemt(inputs, weight, bias, mean, inverse, eps)
