"""Color distortion (App. A): brightness, contrast, saturation and hue in a random order per image, and grayscale.

Images are float32 (B, 3, H, W) in [0, 1]; adjustments change them in place and clip them. Factors are (B,).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ablate.simclr.base import Probability, Settings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ablate.simclr.augment import Draws, Shapes

_LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601-2, the weights of Pillow and torchvision


class Color(Settings):
    """Color distortion: jitter, then dropping the color (App. A)."""

    strength: Annotated[float, Field(ge=0, le=2)] = 1.0
    """s of the paper: brightness, contrast and saturation vary by 0.8 s, hue by 0.2 s."""
    brightness: Literal["additive", "multiplicative"] = "additive"
    """The authors' first release adds to the brightness; later ones, and torchvision, multiply it."""
    operations: Literal["tensorflow", "torchvision"] = "tensorflow"
    """Contrast about each channel's mean and saturation in HSV; or both as blends with a gray image."""
    jitter_probability: Probability = 0.8
    gray_probability: Probability = 0.2
    fused: bool = Field(False, json_schema_extra={"identity": False})
    """On a GPU, compute in one kernel, equal to 1e-5. Needs a C compiler; without a GPU or Triton it has no effect."""


def draw(settings: Color, shapes: Shapes, random: np.random.Generator, views: int) -> Draws:
    """Draw each image's four amounts, their order (-1: no jitter), and whether its color is dropped."""
    import numpy as np

    count, reach = len(shapes), 0.8 * settings.strength
    unchanged = 0.0 if settings.brightness == "additive" else 1.0
    low = np.array([max(unchanged - reach, -reach if unchanged == 0 else 0), *[max(1 - reach, 0)] * 2, 0])
    high = np.array([unchanged + reach, 1 + reach, 1 + reach, 0])
    amounts = random.uniform(low, high, (count, 4))
    hue = min(0.2 * settings.strength, 0.5)
    amounts[:, 3] = random.uniform(-hue, hue, count)
    order = random.permuted(np.tile(np.arange(4), (count, 1)), axis=1)
    order[random.random(count) >= settings.jitter_probability] = -1
    gray = random.random(count) < settings.gray_probability
    return {"amounts": amounts.astype(np.float32), "order": order, "gray": gray}


def apply(images: Tensor, draws: Draws, settings: Color) -> Tensor:
    """Jitter each image, then drop the color of some."""
    from ablate.simclr.base.device import to_device

    if settings.fused and images.is_cuda and images.element_size() == 4 and find_spec("triton"):
        from ablate.simclr.base.color_kernel import distort

        return distort(images, draws, settings.brightness == "additive", settings.operations == "tensorflow")
    images = jitter(images, draws["amounts"], draws["order"], settings)
    rows = to_device(draws["gray"].nonzero()[0], images.device)
    return images.index_copy_(0, rows, grayscale(images.index_select(0, rows)).expand(-1, 3, -1, -1))


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
    """Moves channels away from the greatest by `factor`, none below 0 (tf.image.adjust_saturation, in HSV)."""
    red, green, blue = images.split(1, dim=1)  # each (B, 1, H, W)
    value = red.maximum(green).maximum(blue)
    chroma = red.minimum(green).minimum(blue).neg_().add_(value)
    limited = _per_image(factor).minimum(value / chroma.clamp_(min=1e-12))
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
    import torch

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
    channels = (3 - 2 * torch.arange(3, device=images.device)).view(3, 1, 1)
    turned = hue + (6 * _per_image(shift) + channels)  # (B, 3, H, W)
    turned.sub_((turned * (1 / 6)).round_(), alpha=6)
    torch.addcmul(least, chroma, turned.abs_().sub_(1).clamp_(0, 1), out=images)


def jitter(images: Tensor, amounts: np.ndarray, order: np.ndarray, settings: Color) -> Tensor:
    """Applies the four adjustments to each image in the image's own order; returns a new tensor.

    amounts (B, 4): brightness, contrast, saturation, hue. order (B, 4): which of the four comes first, second, ...; a
    row of -1 leaves its image unchanged. Each turn sorts the batch by adjustment: each works on one slice of memory.
    """
    if images.is_cuda and settings.operations == "tensorflow":
        return jitter_in_five(images, amounts, order, settings)
    import numpy as np

    from ablate.simclr.base.device import to_device

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


