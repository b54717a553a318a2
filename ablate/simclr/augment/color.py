"""Color distortion: brightness, contrast, saturation and hue in a random order per image, and grayscale.

Images are float32 (B, 3, H, W) in [0, 1], and changed in place; every adjustment clips back to that range.
Factors are (B,). Passes over memory are what costs, so operations are fused where torch has the kernel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ablate.simclr.config.augment import Color
from ablate.simclr.device import to_device

_LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601-2, the weights of Pillow and torchvision


def grayscale(images: Tensor) -> Tensor:
    """The luminance, (B, 1, H, W)."""
    red, green, blue = images.split(1, dim=1)
    gray: Tensor = (_LUMA[0] * red).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
    return gray


def add_brightness(images: Tensor, delta: Tensor) -> None:
    """Adds `delta` (tf.image.adjust_brightness, as in the authors' first release)."""
    images.add_(_per_image(delta)).clamp_(0, 1)


def multiply_brightness(images: Tensor, factor: Tensor) -> None:
    """Blends with black; factor 1 changes nothing (torchvision's adjust_brightness)."""
    images.mul_(_per_image(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> None:
    """Blends with the mean luminance; factor 1 changes nothing (torchvision's adjust_contrast)."""
    means = images.mean(dim=(2, 3))  # (B, 3); the mean luminance is the luminance of the means
    mean = _LUMA[0] * means[:, 0] + _LUMA[1] * means[:, 1] + _LUMA[2] * means[:, 2]
    images.mul_(_per_image(factor)).add_(_per_image((1 - factor) * mean)).clamp_(0, 1)


def adjust_contrast_of_channels(images: Tensor, factor: Tensor) -> None:
    """Blends each channel with its mean; factor 1 changes nothing (tf.image.adjust_contrast)."""
    means = images.mean(dim=(2, 3), keepdim=True)  # (B, 3, 1, 1)
    images.mul_(_per_image(factor)).add_(means.mul_(1 - _per_image(factor))).clamp_(0, 1)


def scale_saturation(images: Tensor, factor: Tensor) -> None:
    """Multiplies the saturation of HSV, at most 1, hue and value unchanged (tf.image.adjust_saturation).

    With the value v, the greatest channel, a channel c becomes v - f (v - c); f is so limited that the least
    channel does not fall below 0.
    """
    red, green, blue = images.split(1, dim=1)  # each (B, 1, H, W)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = torch.minimum(torch.minimum(red, green), blue).neg_().add_(value)
    limited = torch.minimum(_per_image(factor), value / chroma.clamp_(min=1e-12))
    images.sub_(value).mul_(limited).add_(value).clamp_(0, 1)


def adjust_saturation(images: Tensor, factor: Tensor) -> None:
    """Blends with the grayscale image; factor 1 changes nothing (torchvision's adjust_saturation)."""
    weight = _per_image(factor)
    gray = grayscale(images).mul_(1 - weight)
    images.mul_(weight).add_(gray).clamp_(0, 1)


def adjust_hue(images: Tensor, shift: Tensor) -> None:
    """Turns the hue by `shift` turns in HSV, value and chroma unchanged (torchvision's adjust_hue).

    With the hue H in sextants and m the least channel, channel n (red 3, green 1, blue -1) becomes
    m + chroma clamp(|H + n| - 1, 0, 1), where H + n is taken in [-3, 3).
    """
    red, green, blue = images.split(1, dim=1)  # each (B, 1, H, W)
    larger, smaller = torch.maximum(green, blue), torch.minimum(green, blue)
    least = torch.minimum(smaller, red)
    chroma = torch.maximum(larger, red).sub_(least)
    # The hue as a distance from the nearest even sextant: blue above green mirrors it, red below moves it on.
    start = (green < blue).to(images.dtype).neg_().mul_(6)
    moved = (red < larger).to(images.dtype)
    start.add_(moved * (-2 - 2 * start))
    between = torch.minimum(red, larger).sub_(smaller)
    hue = start.add_(between.div_(chroma.clamp(min=1e-12))).abs_()
    turned = hue + (
        6 * _per_image(shift) + (3 - 2 * torch.arange(3, device=images.device)).view(3, 1, 1)
    )  # (B, 3, H, W)
    turned.sub_((turned * (1 / 6)).round_(), alpha=6)
    torch.addcmul(least, chroma, turned.abs_().sub_(1).clamp_(0, 1), out=images)


def jitter(images: Tensor, amounts: np.ndarray, order: np.ndarray, settings: Color) -> Tensor:
    """Applies the four adjustments to each image in the image's own order; returns a new tensor.

    amounts (B, 4): brightness, contrast, saturation, hue. order (B, 4): which of the four comes first,
    second, ...; a row of -1 leaves its image alone. Before each of the four turns the batch is sorted by
    whose turn it is, so that every adjustment works on one slice of memory.
    """
    tensorflow = settings.operations == "tensorflow"
    adjust: tuple[Callable[[Tensor, Tensor], None], ...] = (
        add_brightness if settings.brightness == "additive" else multiply_brightness,
        adjust_contrast_of_channels if tensorflow else adjust_contrast,
        scale_saturation if tensorflow else adjust_saturation,
        adjust_hue,
    )
    turns = _sorted_turns(order)
    sortings = to_device(np.stack([turn.sorting for turn in turns]), images.device)
    wanted = np.stack([amounts[turn.images, order[turn.images, number]] for number, turn in enumerate(turns)])
    factors = to_device(wanted, images.device).to(images.dtype)
    for number, turn in enumerate(turns):
        images = _rows(images, sortings[number])
        for which, (start, end) in enumerate(pairwise(turn.ends)):
            if start < end:
                adjust[which](images[start:end], factors[number, start:end])
    return _rows(images, to_device(turns[-1].images.argsort(), images.device))


@dataclass(frozen=True)
class _Turn:
    images: np.ndarray
    """Which image of the batch stands in each row, sorted by the adjustment whose turn it is."""
    sorting: np.ndarray
    """The rows of the turn before that come to stand in each row."""
    ends: list[int]
    """Where the rows without adjustment end, then those of brightness, contrast, saturation and hue."""


def _sorted_turns(order: np.ndarray) -> list[_Turn]:
    images, turns = np.arange(len(order)), []
    for number in range(4):
        sorting = order[images, number].argsort(kind="stable")
        images = images[sorting]
        ends = np.bincount(order[images, number] + 1, minlength=5).cumsum()
        turns.append(_Turn(images, sorting, ends.tolist()))
    return turns


def _rows(images: Tensor, rows: Tensor) -> Tensor:
    """images[rows] by one copy a row, which torch does only for matrices."""
    return images.flatten(1).index_select(0, rows).view(images.shape)


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]
