"""Histogram equalization and solarization on images (B, 3, H, W), float32 or float64 in [0, 1]."""

import torch
from torch import Tensor

_ROUNDING = 1e-6  # far below a level of 8 bits, and above what float32 loses in level / 255


def equalize(images: Tensor) -> Tensor:
    """Spreads the levels of each channel evenly, on 8-bit values (Pillow's ImageOps.equalize); a new tensor."""
    return from_levels(equalize_levels(to_levels(images)), images.dtype)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Inverts the values at or above each image's threshold (Pillow's ImageOps.solarize); a new tensor.

    threshold (B,) is in [0, 1], a level of 8 bits divided by 255; 0 inverts everything, above 1 nothing. A value
    that rounding alone puts below its threshold counts as at it.
    """
    return torch.where(images >= threshold[:, None, None, None] - _ROUNDING, 1 - images, images)


def to_levels(images: Tensor) -> Tensor:
    """The nearest of 256 levels, uint8."""
    return (images * 255).round_().to(torch.uint8)


def from_levels(levels: Tensor, dtype: torch.dtype) -> Tensor:
    """Levels as values in [0, 1]."""
    return levels.to(dtype).mul_(1 / 255)


def equalize_levels(levels: Tensor) -> Tensor:
    """Pillow's equalization of uint8 images (B, C, H, W), each channel alone; a new tensor.

    A level becomes (the count of pixels below it + step // 2) // step, where step is a 255th of the pixels that
    are not of the channel's greatest level. Channels with a step of 0 stay as they are.
    """
    pixels = levels.flatten(2).long()  # (B, C, H W)
    histogram = pixels.new_zeros(*pixels.shape[:2], 256)
    histogram.scatter_add_(2, pixels, pixels.new_ones(()).expand_as(pixels))
    below = histogram.cumsum(2) - histogram
    greatest = histogram.gather(2, pixels.amax(2, keepdim=True))  # how many pixels have the greatest level
    step = (pixels.shape[2] - greatest) // 255
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=levels.device))
    return table.gather(2, pixels).to(torch.uint8).view(levels.shape)
