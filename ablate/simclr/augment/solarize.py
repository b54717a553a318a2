"""Solarization: bright values are inverted (App. B.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.simclr.base import Probability, Settings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ablate.simclr.augment import Draws, Shapes

_ROUNDING = 1e-6  # far below a level of 8 bits, and above what float32 loses in level / 255


class Solarize(Settings):
    """Values at or above a threshold are inverted (App. B.2)."""

    probability: Probability = 0.2
    threshold_min: Probability = 0.0
    """The threshold of each image is uniform between this and 1."""


def draw(settings: Solarize, shapes: Shapes, random: np.random.Generator, views: int) -> Draws:
    """Draw each image's threshold, and whether it is solarized."""
    threshold = random.uniform(settings.threshold_min, 1, len(shapes)).astype("float32")
    return {"applied": random.random(len(shapes)) < settings.probability, "threshold": threshold}


def apply(images: Tensor, draws: Draws, settings: Solarize) -> Tensor:
    """Invert the values of each image at or above its threshold."""
    from ablate.simclr.base.device import beside

    return solarize(images, beside(images, draws["threshold"]))


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert the values at or above each image's threshold (Pillow's ImageOps.solarize); a new tensor.

    threshold (B,) is in [0, 1], a level of 8 bits divided by 255; 0 inverts everything, above 1 nothing. A value
    that only rounding puts below its threshold counts as reaching it.
    """
    return (1 - images).where(images >= threshold[:, None, None, None] - _ROUNDING, images)
