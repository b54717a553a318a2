"""Rotation by quarter turns (Fig. 4, Table 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.simclr.base import Probability, Settings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ablate.simclr.augment import Draws, Shapes


class Rotate(Settings):
    """Rotation by 0, 90, 180 or 270 degrees, each as likely (Fig. 4, Table 3)."""

    probability: Probability = 1.0


def draw(settings: Rotate, shapes: Shapes, random: np.random.Generator, views: int) -> Draws:
    """Draw each image's number of quarter turns, and whether it is turned at all."""
    applied = random.random(len(shapes)) < settings.probability
    return {"applied": applied, "quarter_turns": random.integers(0, 4, len(shapes))}


def apply(images: Tensor, draws: Draws, settings: Rotate) -> Tensor:
    """Turn each image."""
    return rotate(images, draws["quarter_turns"])


def rotate(images: Tensor, quarter_turns: np.ndarray) -> Tensor:
    """Turn each square image counter-clockwise by quarter_turns (B,), 0 to 3."""
    from ablate.simclr.base.device import to_device

    turned = images.clone()
    for turns in (1, 2, 3):
        chosen = to_device((quarter_turns == turns).nonzero()[0], images.device)
        turned[chosen] = images[chosen].rot90(turns, (2, 3))
    return turned
