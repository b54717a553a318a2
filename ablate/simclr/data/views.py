"""Two views of every image: the random draws of a step, and their application to a batch.

Draws use numpy on the CPU, for the whole global batch, from (seed, step); each rank takes its slice. They are applied
with torch on the images' device: each operation runs once for the whole batch, and once for both views if both have it.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ablate.simclr.augment import AUGMENTATIONS, Augment, Transform
from ablate.simclr.augment.crop import Crop, crop_to
from ablate.simclr.base.device import beside
from ablate.simclr.base.randomness import Purpose, generator
from ablate.simclr.base.resample import apply_separable, resize_matrix

Draws = dict[str, np.ndarray]
Shapes = NDArray[np.int64]
_SMALL = 64
_CACHED_BYTES, _GPU_BYTES = 2**24, 2**31


@dataclass(frozen=True)
class Operation:
    """One transformation of a step with its draws.

    They are for N images if `on` is the image (before there are views) or the first view, and for 2N (first views, then
    second ones) if it is both.
    """

    name: Transform
    on: Literal["image", "first", "both"]
    draws: Draws

    def slice(self, start: int, end: int) -> "Operation":
        """The operation for images start .. end only, both views."""
        if self.on != "both":
            return Operation(self.name, self.on, {name: values[start:end] for name, values in self.draws.items()})
        halves = {name: values.reshape(2, -1, *values.shape[1:]) for name, values in self.draws.items()}
        draws = {name: values[:, start:end].reshape(-1, *values.shape[2:]) for name, values in halves.items()}
        return Operation(self.name, self.on, draws)

    def of_first_views(self) -> "Operation":
        """The operation for first views only, for images with one view."""
        if self.on != "both":
            return self
        return Operation(self.name, "first", {name: draws[: len(draws) // 2] for name, draws in self.draws.items()})


def draw_views(
    augment: Augment, shapes: Shapes, size: int, seed: int, step: int, purpose: Purpose = "pretrain"
) -> tuple[Operation, ...]:
    """Draw all random parameters of the two views of one step.

    shapes (N, 2): height and width of the step's images; size: side of the views in pixels.
    """
    random = generator(seed, purpose, step, part=1)  # part 0 is the order of the images
    square = np.full_like(shapes, size)
    operations = []
    if augment.base_crop:
        unflipped = augment.crop.model_copy(update={"flip_probability": 0.0})
        operations.append(Operation("crop", "image", AUGMENTATIONS["crop"].draw(unflipped, shapes, random, 1)))
    views = 2 if augment.views == "both" else 1
    for number, name in enumerate(augment.transforms):
        # Later operations see images of the final size.
        seen = shapes if number == 0 and not augment.base_crop else square
        draws = AUGMENTATIONS[name].draw(getattr(augment, name), np.concatenate([seen] * views), random, views)
        operations.append(Operation(name, "both" if views == 2 else "first", draws))
    return tuple(operations)


def join_steps(steps: Sequence[tuple[Operation, ...]]) -> tuple[Operation, ...]:
    """The operations of several steps as those of one larger batch."""
    if len(steps) == 1:
        return steps[0]
    return tuple(
        Operation(
            same[0].name, same[0].on, {name: np.concatenate([o.draws[name] for o in same]) for name in same[0].draws}
        )
        for same in zip(*steps, strict=True)
    )


def apply_views(
    operations: tuple[Operation, ...], images: Tensor, shapes: Shapes, augment: Augment, size: int, steps: int = 1
) -> Tensor:
    """Both views of floating images (steps x N, 3, S, S) in [0, 1]: (steps, 2N, 3, size, size).

    The images may have been squashed to S x S from `shapes`. Within a step, first views precede second views.
    """
    at_once = images_at_once(images.device, size)
    if steps > 1 or len(images) <= at_once:
        return _both_views(operations, images, shapes, augment, size, steps)
    views = images.new_empty(2, len(images), images.shape[1], size, size)
    for start in range(0, len(images), at_once):
        part = slice(start, start + at_once)
        chosen = tuple(operation.slice(start, start + at_once) for operation in operations)
        views[:, part] = _both_views(chosen, images[part], shapes[part], augment, size, 1)[0].unflatten(0, (2, -1))
    return views.flatten(0, 1)[None]


def images_at_once(device: torch.device, size: int) -> int:
    """As many as a CPU's cache, or 2 GiB of a GPU, can hold from one operation to the next."""
    if device.type == "cpu" and size <= _SMALL:
        return sys.maxsize
    return max(1, (_CACHED_BYTES if device.type == "cpu" else _GPU_BYTES) // (2 * 3 * 4 * size**2))


def _both_views(
    operations: tuple[Operation, ...], images: Tensor, shapes: Shapes, augment: Augment, size: int, steps: int
) -> Tensor:
    on_image = [operation for operation in operations if operation.on == "image"]
    if on_image:
        images = _apply_all(on_image, images, shapes, augment, size)
        shapes = np.full_like(shapes, size)
    on_first = [operation for operation in operations if operation.on == "first"]
    if on_first:
        first, second = _apply_all(on_first, images, shapes, augment, size), fit(images, shapes, size, augment.crop)
        return torch.cat([view.unflatten(0, (steps, -1)) for view in (first, second)], dim=1)
    on_both = [operation for operation in operations if operation.on == "both"]
    if steps == 1 and on_both and on_both[0].name == "crop":  # two boxes per image, without copying it
        cropped = crop_to(images, on_both[0].draws, augment.crop, size)
        views = _apply_all(on_both[1:], cropped, np.full((len(cropped), 2), size), augment, size)
        return views[None]
    twice = torch.cat([images.unflatten(0, (steps, -1))] * 2, dim=1).flatten(0, 1)
    shapes = np.concatenate([shapes.reshape(steps, -1, 2)] * 2, axis=1).reshape(-1, 2)
    by_step: Tensor = _apply_all(on_both, twice, shapes, augment, size).unflatten(0, (steps, -1))
    return by_step


def apply_first_views(
    operations: tuple[Operation, ...], images: Tensor, shapes: Shapes, augment: Augment, size: int
) -> Tensor:
    """The first view only: (N, 3, S, S) -> (N, 3, size, size)."""
    firsts = [operation.of_first_views() for operation in operations]
    return _apply_all(firsts, images, shapes, augment, size)


def _apply_all(operations: Sequence[Operation], images: Tensor, shapes: Shapes, augment: Augment, size: int) -> Tensor:
    """Apply one operation after another; images are first resized to `size`, or by the crop if it comes first."""
    given = images
    for number, operation in enumerate(operations):
        if operation.name == "crop":
            images = crop_to(images, operation.draws, augment.crop, size)
        else:
            images = images if number else fit(images, shapes, size, augment.crop)
            images = _apply(operation, images, augment, in_place=images is not given)
    return images if operations else fit(images, shapes, size, augment.crop)


def fit(images: Tensor, shapes: Shapes, size: int, crop: Crop, share: float = 1.0) -> Tensor:
    """The centre square of images (N, 3, S, S) that were squashed from `shapes`: (N, 3, size, size).

    `share` of the shorter side is kept. It is resized as `crop` resizes, so that training and evaluation see the same.
    Square images of this size are returned unchanged.
    """
    stored = images.shape[-1]
    if stored == size and share == 1 and (shapes[:, 0] == shapes[:, 1]).all():
        return images
    side = share * shapes.min(axis=1, keepdims=True)
    boxes = np.concatenate([(shapes - side) / 2, side, side], axis=1) * (stored / np.tile(shapes, 2))  # (N, 4)
    top, left, height, width = beside(images, boxes).unbind(1)
    flip = torch.zeros_like(top, dtype=torch.bool)
    rows, columns = (
        resize_matrix(start, length, flip, stored, size, crop.interpolation, crop.antialias)
        for start, length in ((top, height), (left, width))
    )
    return apply_separable(images, rows, columns).clamp_(0, 1)


def _apply(operation: Operation, images: Tensor, augment: Augment, in_place: bool) -> Tensor:
    apply, settings = AUGMENTATIONS[operation.name].apply, getattr(augment, operation.name)
    draws = dict(operation.draws)
    applied = draws.pop("applied", None)
    if applied is None or applied.all():
        return apply(images, draws, settings)
    if not applied.any():
        return images
    chosen = np.flatnonzero(applied)
    draws = {name: values[chosen] for name, values in draws.items()}
    rows = beside(images, chosen)
    changed = apply(images.index_select(0, rows), draws, settings)
    return images.index_copy_(0, rows, changed) if in_place else images.index_copy(0, rows, changed)
