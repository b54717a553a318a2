"""Cutout: one square of each image is covered (DeVries and Taylor 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ablate.simclr.base import Probability, Settings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ablate.simclr.augment import Draws, Shapes


class Cutout(Settings):
    """One square is covered (DeVries and Taylor 2017)."""

    probability: Probability = 1.0
    side: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Side of the square as a share of the image's side."""
    fill: Probability = 0.5
    """Value of the covered pixels: mid-gray, for the mean that DeVries and Taylor use."""


def draw(settings: Cutout, shapes: Shapes, random: np.random.Generator, views: int) -> Draws:
    """Draw the centre of each image's square, and whether it is covered."""
    applied = random.random(len(shapes)) < settings.probability
    return {"applied": applied, "centre": random.random((len(shapes), 2)).astype("float32")}


def apply(images: Tensor, draws: Draws, settings: Cutout) -> Tensor:
    """Cover each image's square."""
    from ablate.simclr.base.device import beside

    return cutout(images, beside(images, draws["centre"]), settings.side, settings.fill)


def cutout(images: Tensor, centre: Tensor, side: float, fill: float) -> Tensor:
    """Cover a square around centre (B, 2) (row, column; as shares of the sides) with `fill`.

    `side` is a share of the image's side; a square may reach over the edge, as in DeVries and Taylor.
    """
    import torch

    covered = []
    for axis, size in enumerate(images.shape[-2:]):
        first = (centre[:, axis] * size).floor() - (round(side * size) // 2)
        position = torch.arange(size, device=images.device)
        covered.append((position >= first[:, None]) & (position < first[:, None] + round(side * size)))
    square = covered[0][:, None, :, None] & covered[1][:, None, None, :]
    return images.masked_fill(square, fill)
