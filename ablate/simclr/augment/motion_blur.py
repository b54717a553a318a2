"""Motion blur: the average along a straight line through each pixel (App. B.2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ablate.simclr.base import Probability, Settings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ablate.simclr.augment import Draws, Shapes


class MotionBlur(Settings):
    """Mean along a line of random length and direction (App. B.2)."""

    probability: Probability = 0.5
    length_max: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The length is uniform between one pixel and this share of the image's side."""


def draw(settings: MotionBlur, shapes: Shapes, random: np.random.Generator, views: int) -> Draws:
    """Draw each image's line, and whether it is blurred."""
    count = len(shapes)
    return {
        "applied": random.random(count) < settings.probability,
        "length": random.random(count).astype("float32"),  # 0: one pixel, 1: the longest
        "angle": random.uniform(0, math.pi, count).astype("float32"),
    }


def apply(images: Tensor, draws: Draws, settings: MotionBlur) -> Tensor:
    """Blur each image along its line."""
    from ablate.simclr.base.device import beside

    longest = max(1.0, settings.length_max * images.shape[-1])
    length = 1 + beside(images, draws["length"]) * (longest - 1)
    return motion_blur(images, length, beside(images, draws["angle"]))


def motion_blur(images: Tensor, length: Tensor, angle: Tensor) -> Tensor:
    """Averages along a line of length (B,) pixels at angle (B,) radians, zeros beyond the edge; a new tensor.

    Angle 0 is along a row, and angles turn counter-clockwise. The line is cut into steps of one pixel centred on
    the pixel; each counts by how much of it lies on the line, and is read between pixels by bilinear weights. A
    length of at most 1 changes nothing, and one above the longer side is the longer side.

    Images and lines are convolved by Fourier transforms, ten times as fast as directly for a line of 23 pixels at
    224 px. The sizes of the transforms depend only on that of the images, never on the lengths in a batch.
    """
    import torch

    height, width = images.shape[-2:]
    radius = max(height, width) // 2
    size = (height + radius, width + radius)  # what wraps around falls outside the part that is kept
    kernels = line_kernels(length.to(images.dtype), angle.to(images.dtype), radius)[:, None]  # (B, 1, K, K)
    spectrum = torch.fft.rfft2(images, size).mul_(torch.fft.rfft2(kernels, size))
    blurred: Tensor = torch.fft.irfft2(spectrum, size)[..., radius:, radius:]
    return blurred.clamp(0, 1)  # the transforms leave 1e-8 where the average is 0


def line_kernels(length: Tensor, angle: Tensor, radius: int) -> Tensor:
    """The weights (B, K, K) of lines of length (B,) at angle (B,), with K = 2 radius + 1; each sums to 1."""
    import torch

    step = torch.arange(-radius, radius + 1, device=length.device, dtype=length.dtype)  # also the pixels' offsets
    weight = ((length.clamp(1, 2 * radius + 1)[:, None] + 1) / 2 - step.abs()).clamp_(0, 1)  # (B, K)
    weight /= weight.sum(dim=1, keepdim=True)
    rows = _nearness(-angle.sin()[:, None] * step, step)  # rows are counted downwards
    columns = _nearness(angle.cos()[:, None] * step, step)
    return torch.bmm((weight[:, :, None] * rows).mT, columns)


def _nearness(position: Tensor, pixels: Tensor) -> Tensor:
    """Bilinear weights of pixels (K,) for reading at each position (B, N): (B, N, K)."""
    return (1 - (position[:, :, None] - pixels).abs_()).clamp_(min=0)
