"""Histogram equalization of each channel on 8-bit levels, as Pillow computes it (App. B.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.simclr.base import Probability, Settings

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from ablate.simclr.augment import Draws, Shapes


class Equalize(Settings):
    """Histogram equalization of each channel (App. B.2)."""

    probability: Probability = 0.2


def draw(settings: Equalize, shapes: Shapes, random: np.random.Generator, views: int) -> Draws:
    """Draw which images are equalized."""
    return {"applied": random.random(len(shapes)) < settings.probability}


def apply(images: Tensor, draws: Draws, settings: Equalize) -> Tensor:
    """Equalize each image."""
    return equalize(images)


def equalize(images: Tensor) -> Tensor:
    """Spread the levels of each channel evenly, on 8-bit values (Pillow's ImageOps.equalize); a new tensor."""
    return from_levels(equalize_levels(to_levels(images)), images.dtype)


def to_levels(images: Tensor) -> Tensor:
    """Round to the nearest of 256 levels, uint8."""
    return (images * 255).round_().byte()


def from_levels(levels: Tensor, dtype: torch.dtype) -> Tensor:
    """Levels as values in [0, 1]."""
    return levels.to(dtype).mul_(1 / 255)


def equalize_levels(levels: Tensor) -> Tensor:
    """Pillow's equalization of uint8 images (B, C, H, W), each channel on its own; a new tensor.

    A level becomes (the count of pixels below it + step // 2) // step, where step is a 255th of the pixels that
    do not have the channel's greatest level. Channels with a step of 0 are not changed.
    """
    import torch

    pixels = levels.flatten(2).long()  # (B, C, H W)
    histogram = pixels.new_zeros(*pixels.shape[:2], 256)
    histogram.scatter_add_(2, pixels, pixels.new_ones(()).expand_as(pixels))
    below = histogram.cumsum(2) - histogram
    greatest = histogram.gather(2, pixels.amax(2, keepdim=True))  # how many pixels have the greatest level
    step = (pixels.shape[2] - greatest) // 255
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=levels.device))
    return table.gather(2, pixels).to(torch.uint8).view(levels.shape)
