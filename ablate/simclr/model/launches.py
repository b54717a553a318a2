"""A forward pass in fewer kernels on a GPU, which waits for launches where a network is small."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_CAST = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
"""Autocast casts the weights of these layers, and nothing else of them that is large."""


@contextmanager
def in_few_kernels(networks: tuple[nn.Module, ...], device: torch.device) -> Iterator[None]:
    """Within, on a GPU, do at once what would be a kernel for each layer; the results are the same bits.

    That is to cast the weights to autocast's format, and to count the batches of batch norms.
    """
    if device.type != "cuda":
        yield
        return
    modules = [module for network in networks for module in network.modules()]
    with _weights_cast(modules), _batches_counted(modules):
        yield


def channels_last(images: Tensor) -> Tensor:
    """Images (B, 3, H, W) in the layout of the weights; on a GPU in one pass also in autocast's format."""
    if images.is_cuda and torch.is_autocast_enabled("cuda") and images.dtype == torch.float32:
        return images.to(torch.get_autocast_dtype("cuda"), memory_format=torch.channels_last)
    return images.contiguous(memory_format=torch.channels_last)


@contextmanager
def _weights_cast(modules: list[nn.Module]) -> Iterator[None]:
    casts = torch.is_autocast_enabled("cuda")
    layers: list[Any] = [layer for layer in modules if casts and type(layer) in _CAST]
    weights = [layer.weight for layer in layers]
    if not weights or any(weight.dtype != torch.float32 for weight in weights):
        yield
        return
    try:
        for layer, cast in zip(layers, _Cast.apply(*weights), strict=True):  # type: ignore[no-untyped-call]
            del layer._parameters["weight"]
            layer.__dict__["weight"] = cast  # found before the module's parameters
        yield
    finally:
        for layer, weight in zip(layers, weights, strict=True):
            layer.__dict__.pop("weight", None)
            layer._parameters["weight"] = weight


@contextmanager
def _batches_counted(modules: list[nn.Module]) -> Iterator[None]:
    norms = [module for module in modules if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    counting = [each for each in norms if each.training and each.track_running_stats and each.momentum is not None]
    counters = [each.num_batches_tracked for each in counting if each.num_batches_tracked is not None]
    if len(counters) < max(1, len(counting)):
        yield
        return
    try:
        for norm in counting:
            norm.num_batches_tracked = None  # not counted then; with a momentum it is not used either
        yield
    finally:
        for norm, counter in zip(counting, counters, strict=True):
            norm.num_batches_tracked = counter
    torch._foreach_add_(counters, 1)


class _Cast(torch.autograd.Function):
    """float32 tensors to autocast's format, and their gradients back, each in one kernel."""

    @staticmethod
    def forward(ctx: Any, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        cast = [torch.empty_like(weight, dtype=torch.get_autocast_dtype(weight.device.type)) for weight in weights]
        torch._foreach_copy_(cast, list(weights))
        return tuple(cast)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        given = [gradient for gradient in gradients if gradient is not None]
        wide = [torch.empty_like(gradient, dtype=torch.float32) for gradient in given]
        torch._foreach_copy_(wide, given)
        found = iter(wide)
        return tuple(None if gradient is None else next(found) for gradient in gradients)
