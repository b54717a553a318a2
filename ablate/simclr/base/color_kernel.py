"""Color distortion in one kernel, written in Triton: `augment.color` in two reads of the images and one write.

Without a GPU, TRITON_INTERPRET=1 runs it on a CPU, slowly: so it is tested.
"""

from collections.abc import Mapping

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from ablate.simclr.base.device import to_device

_BLOCK = 1024
"""Pixels that a program holds at once."""
_DRAWS: tl.constexpr = tl.constexpr(9)
"""Numbers of an image: four amounts, the order of the four adjustments, and whether its color is dropped."""


def distort(images: Tensor, draws: Mapping[str, np.ndarray], additive: bool, tensorflow: bool) -> Tensor:
    """Jitter float32 images (B, 3, H, W) in [0, 1] and drop the color of some; returns a new tensor.

    draws: `amounts` (B, 4) of brightness, contrast, saturation and hue; `order` (B, 4), which of the four comes first,
    second, ..., where a row of -1 leaves its image unchanged; `gray` (B,), whether the color is dropped. additive:
    brightness is added, not multiplied. tensorflow: contrast and saturation as TensorFlow's, not as torchvision's.
    """
    images = images.contiguous()
    result = torch.empty_like(images)
    numbers = np.concatenate([draws["amounts"], draws["order"], draws["gray"][:, None]], axis=1).astype(np.float32)
    if len(images):
        pixels = images.shape[2] * images.shape[3]
        of_images = to_device(numbers, images.device)
        _distort[(len(images),)](images, result, of_images, pixels, additive, tensorflow, _BLOCK)
    return result


@triton.jit
def _distort(images, result, draws, pixels, additive: tl.constexpr, tensorflow: tl.constexpr, block: tl.constexpr):
    """One program for each image."""
    image = tl.program_id(0).to(tl.int64)
    images += image * 3 * pixels
    result += image * 3 * pixels
    draws += image * _DRAWS
    contrast, red_mean, green_mean, blue_mean = tl.load(draws + 1), 0.0, 0.0, 0.0
    if tl.load(draws + 4) >= 0:
        red_mean, green_mean, blue_mean = _means(images, draws, pixels, additive, tensorflow, block)
    for start in range(0, pixels, block):
        places = start + tl.arange(0, block)
        inside = places < pixels
        red, green, blue = _pixels(images, places, inside, pixels)
        for turn in range(4):
            which = tl.load(draws + 4 + turn)
            if which == 1:
                red = _clipped(contrast * red + (1 - contrast) * red_mean)
                green = _clipped(contrast * green + (1 - contrast) * green_mean)
                blue = _clipped(contrast * blue + (1 - contrast) * blue_mean)
            elif which >= 0:
                factor = tl.load(draws + which.to(tl.int32))
                red, green, blue = _adjusted(red, green, blue, which, factor, additive, tensorflow)
        if tl.load(draws + 8) > 0:
            red = _luminance(red, green, blue)
            green, blue = red, red
        tl.store(result + places, red, mask=inside)
        tl.store(result + pixels + places, green, mask=inside)
        tl.store(result + 2 * pixels + places, blue, mask=inside)


@triton.jit
def _means(images, draws, pixels, additive: tl.constexpr, tensorflow: tl.constexpr, block: tl.constexpr):
    """What contrast needs: the means of what the adjustments before it leave; for torchvision's, of the luminance."""
    red_sum, green_sum, blue_sum = 0.0, 0.0, 0.0
    for start in range(0, pixels, block):
        places = start + tl.arange(0, block)
        inside = places < pixels
        red, green, blue = _pixels(images, places, inside, pixels)
        before = 1
        for turn in range(4):
            which = tl.load(draws + 4 + turn)
            if which == 1:
                before = 0
            if before == 1:
                factor = tl.load(draws + which.to(tl.int32))
                red, green, blue = _adjusted(red, green, blue, which, factor, additive, tensorflow)
        red_sum += tl.sum(tl.where(inside, red, 0.0))
        green_sum += tl.sum(tl.where(inside, green, 0.0))
        blue_sum += tl.sum(tl.where(inside, blue, 0.0))
    if not tensorflow:
        red_sum = _luminance(red_sum, green_sum, blue_sum)
        green_sum, blue_sum = red_sum, red_sum
    return red_sum / pixels, green_sum / pixels, blue_sum / pixels


@triton.jit
def _pixels(images, places, inside, pixels):
    red = tl.load(images + places, mask=inside, other=0.0)
    green = tl.load(images + pixels + places, mask=inside, other=0.0)
    blue = tl.load(images + 2 * pixels + places, mask=inside, other=0.0)
    return red, green, blue


@triton.jit
def _adjusted(red, green, blue, which, amount, additive: tl.constexpr, tensorflow: tl.constexpr):
    """Brightness (0), saturation (2) or hue (3)."""
    if which == 0:
        if additive:
            red, green, blue = _clipped(red + amount), _clipped(green + amount), _clipped(blue + amount)
        else:
            red, green, blue = _clipped(red * amount), _clipped(green * amount), _clipped(blue * amount)
    else:
        value = tl.maximum(tl.maximum(red, green), blue)
        chroma = value - tl.minimum(tl.minimum(red, green), blue)
        if which == 3:
            red, green, blue = _turned(red, green, blue, value, chroma, amount)
        elif tensorflow:
            factor = tl.minimum(amount, value / tl.maximum(chroma, 1e-12))
            red = _clipped(value + factor * (red - value))
            green = _clipped(value + factor * (green - value))
            blue = _clipped(value + factor * (blue - value))
        else:
            gray = (1 - amount) * _luminance(red, green, blue)
            red = _clipped(amount * red + gray)
            green = _clipped(amount * green + gray)
            blue = _clipped(amount * blue + gray)
    return red, green, blue


@triton.jit
def _turned(red, green, blue, value, chroma, shift):
    """Turn the hue by `shift` turns: a channel becomes V - C clamp(min(k, 4 - k), 0, 1), k its place in sextants."""
    divisor = tl.maximum(chroma, 1e-12)
    of_green_or_blue = tl.where(green == value, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    hue = tl.where(red == value, (green - blue) / divisor, of_green_or_blue) + 6 * shift
    return _channel(value, chroma, hue + 5), _channel(value, chroma, hue + 3), _channel(value, chroma, hue + 1)


@triton.jit
def _channel(value, chroma, place):
    place -= 6 * tl.floor(place / 6)
    return value - chroma * _clipped(tl.minimum(place, 4 - place))


@triton.jit
def _luminance(red, green, blue):
    return 0.2989 * red + 0.587 * green + 0.114 * blue


@triton.jit
def _clipped(values):
    return tl.minimum(tl.maximum(values, 0.0), 1.0)
