"""Random resized crop with flip."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ablate.simclr.augment.separable import apply_separable, resize_matrix
from ablate.simclr.config.augment import Crop

_LEAST_COVERED = 0.1
_WINDOW = 32
"""Pixels to which windows are rounded up; more would waste products, fewer would make more groups."""
_Integers = NDArray[np.int64]


def draw_boxes(shapes: _Integers, crop: Crop, generator: np.random.Generator) -> _Integers:
    """Boxes (N, 4) of whole pixels, (top, left, height, width), in images of `shapes` (N, 2), (height, width)."""
    draw = _draw_as_tensorflow if crop.sampler == "tensorflow" else _draw_as_torchvision
    return draw(shapes, crop, generator)


def _draw_as_torchvision(
    shapes: _Integers, crop: Crop, generator: np.random.Generator, attempts: int = 10
) -> _Integers:
    """RandomResizedCrop.get_params: area uniform, logarithm of the aspect ratio uniform, ten attempts.

    Where none fits: the whole image, or its centre brought to the nearest aspect ratio allowed.
    """
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
    place = (generator.random((count, 2)) * (shapes - sides + 1)).astype(np.int64)
    return np.concatenate([np.where(found[:, None], place, (shapes - sides) // 2), sides], axis=1)


def _draw_as_tensorflow(
    shapes: _Integers, crop: Crop, generator: np.random.Generator, attempts: int = 100
) -> _Integers:
    """tf.image.sample_distorted_bounding_box with the whole image as the object, a tenth of which must be seen.

    Aspect ratio uniform, then the height uniform among those that keep the area and the box inside. Like
    TensorFlow's, a box smaller than the image never touches its lower or right edge. Where no attempt fits:
    the whole image.
    """
    boxes = np.concatenate([np.zeros_like(shapes), shapes], axis=1)
    open_ = np.arange(len(shapes))
    for _ in range(attempts):
        boxes_now, fits = _one_attempt(shapes[open_], crop, generator)
        boxes[open_[fits]] = boxes_now[fits]
        open_ = open_[~fits]
        if len(open_) == 0:
            break
    return boxes


def _one_attempt(shapes: _Integers, crop: Crop, generator: np.random.Generator) -> tuple[_Integers, NDArray[np.bool_]]:
    """GenerateRandomCrop of TensorFlow's sample_distorted_bounding_box_op.cc for many images."""
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
    place = (generator.random(shapes.shape) * (shapes - np.stack([height, width], axis=1))).astype(np.int64)
    return np.concatenate([np.maximum(place, 0), height[:, None], width[:, None]], axis=1), fits


def center_boxes(shapes: _Integers, share: float) -> NDArray[np.float64]:
    """The centre square of each image, `share` of its shorter side long: boxes (N, 4)."""
    side = share * shapes.min(axis=1, keepdims=True)
    return np.concatenate([(shapes - side) / 2, side, side], axis=1)


def resized_crop(
    images: Tensor, boxes: Tensor, flip: Tensor, size: int, interpolation: str, antialias: bool = True
) -> Tensor:
    """Cuts boxes (B, 4), in pixels of images (B, C, H, W), resizes them to size x size, flips where flip (B,).

    There may be several rounds of boxes, each one box an image: k B boxes give k B results.
    Equal to torchvision's resized_crop; bicubic results are clipped to [0, 1].
    """
    boxes = boxes.to(images.dtype)
    if images.device.type == "cpu" and max(images.shape[-2:]) > _WINDOW:
        return _crop_windows(images, boxes, flip, size, interpolation, antialias)
    return _crop(images.repeat(len(boxes) // len(images), 1, 1, 1), boxes, flip, size, interpolation, antialias)


def _crop(images: Tensor, boxes: Tensor, flip: Tensor, size: int, interpolation: str, antialias: bool) -> Tensor:
    top, left, height, width = boxes.unbind(1)
    rows = resize_matrix(top, height, torch.zeros_like(flip), images.shape[-2], size, interpolation, antialias)
    columns = resize_matrix(left, width, flip, images.shape[-1], size, interpolation, antialias)
    return apply_separable(images, rows, columns).clamp_(0, 1)


def _crop_windows(
    images: Tensor, boxes: Tensor, flip: Tensor, size: int, interpolation: str, antialias: bool
) -> Tensor:
    """The same in groups of images whose boxes fit one size of window, so that products leave out what is not cut.

    On a CPU the products of large images take most of the time, and a window has about half the pixels.
    """
    limits = torch.tensor(images.shape[-2:])
    first = boxes[:, :2].floor().long()
    needed = (boxes[:, :2] + boxes[:, 2:]).ceil().long().minimum(limits) - first
    windows = (-(-needed // _WINDOW) * _WINDOW).minimum(limits)  # (B, 2)
    first = first.minimum(limits - windows)
    sides, group_of = windows.unique(dim=0, return_inverse=True)
    out = images.new_empty(len(boxes), images.shape[1], size, size)
    for number, (rows, columns) in enumerate(sides.tolist()):
        members = (group_of == number).nonzero()[:, 0]
        corners = first[members]
        cut = torch.stack(
            [
                images[box % len(images), :, top : top + rows, left : left + columns]
                for box, (top, left) in zip(members.tolist(), corners.tolist(), strict=True)
            ]
        )
        inside = boxes[members] - torch.nn.functional.pad(corners, (0, 2))
        out[members] = _crop(cut, inside, flip[members], size, interpolation, antialias)
    return out
