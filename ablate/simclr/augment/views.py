"""Two views of every image: what is drawn for a step, and how it is applied to a batch.

Drawing is numpy on the CPU, for the whole global batch, from (seed, step). Applying is torch on the
device of the images: each operation runs once, for both views of the whole batch where both have it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ablate.simclr.augment import color, filters
from ablate.simclr.augment.crop import draw_boxes, resized_crop
from ablate.simclr.config import Augment, Transform
from ablate.simclr.randomness import generator

Draws = dict[str, np.ndarray]
"""One operation's parameters: arrays whose first axis is the image."""


@dataclass(frozen=True)
class Operation:
    """One transformation of a step with what was drawn for it.

    Its draws are for N images where `on` is the image (before there are views) or the first view, for 2N,
    first views and then second ones, where it is both.
    """

    name: Transform
    on: Literal["image", "first", "both"]
    draws: Draws


def draw_views(augment: Augment, count: int, size: int, seed: int, step: int) -> tuple[Operation, ...]:
    """Draw everything that is random in the two views of one step's `count` images of side `size`."""
    random = generator(seed, "augment", step)
    operations = []
    if augment.base_crop:
        unflipped = augment.crop.model_copy(update={"flip_probability": 0.0})
        base = augment.model_copy(update={"crop": unflipped})
        operations.append(Operation("crop", "image", _DRAW["crop"](base, count, size, random)))
    for name in augment.transforms:
        if augment.views == "both":
            operations.append(Operation(name, "both", _DRAW[name](augment, 2 * count, size, random)))
        else:
            operations.append(Operation(name, "first", _DRAW[name](augment, count, size, random)))
    return tuple(operations)


def join_steps(steps: Sequence[tuple[Operation, ...]]) -> tuple[Operation, ...]:
    """The operations of several steps as those of one larger batch."""
    return tuple(
        Operation(
            same[0].name, same[0].on, {name: np.concatenate([o.draws[name] for o in same]) for name in same[0].draws}
        )
        for same in zip(*steps, strict=True)
    )


def apply_views(operations: tuple[Operation, ...], images: Tensor, augment: Augment, steps: int = 1) -> Tensor:
    """Both views of uint8 images (steps x N, 3, H, W): float32 in [0, 1], (steps, 2N, 3, H, W).

    Within a step the first views come first.
    """
    images = images.float().mul_(1 / 255)
    for operation in operations:
        if operation.on == "image":
            images = _apply(operation, images, augment)
    first = images
    for operation in operations:
        if operation.on == "first":
            first = _apply(operation, first, augment)
    pair = [views.unflatten(0, (steps, -1)) for views in (first, images)]
    views = torch.cat(pair, dim=1).flatten(0, 1)
    for operation in operations:
        if operation.on == "both":
            views = _apply(operation, views, augment)
    by_step: Tensor = views.unflatten(0, (steps, -1))
    return by_step


def _apply(operation: Operation, images: Tensor, augment: Augment) -> Tensor:
    apply, draws = _APPLY[operation.name], dict(operation.draws)
    applied = draws.pop("applied", None)
    if applied is None or applied.all():
        return apply(images, draws, augment)
    if not applied.any():
        return images
    chosen = np.flatnonzero(applied)
    draws = {name: values[chosen] for name, values in draws.items()}
    rows = torch.from_numpy(chosen).to(images.device)
    return images.index_copy(0, rows, apply(images.index_select(0, rows), draws, augment))


def _on_device(values: np.ndarray, images: Tensor) -> Tensor:
    return torch.from_numpy(values).to(images.device)


def _draw_crop(augment: Augment, count: int, size: int, random: np.random.Generator) -> Draws:
    boxes = draw_boxes(count, size, augment.crop, random)
    return {"boxes": boxes, "flip": random.random(count) < augment.crop.flip_probability}


