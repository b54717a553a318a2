"""Sobel filtering: the gradient magnitude of each channel (Fig. 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.simclr.base import Probability, Settings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ablate.simclr.augment import Draws, Shapes


class Sobel(Settings):
    """Sobel gradient magnitude per channel, the image stretched to [0, 1].

    The channels are stretched together, so that edges keep their color.
    """

    probability: Probability = 1.0


def draw(settings: Sobel, shapes: Shapes, random: np.random.Generator, views: int) -> Draws:
    """Draw which images are filtered."""
    return {"applied": random.random(len(shapes)) < settings.probability}


def apply(images: Tensor, draws: Draws, settings: Sobel) -> Tensor:
    """Replace each image by its gradient magnitude."""
    return sobel(images)


def sobel(images: Tensor) -> Tensor:
    """Compute the gradient magnitude per channel of images (B, C, H, W), each image stretched to [0, 1]."""
    import torch
    import torch.nn.functional as F

    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    smooth_down = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]  # (B, C, H, W + 2)
    smooth_across = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]  # (B, C, H + 2, W)
    horizontal = smooth_down[..., 2:] - smooth_down[..., :-2]
    vertical = smooth_across[..., 2:, :] - smooth_across[..., :-2, :]
    magnitude = torch.hypot(horizontal, vertical)
    low, high = magnitude.amin((1, 2, 3), keepdim=True), magnitude.amax((1, 2, 3), keepdim=True)
    return (magnitude - low) / (high - low).clamp(min=1e-6)
