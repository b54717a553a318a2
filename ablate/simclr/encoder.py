"""The encoder f: residual networks made of torchvision's blocks, without a classifier (section 2.1)."""

import difflib
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from ablate.simclr import config
from ablate.simclr.vision import torchvision

BasicBlock, Bottleneck = torchvision.models.resnet.BasicBlock, torchvision.models.resnet.Bottleneck

_LAYERS: dict[str, tuple[type[Any], tuple[int, ...], int]] = {
    # name: (block, blocks per stage, channels of the first stage)
    "resnet8": (BasicBlock, (1, 1, 1), 16),
    "resnet18": (BasicBlock, (2, 2, 2, 2), 64),
    "resnet34": (BasicBlock, (3, 4, 6, 3), 64),
    "resnet50": (Bottleneck, (3, 4, 6, 3), 64),
    "resnet101": (Bottleneck, (3, 4, 23, 3), 64),
    "resnet152": (Bottleneck, (3, 8, 36, 3), 64),
}


_TRUNCATED = 0.87962566103423978
"""Standard deviation of a normal distribution of deviation 1 that is cut off at -2 and 2."""


class Encoder(nn.Module):
    """h = f(x): images (B, 3, H, W) in [0, 1] -> representations (B, `dimension`)."""

    dimension: int


def make_encoder(settings: config.Encoder) -> Encoder:
    """The network of the settings with new weights. Raises ValueError for a name torchvision does not have."""
    if settings.torchvision is not None:
        return Backbone(settings.torchvision)
    return ResNet(settings)


class ResNet(Encoder):
    """A residual network as in the authors' code.

    Parameter names are torchvision's, whose weights load at width 1. The stride of a bottleneck is on its
    3x3, the scale of each block's last batch norm starts at zero, and convolutions start from a normal
    distribution, truncated at two standard deviations, of variance 1 / fan-in.
    """

    def __init__(self, settings: config.Encoder) -> None:
        super().__init__()
        block, stages, channels = _LAYERS[settings.name]
        channels *= settings.width_multiplier
        kernel, stride = {"imagenet": (7, 2), "cifar": (3, 1), "strided": (3, 2)}[settings.stem]
        self.conv1 = nn.Conv2d(3, channels, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if settings.stem == "imagenet" else nn.Identity()
        self.dimension = channels
        self.stages = []
        for index, blocks in enumerate(stages):
            name = f"layer{index + 1}"
            self.add_module(name, self._stage(block, channels * 2**index, blocks, stride=1 if index == 0 else 2))
            self.stages.append(name)
        self.apply(_initialize)

    def _stage(self, block: type[Any], channels: int, blocks: int, stride: int) -> nn.Sequential:
        layers = []
        for index in range(blocks):
            stride = stride if index == 0 else 1
            out = channels * block.expansion
            projects = stride != 1 or self.dimension != out
            shortcut = _projection(self.dimension, out, stride) if projects else None
            layers.append(block(self.dimension, channels, stride, shortcut))
            self.dimension = out
        return nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Compute h."""
        x: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        return x.mean(dim=(2, 3))  # (B, dimension)


def _projection(channels: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))


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
    """Any classifier of torchvision without its last linear layer."""

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
            raise ValueError(f"encoder.torchvision: {name!r} has no linear layer to leave out")
        parent, _, last = layers[-1].rpartition(".")
        self.dimension = cast(nn.Linear, self.network.get_submodule(layers[-1])).in_features
        setattr(self.network.get_submodule(parent), last, nn.Identity())

    def forward(self, images: Tensor) -> Tensor:
        """Compute h."""
        h = self.network(images)
        return cast(Tensor, getattr(h, "logits", h))  # GoogLeNet and Inception name their outputs while they train


@contextmanager
def dropout_of_step(encoder: nn.Module, device: torch.device, seed: tuple[int, ...]) -> Iterator[None]:
    """What a torchvision network drops out meanwhile belongs to the seed, not to the process."""
    if not isinstance(encoder, Backbone):
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(hash(seed) % 2**63)
        yield


@torch.no_grad()
def set_batch_norm_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics to the means over all images of `batches`, for a network never trained."""
    norms: list[Any] = [module for module in network.modules() if hasattr(module, "running_mean")]
    momenta = [norm.momentum for norm in norms]
    network.train()
    seen = 0
    for images in batches:
        seen += len(images)
        for norm in norms:
            norm.momentum = len(images) / seen  # so that every image weighs alike
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
