"""Blur, Sobel, noise, cutout and rotation on float32 images (B, C, H, W) in [0, 1]."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.simclr.augment.separable import apply_separable, blur_matrix
from ablate.simclr.device import to_device
from ablate.simclr.randomness import standard_normal


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with sigma (B,) pixels, zeros beyond the edge; radius = a twentieth of the side.

    The authors' kernel: taps at -radius .. radius with radius = (H // 10) // 2.
    """
    radius = max(1, images.shape[-2] // 10 // 2)
    rows, columns = (blur_matrix(sigma, radius, size) for size in images.shape[-2:])
    return apply_separable(images, rows, columns)


def sobel(images: Tensor) -> Tensor:
    """Gradient magnitude per channel; each image, its channels together, is stretched to [0, 1]."""
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    smooth_down = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]  # (B, C, H, W + 2)
    smooth_across = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]  # (B, C, H + 2, W)
    horizontal = smooth_down[..., 2:] - smooth_down[..., :-2]
    vertical = smooth_across[..., 2:, :] - smooth_across[..., :-2, :]
    magnitude = torch.hypot(horizontal, vertical)
    low, high = magnitude.amin((1, 2, 3), keepdim=True), magnitude.amax((1, 2, 3), keepdim=True)
    return (magnitude - low) / (high - low).clamp(min=1e-6)


def gaussian_noise(images: Tensor, sigma: Tensor, seeds: Tensor) -> Tensor:
    """Adds normal noise of standard deviation sigma (B,), drawn from seeds (B,) int32, and clips."""
    noise = standard_normal(seeds, tuple(images.shape[1:]), images.dtype)
    return (images + sigma[:, None, None, None] * noise).clamp_(0, 1)


def cutout(images: Tensor, centre: Tensor, side: float, fill: float) -> Tensor:
    """Covers a square around centre (B, 2) (row, column; as shares of the sides) with `fill`.

    `side` is a share of the image's side; a square may reach over the edge, as in DeVries and Taylor.
    """
    covered = []
    for axis, size in enumerate(images.shape[-2:]):
        first = (centre[:, axis] * size).floor() - (round(side * size) // 2)
        position = torch.arange(size, device=images.device)
        covered.append((position >= first[:, None]) & (position < first[:, None] + round(side * size)))
    square = covered[0][:, None, :, None] & covered[1][:, None, None, :]
    return images.masked_fill(square, fill)


def rotate(images: Tensor, quarter_turns: np.ndarray) -> Tensor:
    """Turns each square image counter-clockwise by quarter_turns (B,), 0 to 3."""
    turned = images.clone()
    for turns in (1, 2, 3):
        chosen = to_device(np.flatnonzero(quarter_turns == turns), images.device)
        turned[chosen] = images[chosen].rot90(turns, (2, 3))
    return turned
