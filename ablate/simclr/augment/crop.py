"""Random resized crop with flip."""

import numpy as np
import torch
from torch import Tensor

from ablate.simclr.augment.separable import apply_separable, resize_matrix
from ablate.simclr.config import Crop

_ATTEMPTS = 10


def draw_boxes(count: int, size: int, crop: Crop, generator: np.random.Generator) -> np.ndarray:
    """Boxes (count, 4) of whole pixels, (top, left, height, width), in square images of side `size`.

    Distributed as torchvision's RandomResizedCrop.get_params: area uniform, logarithm of the aspect ratio
    uniform, ten attempts, then the whole image.
    """
    area = size**2 * generator.uniform(crop.area_min, 1, (count, _ATTEMPTS))
    limit = np.log(crop.aspect_max)
    aspect = np.exp(generator.uniform(-limit, limit, (count, _ATTEMPTS)))
    width = np.rint(np.sqrt(area * aspect)).astype(np.int64)
    height = np.rint(np.sqrt(area / aspect)).astype(np.int64)
    fits = (width > 0) & (width <= size) & (height > 0) & (height <= size)
    first = fits.argmax(axis=1)  # 0 where none fits
    image = np.arange(count)
    found = fits[image, first]
    width, height = np.where(found, width[image, first], size), np.where(found, height[image, first], size)
    top = (generator.random(count) * (size - height + 1)).astype(np.int64)
    left = (generator.random(count) * (size - width + 1)).astype(np.int64)
    return np.stack([top, left, height, width], axis=1)


def resized_crop(images: Tensor, boxes: Tensor, flip: Tensor, size: int, interpolation: str) -> Tensor:
    """Cuts boxes (B, 4) out of images (B, C, H, W), resizes them to size x size, flips where flip (B,).

    Equal to torchvision's resized_crop with antialiasing; bicubic results are clipped to [0, 1].
    """
    top, left, height, width = boxes.float().unbind(1)
    rows = resize_matrix(top, height, torch.zeros_like(flip), images.shape[-2], size, interpolation)
    columns = resize_matrix(left, width, flip, images.shape[-1], size, interpolation)
    return apply_separable(images, rows, columns).clamp_(0, 1)
