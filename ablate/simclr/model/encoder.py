"""The encoder f (section 2.1): residual networks of torchvision's blocks without a classifier, and their batch norm."""

import difflib
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ablate.simclr.base.vision import torchvision
from ablate.simclr.config.network import RESNETS, Residual
from ablate.simclr.config.network import Encoder as EncoderSettings
from ablate.simclr.model.synchronized import synchronized
from ablate.trainer.world import World

BasicBlock, Bottleneck = torchvision.models.resnet.BasicBlock, torchvision.models.resnet.Bottleneck

_TRUNCATED = 0.87962566103423978
"""Standard deviation of a standard normal distribution truncated at -2 and 2."""


class Encoder(nn.Module):
    """h = f(x): images (B, 3, H, W) in [0, 1] -> representations (B, `dimension`)."""

    dimension: int


def make_encoder(settings: EncoderSettings) -> Encoder:
    """Make the network with new weights. Raises ValueError for a name unknown to torchvision."""
    if settings.torchvision is not None:
        return Backbone(settings.torchvision)
    return ResNet(settings)


class ResNet(Encoder):
    """A residual network as in the authors' code.

    Parameters have torchvision's names, so that its weights load at width 1, except for the projection in the first
    stage of ResNet-18 and -34, which the authors' code has and torchvision does not. The stride of a bottleneck is on
    its 3x3 convolution, the scale of each block's last batch norm starts at zero, and convolutions start from a normal
    distribution of variance 1 / fan-in, truncated at two standard deviations.
    """

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        network = RESNETS[settings.name]
        channels = network.channels * settings.width_multiplier
        kernel, stride = {"imagenet": (7, 2), "cifar": (3, 1), "strided": (3, 2)}[settings.stem]
        self.conv1 = nn.Conv2d(3, channels, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if settings.stem == "imagenet" else nn.Identity()
        self.dimension = channels
        self.stages = []
        for index, blocks in enumerate(network.blocks):
            name = f"layer{index + 1}"
            self.add_module(name, self._stage(network, channels * 2**index, blocks, stride=1 if index == 0 else 2))
            self.stages.append(name)
        self.apply(_initialize)

    def _stage(self, network: Residual, channels: int, blocks: int, stride: int) -> nn.Sequential:
        layers = []
        block: Any = Bottleneck if network.bottleneck else BasicBlock
        for index in range(blocks):
            stride = stride if index == 0 else 1
            out = channels * block.expansion
            shortcut: nn.Module | None = None
            if network.projects(index, stride, self.dimension, out):
                shortcut = nn.Sequential(nn.Conv2d(self.dimension, out, 1, stride, bias=False), nn.BatchNorm2d(out))
            layers.append(block(self.dimension, channels, stride, shortcut))
            self.dimension = out
        return nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Compute h."""
        x: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        return x.mean(dim=(2, 3))  # (B, dimension)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        fan_in = module.weight[0].numel()
        deviation = math.sqrt(1 / fan_in) / _TRUNCATED
        nn.init.trunc_normal_(module.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
    elif isinstance(module, BasicBlock):
        nn.init.zeros_(module.bn2.weight)
    elif isinstance(module, Bottleneck):
        nn.init.zeros_(module.bn3.weight)


class Backbone(Encoder):
    """A torchvision classifier without its last linear layer."""

    def __init__(self, name: str) -> None:
        super().__init__()
        known = torchvision.models.list_models(module=torchvision.models)
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise ValueError(
                f"encoder.torchvision: torchvision has no {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )
        self.network = torchvision.models.get_model(name, weights=None)
        layers = [name for name, module in self.network.named_modules() if isinstance(module, nn.Linear)]
        if not layers:
            raise ValueError(f"encoder.torchvision: {name!r} has no final linear layer to remove")
        parent, _, last = layers[-1].rpartition(".")
        self.dimension = cast(nn.Linear, self.network.get_submodule(layers[-1])).in_features
        setattr(self.network.get_submodule(parent), last, nn.Identity())

    def forward(self, images: Tensor) -> Tensor:
        """Compute h."""
        h = self.network(images)
        return cast(Tensor, getattr(h, "logits", h))  # GoogLeNet and Inception return named outputs in training


@cache
def why_unfit(name: str, size: int) -> str | None:
    """Why a torchvision classifier cannot be trained on images of size x size; None if it can.

    It is tried on torch's meta device, which computes shapes only.
    """
    try:
        try:
            with torch.device("meta"):
                network = Backbone(name)
        except (RuntimeError, NotImplementedError):  # it reads values while it is built
            network = Backbone(name).to("meta")
    except ValueError as error:
        return str(error)
    try:
        network.train()(torch.empty(2, 3, size, size, device="meta"))
    except Exception as error:  # whatever the network raises
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return f"encoder.torchvision: {name!r} cannot take images of {size} pixels: {reason}"
    return None


@contextmanager
def dropout_of_step(encoder: nn.Module, device: torch.device, random: np.random.Generator) -> Iterator[None]:
    """Seed the dropout of a torchvision network from the step's generator; torch's own generator is restored."""
    if not isinstance(encoder, Backbone):
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(random.integers(2**63)))
        yield


@torch.no_grad()
def set_batch_norm_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set an untrained network's running statistics to the means over all images of `batches`."""
    norms: list[Any] = [module for module in network.modules() if hasattr(module, "running_mean")]
    momenta = [norm.momentum for norm in norms]
    network.train()
    seen = 0
    for images in batches:
        seen += len(images)
        for norm in norms:
            norm.momentum = len(images) / seen  # so that every image has the same weight
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


class GlobalBatchNorm(nn.Module):
    """Batch norm over all ranks for any device (`synchronized` needs a GPU).

    Takes over the parameters and running statistics of a BatchNorm1d or BatchNorm2d, under the same names. The
    variance is that of all values about their common mean, computed in two passes.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, local: nn.BatchNorm1d | nn.BatchNorm2d, world: World) -> None:
        super().__init__()
        assert local.momentum is not None  # no network here averages over all batches
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
    """Make every batch norm of a module use all ranks."""
    if world.size == 1:
        return
    for name, child in list(module.named_children()):
        if not isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            make_batch_norm_global(child, world)
        elif child.running_mean is not None and child.running_mean.is_cuda:
            setattr(module, name, synchronized(child))
        else:
            setattr(module, name, GlobalBatchNorm(child, world))
