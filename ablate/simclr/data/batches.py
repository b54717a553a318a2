"""The images and views of each step, the same on any number of ranks and after any interruption."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ablate.simclr.augment import Augment
from ablate.simclr.augment.crop import Crop
from ablate.simclr.base.device import model_dtype
from ablate.simclr.base.randomness import Purpose, generator
from ablate.simclr.config import Config
from ablate.simclr.data.images import Images
from ablate.simclr.data.views import (
    Operation,
    apply_first_views,
    apply_views,
    draw_views,
    fit,
    images_at_once,
    join_steps,
)
from ablate.trainer.world import World

IMAGES_AT_ONCE = 512
"""Views are made for as many steps at once as have this many images together."""


@dataclass(frozen=True)
class Batch:
    """One rank's part of one step."""

    step: int
    rows: NDArray[np.int64]
    """Indices of the images, (n,)."""
    views: Tensor
    """Floats in [0, 1]: (2n, 3, S, S), all first views before all second views; or one view each, (n, 3, S, S)."""


@dataclass(frozen=True)
class Stream:
    """The steps of one training over a set of images.

    The epochs form one stream that is cut into batches, so that no image is omitted. A batch may span the end of an
    epoch, as in the authors' code.
    """

    images: Images
    augment: Augment
    size: int
    """Side of the views in pixels."""
    batch_size: int
    """Images per step over all ranks."""
    steps: int
    seed: int
    purpose: Purpose
    """Seed of the image order; the views use a separate random stream for each purpose."""
    views: Literal[1, 2]
    dtype: torch.dtype = torch.float32
    fixed: bool = False
    """Every epoch repeats the batches of the first, without the images that do not fill one."""
    _permutation: Callable[[int, Purpose, int, int], NDArray[np.int64]] = field(
        default_factory=lambda: lru_cache(4)(_drawn_permutation), init=False, repr=False, compare=False
    )
    """The order of an epoch; the last few are kept, because every step of an epoch needs it."""

    def order(self, step: int) -> NDArray[np.int64]:
        """Indices of a step's images over all ranks, (N,)."""
        first, count = step * self.batch_size, len(self.images)
        if self.fixed:
            first %= count // self.batch_size * self.batch_size
        epochs = range(first // count, (first + self.batch_size - 1) // count + 1)
        parts = []
        for epoch in epochs:
            begin = first - epoch * count
            order = self._permutation(self.seed, self.purpose, epoch, count)
            parts.append(order[max(0, begin) : begin + self.batch_size])
        return np.concatenate(parts)

    def batches(self, start: int, world: World, device: torch.device) -> Iterator[Batch]:
        """Every step from `start` on. Views of several small steps are made at once, which changes only the speed.

        Blocks begin at the same steps for any `start`, so that each image's arithmetic stays the same.
        """
        together = max(1, min(IMAGES_AT_ONCE, images_at_once(device, self.size)) // self.batch_size)
        firsts = range(start - start % together, self.steps, together)
        blocks = [range(first, min(first + together, self.steps)) for first in firsts]
        mine = world.slice(self.batch_size)
        orders = (np.concatenate([self.order(step)[mine] for step in block]) for block in blocks)
        for block, pixels in zip(blocks, self.images.stream(orders, device), strict=True):
            rows = np.stack([self.order(step)[mine] for step in block])  # (steps, n)
            for number, views in enumerate(self._views(block, rows, pixels, mine)):
                if block[number] >= start:
                    yield Batch(block[number], rows[number], views)

    def _views(self, block: range, rows: NDArray[np.int64], pixels: Tensor, mine: slice) -> Tensor:
        """The views of some steps: (steps, views x n, 3, S, S)."""
        drawn = [self._draw(step, mine) for step in block]
        shapes = self.images.shapes[rows.reshape(-1)]
        images = as_floats(pixels, self.dtype)
        if self.views == 2:
            return apply_views(join_steps(drawn), images, shapes, self.augment, self.size, len(block))
        first = [tuple(operation.of_first_views() for operation in operations) for operations in drawn]
        views = apply_first_views(join_steps(first), images, shapes, self.augment, self.size)
        by_step: Tensor = views.unflatten(0, (len(block), -1))
        return by_step

    def _draw(self, step: int, mine: slice) -> tuple[Operation, ...]:
        shapes = self.images.shapes[self.order(step)]
        drawn = draw_views(self.augment, shapes, self.size, self.seed, step, self.purpose)
        return tuple(operation.slice(mine.start, mine.stop) for operation in drawn)


def stream_of(
    config: Config, images: Images, batch_size: int, steps: int, purpose: Purpose, views: Literal[1, 2]
) -> Stream:
    """The steps of a training by the config's settings."""
    size, dtype = config.data.image_size, model_dtype(config.precision)
    fixed = config.fixed_batches and purpose == "pretrain"
    return Stream(images, config.augment, size, batch_size, steps, config.seed, purpose, views, dtype, fixed)


def _drawn_permutation(seed: int, purpose: Purpose, epoch: int, count: int) -> NDArray[np.int64]:
    return generator(seed, purpose, epoch).permutation(count)


def as_floats(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 images as floats in [0, 1], without normalisation: the input of augmentations and encoder."""
    if images.is_cuda and dtype == torch.float32:
        return images * (1 / 255)  # in one kernel
    return images.to(dtype).mul_(1 / 255)


def plain(
    images: Images,
    size: int,
    crop: Crop,
    share: float,
    device: torch.device,
    rows: NDArray[np.int64],
    at_once: int = 500,
) -> Iterator[Tensor]:
    """Unaugmented images in [0, 1], `at_once` at a time, (n, 3, size, size): the centre square, cropped to `share`.

    They are resized as `crop` resizes.
    """
    orders = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
    for order, pixels in zip(orders, images.stream(orders, device), strict=True):
        yield fit(as_floats(pixels), images.shapes[order], size, crop, share)
