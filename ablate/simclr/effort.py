"""How much a trial computes, counted before it runs: in images that a ResNet-50 at 224 pixels is trained on.

One such image is a forward and a backward pass, together three times the forward pass. An image of another network or
size counts in proportion to the multiply-adds of its forward pass. Heads, losses, augmentations and waiting for data
are not counted.
"""

from collections.abc import Callable
from pathlib import Path

from ablate.simclr.config import Config, Part
from ablate.simclr.config.network import Encoder, multiply_adds
from ablate.simclr.data.listing import Listing
from ablate.trainer.hooks import Effort, Sizes

_FORWARD = 1 / 3
"""Share of the forward pass: the backward pass multiplies as often for the inputs, and again for the weights."""
_CACHED = 4 / 3
"""Gradient caching encodes every image once more, without gradient."""


def effort(config: Config, sizes: Sizes, look: Callable[[Path], Listing]) -> Effort | None:
    """Count what a config computes on a data set of these sizes; None for torchvision's networks.

    `look` lists another data set or a list of labelled images. If it finds none, a linear transfer counts as nothing,
    and fine-tuning uses `label_share`.
    """
    adds = multiply_adds(config.encoder, config.data.image_size)
    if adds is None:
        return None
    train = min(sizes.train, config.data.train_images or sizes.train)
    test = min(sizes.test, config.data.test_images or sizes.test)
    if (held := config.data.validation) is not None:
        train, test = round(train * (1 - held)), round(train * held)
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
    """Count one part of the evaluation, without the features of unaugmented images."""
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
