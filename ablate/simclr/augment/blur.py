"""Gaussian blur with a kernel of a tenth of the image's side (App. A)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from ablate.simclr.base import Positive, Probability, Settings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ablate.simclr.augment import Draws, Shapes


class Blur(Settings):
    """Gaussian blur with a kernel of a tenth of the image's side (App. A)."""

    probability: Probability = 0.5
    sigma_min: Positive = 0.1
    sigma_max: Positive = 2.0
    sigma_of: Literal["batch", "image"] = "batch"
    """One sigma per view for the whole batch (in the authors' code: for each device's part), or one per image."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.sigma_min > self.sigma_max:
            raise ValueError(f"sigma_min = {self.sigma_min:g} is more than sigma_max = {self.sigma_max:g}")
        return self


def draw(settings: Blur, shapes: Shapes, random: np.random.Generator, views: int) -> Draws:
    """Draw each image's sigma in pixels, and whether it is blurred."""
    count = len(shapes)
    sigma = random.uniform(settings.sigma_min, settings.sigma_max, count).astype("float32")
    applied = random.random(count) < settings.probability
    if settings.sigma_of == "batch":
        sigma = sigma.reshape(views, -1)[:, :1].repeat(count // views, 1).reshape(-1)
    return {"applied": applied, "sigma": sigma}


def apply(images: Tensor, draws: Draws, settings: Blur) -> Tensor:
    """Blur each image with its sigma."""
    from ablate.simclr.base.device import beside

    return gaussian_blur(images, beside(images, draws["sigma"]))


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur images (B, C, H, W) with sigma (B,) in pixels, zeros beyond the edge; radius = a twentieth of the side.

    The authors' kernel: taps at -radius .. radius with radius = (H // 10) // 2.
    """
    from ablate.simclr.base.resample import apply_separable, blur_matrix

    radius = max(1, images.shape[-2] // 10 // 2)
    rows, columns = (blur_matrix(sigma, radius, size) for size in images.shape[-2:])
    return apply_separable(images, rows, columns)
