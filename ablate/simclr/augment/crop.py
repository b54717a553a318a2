"""Random resized crop with flip (App. A): boxes drawn as TensorFlow or as torchvision draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ablate.simclr.base import Probability, Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ablate.simclr.augment import Draws, Shapes

_LEAST_COVERED = 0.1


class Crop(Settings):
    """Random resized crop with flip (App. A)."""

    sampler: Literal["tensorflow", "torchvision"] = "tensorflow"
    """How boxes are drawn: uniform height and aspect ratio, at least a tenth of the image, 100 attempts (the authors'
    sample_distorted_bounding_box); or uniform area and logarithm of the aspect ratio, 10 attempts."""
    area_min: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest box as a share of the image's area; the largest is 1."""
    aspect_max: Annotated[float, Field(ge=1, le=4)] = 4 / 3
    """Aspect ratios lie between 1 / aspect_max and aspect_max."""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    """Resampling filter."""
    antialias: bool = False
    """Widen the filter when downsampling, as Pillow does; the authors' code does not."""
    flip_probability: Probability = 0.5
    """Probability of a left-right flip."""


def draw(settings: Crop, shapes: Shapes, random: np.random.Generator, views: int) -> Draws:
    """Draw each image's box, and whether it is flipped."""
    boxes = draw_boxes(shapes, settings, random)
    return {"boxes": boxes, "shapes": shapes, "flip": random.random(len(shapes)) < settings.flip_probability}


def apply(images: Tensor, draws: Draws, settings: Crop) -> Tensor:
    """Crop each image, and resize it to the size it had."""
    return crop_to(images, draws, settings, images.shape[-1])


def crop_to(images: Tensor, draws: Draws, settings: Crop, size: int) -> Tensor:
    """Crop to size x size from images of any stored size, which may have been squashed from their shapes."""
    import numpy as np

    from ablate.simclr.base.device import beside
    from ablate.simclr.base.resample import resized_crop

    stored = np.array([[*images.shape[-2:]] * 2])  # (1, 4)
    boxes = beside(images, draws["boxes"] * (stored / np.tile(draws["shapes"], 2)))
    return resized_crop(images, boxes, beside(images, draws["flip"]), size, settings.interpolation, settings.antialias)


def draw_boxes(shapes: Shapes, crop: Crop, generator: np.random.Generator) -> Shapes:
    """Boxes (N, 4) of whole pixels, (top, left, height, width), in images of `shapes` (N, 2), (height, width)."""
    draw = _draw_as_tensorflow if crop.sampler == "tensorflow" else _draw_as_torchvision
    return draw(shapes, crop, generator)


def _draw_as_torchvision(shapes: Shapes, crop: Crop, generator: np.random.Generator, attempts: int = 10) -> Shapes:
    """RandomResizedCrop.get_params: area uniform, logarithm of the aspect ratio uniform, ten attempts.

    If none fits: the whole image, or its centre with the nearest allowed aspect ratio.
    """
    import numpy as np

    count = len(shapes)
    full_height, full_width = shapes[:, :1], shapes[:, 1:]
    area = full_height * full_width * generator.uniform(crop.area_min, 1, (count, attempts))
    limit = np.log(crop.aspect_max)
    aspect = np.exp(generator.uniform(-limit, limit, (count, attempts)))
    width = np.rint(np.sqrt(area * aspect)).astype(np.int64)
    height = np.rint(np.sqrt(area / aspect)).astype(np.int64)
    fits = (width > 0) & (width <= full_width) & (height > 0) & (height <= full_height)
    image, first = np.arange(count), fits.argmax(axis=1)  # 0 where none fits
    found = fits[image, first]
    height = np.where(found, height[image, first], np.minimum(shapes[:, 0], np.rint(shapes[:, 1] * crop.aspect_max)))
    width = np.where(found, width[image, first], np.minimum(shapes[:, 1], np.rint(shapes[:, 0] * crop.aspect_max)))
    sides = np.stack([height, width], axis=1).astype(np.int64)
    corner = (generator.random((count, 2)) * (shapes - sides + 1)).astype(np.int64)
    return np.concatenate([np.where(found[:, None], corner, (shapes - sides) // 2), sides], axis=1)


def _draw_as_tensorflow(shapes: Shapes, crop: Crop, generator: np.random.Generator, attempts: int = 100) -> Shapes:
    """tf.image.sample_distorted_bounding_box with the whole image as the object, a tenth of which must be covered.

    The aspect ratio is uniform, then the height among those that keep the area in its range and the box inside. As in
    TensorFlow, a box smaller than the image never touches its lower or right edge. If no attempt fits: the whole
    image.
    """
    import numpy as np

    boxes = np.concatenate([np.zeros_like(shapes), shapes], axis=1)
    open_ = np.arange(len(shapes))
    for _ in range(attempts):
        boxes_now, fits = _one_attempt(shapes[open_], crop, generator)
        boxes[open_[fits]] = boxes_now[fits]
        open_ = open_[~fits]
        if len(open_) == 0:
            break
    return boxes


def _one_attempt(shapes: Shapes, crop: Crop, generator: np.random.Generator) -> tuple[Shapes, NDArray[np.bool_]]:
    """GenerateRandomCrop of TensorFlow's sample_distorted_bounding_box_op.cc for many images."""
    import numpy as np

    full_height, full_width = shapes.T
    full_area = full_height * full_width
    aspect = generator.uniform(1 / crop.aspect_max, crop.aspect_max, len(shapes))
    lowest = np.rint(np.sqrt(crop.area_min * full_area / aspect)).astype(np.int64)
    highest = np.rint(np.sqrt(full_area / aspect)).astype(np.int64)
    too_wide = np.rint(highest * aspect) > full_width
    highest = np.where(too_wide, np.floor((full_width + 0.5 - 1e-7) / aspect).astype(np.int64), highest)
    highest -= np.rint(highest * aspect) > full_width
    highest = np.minimum(highest, full_height)
    lowest = np.minimum(lowest, highest)
    height = lowest + (generator.random(len(shapes)) * (highest - lowest + 1)).astype(np.int64)
    width = np.rint(height * aspect).astype(np.int64)
    height += height * width < crop.area_min * full_area  # rounding may have left the range
    width = np.rint(height * aspect).astype(np.int64)
    area = height * width
    fits = (area >= crop.area_min * full_area) & (area >= _LEAST_COVERED * full_area) & (area <= full_area)
    fits &= (width > 0) & (height > 0) & (width <= full_width) & (height <= full_height)
    corner = (generator.random(shapes.shape) * (shapes - np.stack([height, width], axis=1))).astype(np.int64)
    return np.concatenate([np.maximum(corner, 0), height[:, None], width[:, None]], axis=1), fits
