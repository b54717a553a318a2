"""How much a trial computes, counted before it runs: in images that a ResNet-50 at 224 pixels is trained on.

One such image is a forward and a backward pass, which take three times the forward pass alone. An image of another
network or size counts in proportion to the multiply-adds of its forward pass. Heads, losses, augmentations and what
waits for data are not in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ablate.simclr.config import Config, Encoder, Part
from ablate.simclr.data.listing import Listing

_FORWARD = 1 / 3
"""Of an image that is trained on: the backward pass multiplies as often again for the inputs, and for the weights."""
_CACHED = 4 / 3
"""With gradient caching every image is encoded once more, without gradient."""
_STAGES: dict[str, tuple[bool, tuple[int, ...], int]] = {
    # name: (whether its blocks are bottlenecks, blocks per stage, channels of the first stage), as in simclr/encoder.py
    "resnet8": (False, (1, 1, 1), 16),
    "resnet18": (False, (2, 2, 2, 2), 64),
    "resnet34": (False, (3, 4, 6, 3), 64),
    "resnet50": (True, (3, 4, 6, 3), 64),
    "resnet101": (True, (3, 4, 23, 3), 64),
    "resnet152": (True, (3, 8, 36, 3), 64),
}


@dataclass(frozen=True)
class Sizes:
    """How many images there are."""

    train: int
    test: int


@dataclass(frozen=True)
class Effort:
    """Images of a ResNet-50 at 224 pixels, forward and backward."""

    pretraining: float
    evaluation: float


def effort(config: Config, sizes: Sizes, look: Callable[[Path], Listing]) -> Effort | None:
    """What a config computes on so many images; None for a network of torchvision's, which is not counted here.

    `look` lists another data set or a list of labelled images; what it does not find is left out of a linear transfer,
    and taken for `label_share` of fine-tuning.
    """
    adds = multiply_adds(config.encoder, config.data.image_size)
    if adds is None:
        return None
    train = min(sizes.train, config.data.train_images or sizes.train)
    test = min(sizes.test, config.data.test_images or sizes.test)
    views = 1 if config.method == "supervised" else 2
    pretraining = config.epochs * train * views * (_CACHED if config.micro_batch else 1.0)
    if not config.epochs:  # batch norm's statistics of an untrained encoder
        pretraining = train * _FORWARD
    evaluation = sum(_evaluation(part, config, train, test, look) for part in config.evaluate.parts)
    # Features of the unaugmented images are computed once for all parts of a trial.
    evaluation += _FORWARD * (test + (train if {"cached_linear", "knn"} & set(config.evaluate.parts) else 0))
    relative = adds / (multiply_adds(Encoder(), 224) or 1)
    return Effort(pretraining * relative, evaluation * relative)


def _evaluation(part: Part, config: Config, train: int, test: int, look: Callable[[Path], Listing]) -> float:
    """One part of the evaluation, without the features of unaugmented images."""
    settings = config.evaluate
    if part == "linear":
        return settings.linear.epochs * train * _FORWARD
    if part == "finetune":
        labelled = _listed(settings.finetune.subset, look)
        images = labelled.train_images if labelled else settings.finetune.label_share * train
        return settings.finetune.epochs * images + test * _FORWARD
    if part == "transfer" and settings.transfer.mode != "linear":
        return float(settings.transfer.steps * settings.transfer.batch_size)
    if part == "transfer":
        other = _listed(settings.transfer.root, look)
        return (other.train_images + other.test_images) * _FORWARD if other else 0.0
    if part == "transformation":
        return (train + test) * _FORWARD
    return 2 * test * _FORWARD if part in ("contrastive", "geometry") else 0.0


def _listed(path: Path | None, look: Callable[[Path], Listing]) -> Listing | None:
    try:
        return look(path) if path else None
    except (OSError, ValueError):
        return None


def multiply_adds(encoder: Encoder, side: int) -> int | None:
    """Multiply-adds of the convolutions for one image of so many pixels a side; None for torchvision's networks."""
    if encoder.name not in _STAGES:
        return None
    bottleneck, stages, first = _STAGES[encoder.name]
    channels = first * encoder.width_multiplier
    side = side if encoder.stem == "cifar" else -(-side // 2)
    total = side**2 * 3 * channels * (7 if encoder.stem == "imagenet" else 3) ** 2
    if encoder.stem == "imagenet":
        side = -(-side // 2)
    inputs = channels
    for stage, blocks in enumerate(stages):
        inner = channels * 2**stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            total += _block(bottleneck, inputs, inner, side, stride)
            inputs, side = inner * (4 if bottleneck else 1), -(-side // stride)
    return total


def _block(bottleneck: bool, inputs: int, inner: int, side: int, stride: int) -> int:
    """One residual block of images of `side` pixels; its shortcut is a 1x1 where stride or channels change."""
    outputs, before, after = inner * 4 if bottleneck else inner, side**2, (-(-side // stride)) ** 2
    shortcut = after * inputs * outputs if stride != 1 or inputs != outputs else 0
    if bottleneck:
        return shortcut + before * inputs * inner + after * (9 * inner * inner + inner * outputs)
    return shortcut + after * 9 * (inputs * inner + inner * inner)


def parameters(encoder: Encoder) -> int | None:
    """How many numbers an encoder learns, without a classifier; None for torchvision's networks.

    Weights of convolutions, and scale and shift of the batch norm behind each.
    """
    if encoder.name not in _STAGES:
        return None
    bottleneck, stages, first = _STAGES[encoder.name]
    channels = inputs = first * encoder.width_multiplier
    total = 3 * channels * (7 if encoder.stem == "imagenet" else 3) ** 2 + 2 * channels
    for stage, blocks in enumerate(stages):
        inner = channels * 2**stage
        outputs = inner * 4 if bottleneck else inner
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            norms = 2 * inner + (outputs if bottleneck else 0)
            norms += outputs if stride != 1 or inputs != outputs else 0
            total += _block(bottleneck, inputs, inner, 1, stride) + 2 * norms  # each weight once at one pixel
            inputs = outputs
    return total