def jitter_in_five(images: Tensor, amounts: np.ndarray, order: np.ndarray, settings: Color) -> Tensor:
    """`jitter` with TensorFlow's operations, equal up to rounding, in 70 kernels instead of 190: for a GPU.

    Saturation and hue change different coordinates of HSV, so their order is of no consequence between each other.
    Five turns then suffice for any order: HSV, brightness or contrast, HSV, the other one of them, HSV.
    """
    import numpy as np
    import torch

    from ablate.simclr.base.device import beside, to_device

    at = np.where(order >= 0, order.argsort(axis=1), -1)  # (B, 4): when each adjustment has its turn; -1: never
    jittered = order[:, 0] >= 0
    turns = np.sort(at[:, :2], axis=1)
    hsv = (at[:, 2:, None] > turns[:, None]).sum(axis=2)  # (B, 2): before, between or after those two
    unchanged = 0.0 if settings.brightness == "additive" else 1.0
    first, linear = at[:, :2] == turns[:, :1], []  # (B, 2): which of brightness and contrast comes first
    for chosen in (first, ~first):
        linear += [np.where(chosen[:, 0] & jittered, amounts[:, 0], unchanged)]
        linear += [np.where(chosen[:, 1] & jittered, 1 - amounts[:, 1], 0)]
    rows = [np.flatnonzero((hsv == turn).any(axis=1) & jittered) for turn in range(3)]
    here = [hsv[chosen] == turn for turn, chosen in enumerate(rows)]
    counts, members, now = [len(chosen) for chosen in rows], np.concatenate(rows), np.concatenate(here)
    scales = np.where(now[:, 0], amounts[members, 2], 1)
    sextants = 6 * np.where(now[:, 1], amounts[members, 3], 0) + np.array([[5], [3], [1]])  # (3, n)
    numbers = beside(images, np.concatenate([linear, [scales, *sextants]], axis=1))  # (4, B + n), in one copy
    brightness_and_contrast, *factors = numbers.split([len(images), *counts], dim=1)
    places = to_device(members, images.device).split(counts)
    images = images.clone()
    for turn in range(3):
        if counts[turn]:
            changed = adjust_hsv(images.index_select(0, places[turn]), factors[turn][0], factors[turn][1:].T)
            images.index_copy_(0, places[turn], changed)
        if turn < 2:
            brightness, contrast = brightness_and_contrast[2 * turn : 2 * turn + 2, :, None, None, None]
            images = images.add_(brightness) if unchanged == 0 else images.mul_(brightness)
            images = torch.lerp(images, images.mean(dim=(2, 3), keepdim=True), contrast).clamp_(0, 1)
    return images.clamp_(0, 1)


def adjust_hsv(images: Tensor, factor: Tensor, sextants: Tensor) -> Tensor:
    """Multiply the saturation of HSV by `factor` (B,), at most to 1, and turn the hue; value unchanged.

    sextants (B, 3): what the hue is turned by, plus 5 for red, 3 for green and 1 for blue. With the hue H in sextants,
    value V and chroma C, a channel becomes V - C clamp(min(k, 4 - k), 0, 1), where k is H + its sextants modulo 6.
    """
    import torch

    value, largest = images.max(dim=1, keepdim=True)  # (B, 1, H, W)
    chroma = value - images.amin(dim=1, keepdim=True)
    around = torch.cat([images, images[:, :2]], dim=1)
    others = around[:, 1:4] - around[:, 2:5]  # of each channel, the next one minus the one after it
    hue = others.gather(1, largest).div_(chroma.clamp(min=1e-12)).add_(largest, alpha=2)
    turned = (hue + sextants[..., None, None]).remainder_(6)  # (B, 3, H, W)
    share = torch.minimum(turned, 4 - turned).clamp_(0, 1)
    chroma.mul_(torch.fmin(_per_image(factor), value / chroma))  # NaN for gray pixels
    return torch.addcmul(value, chroma, share, value=-1)


@dataclass(frozen=True)
class _Turn:
    images: np.ndarray
    """The image of the batch in each row, sorted by adjustment."""
    sorting: np.ndarray
    """For each row, its row in the turn before."""
    ends: list[int]
    """The ends of the rows without adjustment, then of brightness, contrast, saturation and hue."""


def _sorted_turns(order: np.ndarray) -> list[_Turn]:
    import numpy as np

    images, turns = np.arange(len(order)), []
    for number in range(4):
        sorting = order[images, number].argsort(kind="stable")
        images = images[sorting]
        ends = np.bincount(order[images, number] + 1, minlength=5).cumsum()
        turns.append(_Turn(images, sorting, ends.tolist()))
    return turns


def _rows(images: Tensor, rows: Tensor) -> Tensor:
    """images[rows], by one copy per row, which torch does only for matrices."""
    return images.flatten(1).index_select(0, rows).view(images.shape)


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]