def _apply_crop(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    boxes, flip = _on_device(draws["boxes"], images), _on_device(draws["flip"], images)
    return resized_crop(images, boxes, flip, images.shape[-1], augment.crop.interpolation)


def _draw_color(augment: Augment, count: int, size: int, random: np.random.Generator) -> Draws:
    settings = augment.color
    reach = 0.8 * settings.strength
    one_at = 0.0 if settings.brightness == "additive" else 1.0
    low = np.array([max(one_at - reach, -reach if one_at == 0 else 0), *[max(1 - reach, 0)] * 2, 0])
    high = np.array([one_at + reach, 1 + reach, 1 + reach, 0])
    amounts = random.uniform(low, high, (count, 4))
    hue = min(0.2 * settings.strength, 0.5)
    amounts[:, 3] = random.uniform(-hue, hue, count)
    order = random.permuted(np.tile(np.arange(4), (count, 1)), axis=1)
    order[random.random(count) >= settings.jitter_probability] = -1
    gray = random.random(count) < settings.gray_probability
    return {"amounts": amounts.astype(np.float32), "order": order, "gray": gray}


def _apply_color(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    additive = augment.color.brightness == "additive"
    images = color.jitter(images, draws["amounts"], draws["order"], additive)
    rows = _on_device(np.flatnonzero(draws["gray"]), images)
    gray = color.grayscale(images.index_select(0, rows)).expand(-1, 3, -1, -1)
    return images.index_copy_(0, rows, gray)


def _draw_blur(augment: Augment, count: int, size: int, random: np.random.Generator) -> Draws:
    settings = augment.blur
    sigma = random.uniform(settings.sigma_min, settings.sigma_max, count).astype(np.float32)
    return {"applied": random.random(count) < settings.probability, "sigma": sigma}


def _apply_blur(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    return filters.gaussian_blur(images, _on_device(draws["sigma"], images))


def _draw_cutout(augment: Augment, count: int, size: int, random: np.random.Generator) -> Draws:
    applied = random.random(count) < augment.cutout.probability
    return {"applied": applied, "centre": random.random((count, 2)).astype(np.float32)}


def _apply_cutout(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    centre = _on_device(draws["centre"], images)
    return filters.cutout(images, centre, augment.cutout.side, augment.cutout.fill)


def _draw_sobel(augment: Augment, count: int, size: int, random: np.random.Generator) -> Draws:
    return {"applied": random.random(count) < augment.sobel.probability}


def _apply_sobel(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    return filters.sobel(images)


def _draw_noise(augment: Augment, count: int, size: int, random: np.random.Generator) -> Draws:
    return {
        "applied": random.random(count) < augment.noise.probability,
        "sigma": random.uniform(0, augment.noise.sigma_max, count).astype(np.float32),
        "seeds": random.integers(0, 2**31, count, dtype=np.int32),
    }


def _apply_noise(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    sigma, seeds = _on_device(draws["sigma"], images), _on_device(draws["seeds"], images)
    return filters.gaussian_noise(images, sigma, seeds)


def _draw_rotate(augment: Augment, count: int, size: int, random: np.random.Generator) -> Draws:
    applied = random.random(count) < augment.rotate.probability
    return {"applied": applied, "quarter_turns": random.integers(0, 4, count)}


def _apply_rotate(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    return filters.rotate(images, draws["quarter_turns"])


_DRAW: dict[Transform, Callable[[Augment, int, int, np.random.Generator], Draws]] = {
    "crop": _draw_crop,
    "cutout": _draw_cutout,
    "color": _draw_color,
    "sobel": _draw_sobel,
    "noise": _draw_noise,
    "blur": _draw_blur,
    "rotate": _draw_rotate,
}
_APPLY: dict[Transform, Callable[[Tensor, Draws, Augment], Tensor]] = {
    "crop": _apply_crop,
    "cutout": _apply_cutout,
    "color": _apply_color,
    "sobel": _apply_sobel,
    "noise": _apply_noise,
    "blur": _apply_blur,
    "rotate": _apply_rotate,
}
