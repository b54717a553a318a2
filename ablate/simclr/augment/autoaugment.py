"""AutoAugment with the policy learned on ImageNet (Cubuk et al. 2019), as torchvision has it.

The policy is 25 sub-policies of two operations. An operation has a probability and one of ten magnitudes, some
with a random sign; there are few distinct ones, so each runs once, on all images of a batch that it is drawn for.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ablate.simclr.augment.tone import equalize_levels, from_levels, to_levels
from ablate.simclr.device import to_device
from ablate.simclr.vision import torchvision

_F = torchvision.transforms.functional
_POLICY = torchvision.transforms.AutoAugment(torchvision.transforms.AutoAugmentPolicy.IMAGENET).policies
_PROBABILITY = np.array([[probability for _, probability, _ in pair] for pair in _POLICY])  # (25, 2)


def draw_auto_augment(count: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """What is random for `count` images.

    policy (count,) int: the sub-policy, uniform. applied (count, 2) bool: which of its two operations run.
    negative (count, 2) bool: whether an operation that has a sign takes the negative one.
    """
    policy = random.integers(len(_POLICY), size=count)
    return {
        "policy": policy,
        "applied": random.random((count, 2)) < _PROBABILITY[policy],
        "negative": random.random((count, 2)) < 0.5,
    }


def auto_augment(images: Tensor, policy: np.ndarray, applied: np.ndarray, negative: np.ndarray) -> Tensor:
    """Applies each image's sub-policy to images (B, 3, H, W), float in [0, 1]; returns a new tensor.

    The operations are defined on 8 bits: all images are rounded to those first, and results are levels / 255.
    Rotation and shear read the nearest pixel, and zeros beyond the edge.
    """
    levels = to_levels(images)
    for place in (0, 1):
        chosen = np.where(applied[:, place], _WHICH[policy, place, negative[:, place].astype(np.int64)], -1)
        for which in np.unique(chosen[chosen >= 0]):
            name, amount = _DISTINCT[which]
            rows = to_device(np.flatnonzero(chosen == which), images.device)
            levels.index_copy_(0, rows, _OPERATIONS[name].apply(levels.index_select(0, rows), amount))
    return from_levels(levels, images.dtype)


@dataclass(frozen=True)
class _Operation:
    apply: Callable[[Tensor, float], Tensor]
    """uint8 images (B, 3, H, W) and an amount -> new ones."""
    first: float = 0.0
    last: float = 0.0
    """The amounts that the ten magnitudes go through in equal steps."""
    signed: bool = False


def _shear_across(levels: Tensor, slope: float) -> Tensor:
    """Moves each row by `slope` times its distance from the top."""
    degrees = math.degrees(math.atan(slope))
    sheared: Tensor = _F.affine(levels, 0.0, [0, 0], 1.0, [degrees, 0.0], center=[0, 0])
    return sheared


_OPERATIONS = {
    "ShearX": _Operation(_shear_across, last=0.3, signed=True),
    "Rotate": _Operation(_F.rotate, last=30.0, signed=True),  # degrees
    "Color": _Operation(lambda levels, more: _F.adjust_saturation(levels, 1 + more), last=0.9, signed=True),
    "Contrast": _Operation(lambda levels, more: _F.adjust_contrast(levels, 1 + more), last=0.9, signed=True),
    "Sharpness": _Operation(lambda levels, more: _F.adjust_sharpness(levels, 1 + more), last=0.9, signed=True),
    "Posterize": _Operation(lambda levels, bits: _F.posterize(levels, round(bits)), first=8, last=4),
    "Solarize": _Operation(_F.solarize, first=255),
    "AutoContrast": _Operation(lambda levels, _: _F.autocontrast(levels)),
    "Equalize": _Operation(lambda levels, _: equalize_levels(levels)),  # torchvision's loops over the images
    "Invert": _Operation(lambda levels, _: _F.invert(levels)),
}


def _amount(name: str, magnitude: int | None, negative: bool) -> float:
    operation = _OPERATIONS[name]
    amounts = torch.linspace(operation.first, operation.last, 10)  # float32, as in torchvision
    return float(amounts[magnitude or 0]) * (-1 if operation.signed and negative else 1)


def _distinct() -> tuple[list[tuple[str, float]], np.ndarray]:
    """The operations with their amounts that differ, and which one it is, (25, 2, 2), by sub-policy, place, sign."""
    numbers: dict[tuple[str, float], int] = {}
    which = np.empty((len(_POLICY), 2, 2), dtype=np.int64)
    for (policy, place, negative), _ in np.ndenumerate(which):
        name, _, magnitude = _POLICY[policy][place]
        which[policy, place, negative] = numbers.setdefault(
            (name, _amount(name, magnitude, bool(negative))), len(numbers)
        )
    return list(numbers), which


_DISTINCT, _WHICH = _distinct()
