"""The networks: settings of encoder and projection head, and the residual networks' layers and sizes."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ablate.simclr.base import Settings


@dataclass(frozen=True)
class Residual:
    """The layers of a residual network (He et al. 2016)."""

    bottleneck: bool
    """Blocks of 1x1, 3x3 and 1x1 convolutions with four times the output channels; else of two 3x3."""
    blocks: tuple[int, ...]
    """Blocks of each stage."""
    channels: int
    """Channels of the first stage; they double with every stage."""
    projected: bool = True
    """Project the shortcut of every stage's first block, as in the authors' code, and not only where sizes change."""

    def projects(self, block: int, stride: int, inputs: int, outputs: int) -> bool:
        """Whether the shortcut of a stage's block number `block` is a 1x1 convolution."""
        return stride != 1 or inputs != outputs or (self.projected and block == 0)


RESNETS = {
    "resnet8": Residual(False, (1, 1, 1), 16, projected=False),
    "resnet18": Residual(False, (2, 2, 2, 2), 64),
    "resnet34": Residual(False, (3, 4, 6, 3), 64),
    "resnet50": Residual(True, (3, 4, 6, 3), 64),
    "resnet101": Residual(True, (3, 4, 23, 3), 64),
    "resnet152": Residual(True, (3, 8, 36, 3), 64),
}


class Encoder(Settings):
    """The network f whose output h is evaluated (section 2.1)."""

    name: Literal["resnet8", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "torchvision"] = "resnet50"
    """`resnet8` has three stages of one basic block with 16, 32 and 64 channels (He et al. 2016, 4.2, n = 1)."""
    torchvision: str | None = None
    """Name of a torchvision classifier, for `name = "torchvision"`; its last layer is removed."""
    width_multiplier: Literal[1, 2, 4] = 1
    """Multiplies all channel counts; not for torchvision networks."""
    stem: Literal["imagenet", "cifar", "strided"] = "imagenet"
    """`imagenet`: 7x7, stride 2, then max-pool; `cifar`: 3x3, stride 1 (App. B.9); `strided`: 3x3, stride 2."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.name == "torchvision") != (self.torchvision is not None):
            raise ValueError("torchvision says which network, and is needed where encoder.name = 'torchvision' only")
        return self


class Head(Settings):
    """The projection head g that maps h to z (section 4.2)."""

    name: Literal["none", "linear", "nonlinear"] = "nonlinear"
    """`none`: z = h; `linear`: one dense layer; `nonlinear`: dense layers with ReLU in between, as wide as h."""
    hidden_layers: Literal[1, 2] = 1
    """For `nonlinear`: 1 in the paper, 2 in the authors' later releases."""
    output_dimension: Annotated[int, Field(ge=2, le=8192)] = 128
    """Length of z; unused by `none`."""
    batch_norm: bool = True
    """Batch norm after every dense layer, without a shift after the last, as in the authors' code; the paper's formula
    has no batch norm."""


def multiply_adds(encoder: Encoder, side: int) -> int | None:
    """Count the convolutions' multiply-adds for one image of side x side pixels; None for torchvision's networks."""
    if encoder.name not in RESNETS:
        return None
    network = RESNETS[encoder.name]
    channels = network.channels * encoder.width_multiplier
    side = side if encoder.stem == "cifar" else -(-side // 2)
    total = side**2 * 3 * channels * (7 if encoder.stem == "imagenet" else 3) ** 2
    if encoder.stem == "imagenet":
        side = -(-side // 2)
    inputs = channels
    for stage, blocks in enumerate(network.blocks):
        inner = channels * 2**stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            outputs = inner * (4 if network.bottleneck else 1)
            projects = network.projects(block, stride, inputs, outputs)
            total += _block_adds(network.bottleneck, inputs, inner, side, stride, projects)
            inputs, side = outputs, -(-side // stride)
    return total


def _block_adds(bottleneck: bool, inputs: int, inner: int, side: int, stride: int, projects: bool) -> int:
    """Count those of one residual block; `projects`: its shortcut is a 1x1 convolution."""
    outputs, before, after = inner * 4 if bottleneck else inner, side**2, (-(-side // stride)) ** 2
    shortcut = after * inputs * outputs if projects else 0
    if bottleneck:
        return shortcut + before * inputs * inner + after * (9 * inner * inner + inner * outputs)
    return shortcut + after * 9 * (inputs * inner + inner * inner)


def parameters(encoder: Encoder) -> int | None:
    """Count the parameters of an encoder without classifier; None for torchvision's networks.

    They are the weights of convolutions, and the scale and shift of the batch norm after each.
    """
    if encoder.name not in RESNETS:
        return None
    network = RESNETS[encoder.name]
    channels = inputs = network.channels * encoder.width_multiplier
    total = 3 * channels * (7 if encoder.stem == "imagenet" else 3) ** 2 + 2 * channels
    for stage, blocks in enumerate(network.blocks):
        inner = channels * 2**stage
        outputs = inner * 4 if network.bottleneck else inner
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            norms = 2 * inner + (outputs if network.bottleneck else 0)
            projects = network.projects(block, stride, inputs, outputs)
            norms += outputs if projects else 0
            # At one pixel each weight counts once.
            total += _block_adds(network.bottleneck, inputs, inner, 1, stride, projects) + 2 * norms
            inputs = outputs
    return total
