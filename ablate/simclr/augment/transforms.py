"""Each transformation by its name: what is drawn for a batch, and how it is applied.

Drawing is numpy on the CPU: (settings, shapes (N, 2) of the images, generator) -> arrays whose first axis is
the image; `applied` among them says which images are changed at all. Applying is torch on the images' device.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ablate.simclr.augment import color, filters, motion, tone
from ablate.simclr.augment.autoaugment import auto_augment, draw_auto_augment
from ablate.simclr.augment.crop import draw_boxes, resized_crop
from ablate.simclr.config.augment import Augment, Transform
from ablate.simclr.device import to_device

Draws = dict[str, np.ndarray]
Shapes = NDArray[np.int64]


@dataclass(frozen=True)
class Transformation:
    """How one transformation is drawn and applied."""

    draw: Callable[[Augment, Shapes, np.random.Generator], Draws]
    apply: Callable[[Tensor, Draws, Augment], Tensor]


def on_device(values: np.ndarray, images: Tensor) -> Tensor:
    """Drawn values beside the images; floating ones in their format."""
    tensor = to_device(values, images.device)
    return tensor.to(images.dtype) if tensor.is_floating_point() else tensor


def _draw_crop(augment: Augment, shapes: Shapes, random: np.random.Generator) -> Draws:
    boxes = draw_boxes(shapes, augment.crop, random)
    return {"boxes": boxes, "shapes": shapes, "flip": random.random(len(shapes)) < augment.crop.flip_probability}


def _apply_crop(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    return crop_to(images, draws, augment, images.shape[-1])


def crop_to(images: Tensor, draws: Draws, augment: Augment, size: int) -> Tensor:
    """Crop, where the images may be of another size than what comes out, and squashed from their shapes."""
    stored = np.array([[*images.shape[-2:]] * 2])  # (1, 4)
    boxes = on_device(draws["boxes"] * (stored / np.tile(draws["shapes"], 2)), images)
    flip = on_device(draws["flip"], images)
    return resized_crop(images, boxes, flip, size, augment.crop.interpolation, augment.crop.antialias)


def _draw_color(augment: Augment, shapes: Shapes, random: np.random.Generator) -> Draws:
    settings, count = augment.color, len(shapes)
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
    images = color.jitter(images, draws["amounts"], draws["order"], augment.color)
    rows = on_device(np.flatnonzero(draws["gray"]), images)
    gray = color.grayscale(images.index_select(0, rows)).expand(-1, 3, -1, -1)
    return images.index_copy_(0, rows, gray)


def _draw_blur(augment: Augment, shapes: Shapes, random: np.random.Generator) -> Draws:
    settings, count = augment.blur, len(shapes)
    sigmas = random.uniform(settings.sigma_min, settings.sigma_max, count).astype(np.float32)
    applied = random.random(count) < settings.probability
    return {"applied": applied, "sigma": sigmas}


def _apply_blur(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    return filters.gaussian_blur(images, on_device(draws["sigma"], images))


def _draw_cutout(augment: Augment, shapes: Shapes, random: np.random.Generator) -> Draws:
    applied = random.random(len(shapes)) < augment.cutout.probability
    return {"applied": applied, "centre": random.random((len(shapes), 2)).astype(np.float32)}


def _apply_cutout(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    return filters.cutout(images, on_device(draws["centre"], images), augment.cutout.side, augment.cutout.fill)


def _draw_sobel(augment: Augment, shapes: Shapes, random: np.random.Generator) -> Draws:
    return {"applied": random.random(len(shapes)) < augment.sobel.probability}


def _apply_sobel(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    return filters.sobel(images)


def _draw_noise(augment: Augment, shapes: Shapes, random: np.random.Generator) -> Draws:
    return {
        "applied": random.random(len(shapes)) < augment.noise.probability,
        "sigma": random.uniform(0, augment.noise.sigma_max, len(shapes)).astype(np.float32),
        "seeds": random.integers(0, 2**31, len(shapes), dtype=np.int32),
    }


def _apply_noise(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    return filters.gaussian_noise(images, on_device(draws["sigma"], images), on_device(draws["seeds"], images))


def _draw_rotate(augment: Augment, shapes: Shapes, random: np.random.Generator) -> Draws:
    applied = random.random(len(shapes)) < augment.rotate.probability
    return {"applied": applied, "quarter_turns": random.integers(0, 4, len(shapes))}


def _apply_rotate(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    return filters.rotate(images, draws["quarter_turns"])


def _draw_auto_augment(augment: Augment, shapes: Shapes, random: np.random.Generator) -> Draws:
    draws = draw_auto_augment(len(shapes), random)
    operations = {"policy": draws["policy"], "operations": draws["applied"], "negative": draws["negative"]}
    return {"applied": random.random(len(shapes)) < augment.auto_augment.probability, **operations}


def _apply_auto_augment(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    return auto_augment(images, draws["policy"], draws["operations"], draws["negative"])


def _draw_equalize(augment: Augment, shapes: Shapes, random: np.random.Generator) -> Draws:
    return {"applied": random.random(len(shapes)) < augment.equalize.probability}


def _apply_equalize(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    return tone.equalize(images)


def _draw_solarize(augment: Augment, shapes: Shapes, random: np.random.Generator) -> Draws:
    settings, count = augment.solarize, len(shapes)
    threshold = random.uniform(settings.threshold_min, 1, count).astype(np.float32)
    return {"applied": random.random(count) < settings.probability, "threshold": threshold}


def _apply_solarize(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    return tone.solarize(images, on_device(draws["threshold"], images))


def _draw_motion_blur(augment: Augment, shapes: Shapes, random: np.random.Generator) -> Draws:
    settings, count = augment.motion_blur, len(shapes)
    return {
        "applied": random.random(count) < settings.probability,
        "length": random.random(count).astype(np.float32),  # of the way from one pixel to the longest
        "angle": random.uniform(0, np.pi, count).astype(np.float32),
    }


def _apply_motion_blur(images: Tensor, draws: Draws, augment: Augment) -> Tensor:
    longest = max(1.0, augment.motion_blur.length_max * images.shape[-1])
    length = 1 + on_device(draws["length"], images) * (longest - 1)
    return motion.motion_blur(images, length, on_device(draws["angle"], images))


TRANSFORMS: dict[Transform, Transformation] = {
    "crop": Transformation(_draw_crop, _apply_crop),
    "cutout": Transformation(_draw_cutout, _apply_cutout),
    "color": Transformation(_draw_color, _apply_color),
    "sobel": Transformation(_draw_sobel, _apply_sobel),
    "noise": Transformation(_draw_noise, _apply_noise),
    "blur": Transformation(_draw_blur, _apply_blur),
    "rotate": Transformation(_draw_rotate, _apply_rotate),
    "auto_augment": Transformation(_draw_auto_augment, _apply_auto_augment),
    "equalize": Transformation(_draw_equalize, _apply_equalize),
    "solarize": Transformation(_draw_solarize, _apply_solarize),
    "motion_blur": Transformation(_draw_motion_blur, _apply_motion_blur),
}
