"""The encoder f: residual networks made of torchvision's blocks, without a classifier (section 2.1)."""

from collections.abc import Iterable
from typing import Any

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
}


class ResNet(nn.Module):
    """h = f(x): images (B, 3, H, W) in [0, 1] -> representations (B, `dimension`).

    Parameter names are torchvision's. The stride of a bottleneck is on its 3x3, the scale of each block's
    last batch norm starts at zero, and convolutions start from a normal distribution over their fan-out.
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
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, BasicBlock):
        nn.init.zeros_(module.bn2.weight)
    elif isinstance(module, Bottleneck):
        nn.init.zeros_(module.bn3.weight)


@torch.no_grad()
def set_batch_norm_statistics(encoder: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics to the means over all images of `batches`, for an encoder never trained."""
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    encoder.train()
    seen = 0
    for images in batches:
        seen += len(images)
        for norm in norms:
            norm.momentum = len(images) / seen  # so that every image weighs alike
        encoder(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
