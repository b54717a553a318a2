"""Several models of one architecture as one network, each with its own weights.

That is horizontal fusion (HFTA, Wang et al., MLSys 2021). The K models' channels lie side by side: convolutions have K
groups, batch norms K times the channels, dense layers are batched matrix products. A small network then fills more of
a GPU, with the kernel launches of one.
"""

import copy
from collections.abc import Sequence
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

from ablate.simclr.base.device import autocast
from ablate.simclr.model import Model, Outputs
from ablate.simclr.model.encoder import ResNet
from ablate.simclr.model.launches import channels_last, in_few_kernels


class OneOf(nn.Module):
    """One of the fused models, for the function that computes its loss: called, it returns its part of the outputs."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.encoder, self.probe = model.encoder, model.probe
        self.outputs: Outputs | None = None

    def forward(self, images: Tensor) -> Outputs:
        """Return the outputs for the images, which all models have encoded already."""
        assert self.outputs is not None
        return self.outputs


class Fused(nn.Module):
    """The encoders and heads of K models as one network, in training.

    Until `close`, the models' weights and running statistics are views of this network's. Optimizers and checkpoints of
    each model work as before.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        super().__init__()
        first = models[0]
        count, self._precision = len(models), first._precision
        self.encoder: ResNet = copy.deepcopy(first.encoder)  # type: ignore[assignment]
        self.head = copy.deepcopy(first.head)
        _widen(self, count)
        self.members = [OneOf(model) for model in models]
        self.probes = nn.ModuleList(model.probe for model in models)
        self._shared = self._share(models)
        buffers = chain.from_iterable((*model.encoder.buffers(), *model.head.buffers()) for model in models)
        self._counters = [buffer for buffer in buffers if not buffer.is_floating_point()]
        for number, counter in enumerate(self._counters):  # a CUDA graph's check restores buffers
            self.register_buffer(f"counter{number}", counter)
        self.train()

    def forward(self, views: Tensor) -> list[Outputs]:
        """Encode and project the views of each model, (K, B, 3, H, W) in [0, 1]; the outputs are leaves of autograd."""
        images = views.transpose(0, 1).flatten(1, 2)  # (B, 3 K, H, W)
        with autocast(self._precision, views.device), in_few_kernels((self.encoder, self.head), views.device):
            h = self.encoder(channels_last(images))
            z = self.head(h)
        if self._counters:
            torch._foreach_add_(self._counters, 1)
        dtype = torch.promote_types(h.dtype, torch.float32)
        wide = [values.to(dtype).unflatten(1, (len(views), -1)).unbind(1) for values in (h, z)]  # K of (B, d)
        self._z = wide[1]
        outputs = [Outputs(*(values.detach().requires_grad_() for values in each)) for each in zip(*wide, strict=True)]
        for member, each in zip(self.members, outputs, strict=True):
            member.outputs = each
        return outputs

    def backward(self) -> None:
        """Continue the backward passes of all losses, which have reached z, through heads and encoders.

        A model whose loss could not be computed gets a gradient of zeros.
        """
        reached = [
            (z, member.outputs.z.grad) for z, member in zip(self._z, self.members, strict=True) if member.outputs
        ]
        known = [(z, gradient) for z, gradient in reached if gradient is not None]
        torch.autograd.backward([z for z, _ in known], [gradient for _, gradient in known])
        for weight, parts in self._shared:
            if weight.grad is not None:
                for part, gradient in zip(parts, weight.grad.chunk(len(parts)), strict=True):
                    part.grad = gradient
        for member in self.members:
            member.outputs = None
        del self._z

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the network and of all models."""
        super().zero_grad(set_to_none)
        for weight in chain.from_iterable(parts for _, parts in self._shared):
            weight.grad = None

    def close(self) -> None:
        """Give each model its own weights and statistics again."""
        for _, parts in self._shared:
            for part in parts:
                part.grad = None
                part.data = part.data.clone(memory_format=torch.preserve_format)
        self._shared = []

    @torch.no_grad()
    def _share(self, models: Sequence[Model]) -> list[tuple[Tensor, list[Tensor]]]:
        """Make the models' weights and statistics parts of this network's; return them with theirs."""
        shared = []
        for name, wide in chain(self.named_parameters(), self.named_buffers()):
            if name.startswith("probes."):
                continue
            get = Model.get_parameter if isinstance(wide, nn.Parameter) else Model.get_buffer
            parts = [get(model, name) for model in models]
            for part, place in zip(parts, wide.detach().chunk(len(parts)), strict=True):
                place.copy_(part)
                part.data = place
            wide.requires_grad_(parts[0].requires_grad)
            shared.append((wide, parts))
        return shared


class _LinearOfEach(nn.Module):
    """A dense layer of each of K models: (B, K inputs) -> (B, K outputs)."""

    def __init__(self, layer: nn.Linear, count: int) -> None:
        super().__init__()
        self.count = count
        self.weight = nn.Parameter(layer.weight.new_empty(count * layer.out_features, layer.in_features))
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.new_empty(count * layer.out_features))

    def forward(self, inputs: Tensor) -> Tensor:
        of_each = inputs.unflatten(1, (self.count, -1)).transpose(0, 1)  # (K, B, inputs)
        weights = self.weight.unflatten(0, (self.count, -1)).transpose(1, 2)  # (K, inputs, outputs)
        outputs = torch.bmm(of_each, weights).transpose(0, 1).flatten(1)
        return outputs if self.bias is None else outputs + self.bias


def _widen(module: nn.Module, count: int) -> None:
    """Replace each layer below by one of `count` models."""
    for name, child in list(module.named_children()):
        _widen(child, count)
        setattr(module, name, _of_each(child, count))


def _of_each(layer: nn.Module, count: int) -> nn.Module:
    if isinstance(layer, nn.Linear):
        return _LinearOfEach(layer, count)
    if isinstance(layer, nn.Conv2d):
        assert layer.bias is None
        assert not isinstance(layer.padding, str)
        channels, form = (count * layer.in_channels, count * layer.out_channels), layer.weight
        shape = layer.kernel_size, layer.stride, layer.padding
        wide = nn.utils.skip_init(
            nn.Conv2d, *channels, *shape, groups=count, bias=False, device=form.device, dtype=form.dtype
        )
        return cast(nn.Module, wide.to(memory_format=torch.channels_last))
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        form, features = layer.weight, count * layer.num_features
        norm = type(layer)(features, layer.eps, layer.momentum, device=form.device, dtype=form.dtype)
        norm.num_batches_tracked = None  # those of the models are counted
        return norm
    return layer
