"""Gaussian noise per pixel and channel (Fig. 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ablate.simclr.base import Probability, Settings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ablate.simclr.augment import Draws, Shapes


class Noise(Settings):
    """Gaussian noise per pixel and channel."""

    probability: Probability = 1.0
    sigma_max: Annotated[float, Field(ge=0, le=1)] = 0.2
    """The standard deviation of each image's noise is uniform between 0 and this."""


def draw(settings: Noise, shapes: Shapes, random: np.random.Generator, views: int) -> Draws:
    """Draw each image's standard deviation, the seed of its noise, and whether it gets any."""
    return {
        "applied": random.random(len(shapes)) < settings.probability,
        "sigma": random.uniform(0, settings.sigma_max, len(shapes)).astype("float32"),
        "seeds": random.integers(0, 2**31, len(shapes), dtype="int32"),
    }


def apply(images: Tensor, draws: Draws, settings: Noise) -> Tensor:
    """Add each image's noise."""
    from ablate.simclr.base.device import beside

    return gaussian_noise(images, beside(images, draws["sigma"]), beside(images, draws["seeds"]))


def gaussian_noise(images: Tensor, sigma: Tensor, seeds: Tensor) -> Tensor:
    """Add normal noise of standard deviation sigma (B,), drawn from seeds (B,) int32, and clip to [0, 1]."""
    from ablate.simclr.base.randomness import standard_normal

    noise = standard_normal(seeds, tuple(images.shape[1:]), images.dtype)
    return (images + sigma[:, None, None, None] * noise).clamp_(0, 1)
