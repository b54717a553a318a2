"""AutoAugment with the policy learned on ImageNet (Cubuk et al. 2019), as torchvision has it (Table 1, App. B.2).

The policy is 25 sub-policies of two operations. An operation has a probability and one of ten magnitudes, some
with a random sign. Few operations are distinct, so each runs once per batch, on all images that drew it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ablate.simclr.base import Probability, Settings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ablate.simclr.augment import Draws, Shapes


_GRAY = 128


class AutoAugment(Settings):
    """The ImageNet policy of Cubuk et al. 2019 (Table 1, App. B.2)."""

    probability: Probability = 1.0


def draw(settings: AutoAugment, shapes: Shapes, random: np.random.Generator, views: int) -> Draws:
    """Draw each image's sub-policy and what of it runs, and whether the image is changed at all."""
    drawn = draw_auto_augment(len(shapes), random)
    return {"applied": random.random(len(shapes)) < settings.probability, **drawn}


def apply(images: Tensor, draws: Draws, settings: AutoAugment) -> Tensor:
    """Apply each image's sub-policy."""
    return auto_augment(images, draws["policy"], draws["operations"], draws["negative"])


def draw_auto_augment(count: int, random: np.random.Generator) -> Draws:
    """Draw everything random for `count` images.

    policy (count,) int: the sub-policy, uniform. operations (count, 2) bool: which of its two operations run.
    negative (count, 2) bool: whether an operation that has a sign takes the negative one.
    """
    policy = random.integers(len(_policy().probability), size=count)
    return {
        "policy": policy,
        "operations": random.random((count, 2)) < _policy().probability[policy],
        "negative": random.random((count, 2)) < 0.5,
    }


def auto_augment(images: Tensor, policy: np.ndarray, operations: np.ndarray, negative: np.ndarray) -> Tensor:
    """Apply each image's sub-policy to images (B, 3, H, W), float in [0, 1]; returns a new tensor.

    The operations are defined on 8 bits: all images are rounded to those first, and results are levels / 255.
    Rotation and shear read the nearest pixel, and mid-gray beyond the edge, as in Google's code.
    """
    import numpy as np

    from ablate.simclr.augment.equalize import from_levels, to_levels
    from ablate.simclr.base.device import to_device

    levels = to_levels(images)
    for position in (0, 1):
        drawn = _policy().index[policy, position, negative[:, position].astype(np.int64)]
        chosen = np.where(operations[:, position], drawn, -1)
        for index in np.unique(chosen[chosen >= 0]):
            rows = to_device(np.flatnonzero(chosen == index), images.device)
            operation, amount = _policy().distinct[index]
            levels.index_copy_(0, rows, operation.apply(levels.index_select(0, rows), amount))
    return from_levels(levels, images.dtype)


@dataclass(frozen=True)
class _Operation:
    apply: Callable[[Tensor, float], Tensor]
    """uint8 images (B, 3, H, W) and an amount -> new ones."""
    first: float = 0.0
    last: float = 0.0
    """The ten magnitudes are equal steps from the first amount to the last."""
    signed: bool = False

    def amount(self, magnitude: int | None, negative: bool) -> float:
        """The amount of one of the ten magnitudes."""
        import torch

        amounts = torch.linspace(self.first, self.last, 10)  # float32, as in torchvision
        return float(amounts[magnitude or 0]) * (-1 if self.signed and negative else 1)


@dataclass(frozen=True)
class _Policy:
    probability: np.ndarray
    """(25, 2): of each operation of each sub-policy."""
    distinct: list[tuple[_Operation, float]]
    """The distinct operations, with their amounts."""
    index: np.ndarray
    """(25, 2, 2): the index in `distinct`, by sub-policy, position and sign."""


@cache
def _policy() -> _Policy:
    import numpy as np

    from ablate.simclr.base.vision import torchvision

    pairs = torchvision.transforms.AutoAugment(torchvision.transforms.AutoAugmentPolicy.IMAGENET).policies
    operations = _operations(torchvision.transforms.functional)
    numbers: dict[tuple[str, float], int] = {}
    index = np.empty((len(pairs), 2, 2), dtype=np.int64)
    for (policy, position, negative), _ in np.ndenumerate(index):
        name, _, magnitude = pairs[policy][position]
        amount = operations[name].amount(magnitude, bool(negative))
        index[policy, position, negative] = numbers.setdefault((name, amount), len(numbers))
    probability = np.array([[probability for _, probability, _ in pair] for pair in pairs])
    return _Policy(probability, [(operations[name], amount) for name, amount in numbers], index)


def _operations(functional: Any) -> dict[str, _Operation]:
    from ablate.simclr.augment.equalize import equalize_levels

    def on_gray(moved: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor, float], Tensor]:
        """Move images whose zero is mid-gray: torchvision's own fill, of the same pixels, would wait for a GPU."""
        return lambda levels, amount: moved(levels.float() - _GRAY, amount).add_(_GRAY).to(levels.dtype)

    def shear_across(levels: Tensor, slope: float) -> Tensor:
        """Move each row by `slope` times its distance from the top."""
        degrees = math.degrees(math.atan(slope))
        sheared: Tensor = functional.affine(levels, 0.0, [0, 0], 1.0, [degrees, 0.0], center=[0, 0])
        return sheared

    return {
        "ShearX": _Operation(on_gray(shear_across), last=0.3, signed=True),
        "Rotate": _Operation(on_gray(functional.rotate), last=30.0, signed=True),  # degrees
        "Color": _Operation(lambda levels, more: functional.adjust_saturation(levels, 1 + more), last=0.9, signed=True),
        "Contrast": _Operation(
            lambda levels, more: functional.adjust_contrast(levels, 1 + more), last=0.9, signed=True
        ),
        "Sharpness": _Operation(
            lambda levels, more: functional.adjust_sharpness(levels, 1 + more), last=0.9, signed=True
        ),
        "Posterize": _Operation(lambda levels, bits: functional.posterize(levels, round(bits)), first=8, last=4),
        "Solarize": _Operation(functional.solarize, first=255),
        "AutoContrast": _Operation(lambda levels, _: _autocontrast(levels)),
        "Equalize": _Operation(lambda levels, _: equalize_levels(levels)),  # torchvision's loops over the images
        "Invert": _Operation(lambda levels, _: functional.invert(levels)),
    }


def _autocontrast(levels: Tensor) -> Tensor:
    """Stretch each channel to all levels, as torchvision does, whose flat channels would wait for a GPU."""
    low, high = (bound(dim=(-2, -1), keepdim=True).float() for bound in (levels.amin, levels.amax))
    flat = low == high
    scale = (255 / (high - low)).masked_fill_(flat, 1)
    return ((levels - low.masked_fill_(flat, 0)) * scale).clamp_(0, 255).to(levels.dtype)
