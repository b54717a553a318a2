"""Which images each step takes, and their views, the same on any number of ranks and after any interruption."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ablate.simclr.augment.views import (
    Operation,
    apply_first_views,
    apply_views,
    draw_views,
    fit,
    images_at_once,
    join_steps,
)
from ablate.simclr.config.augment import Augment
from ablate.simclr.data.images import Images
from ablate.simclr.distributed import World
from ablate.simclr.randomness import Purpose, generator

IMAGES_AT_ONCE = 512
"""The views of as many steps are made at once as take this many images."""


@dataclass(frozen=True)
class Batch:
    """What one rank sees of one step."""

    step: int
    rows: NDArray[np.int64]
    """Which images these are, (n,)."""
    views: Tensor
    """Floating, in [0, 1]: two views of each, first ones first, (2n, 3, S, S); or one view, (n, 3, S, S)."""


@dataclass(frozen=True)
class Stream:
    """The steps of one training over a set of images.

    Epochs follow each other as one stream that is cut into batches, so that no image is left out; a batch may
    reach over the end of an epoch, as in the authors' code.
    """

    images: Images
    augment: Augment
    size: int
    """Side of the views in pixels."""
    batch_size: int
    """Over all ranks."""
    steps: int
    seed: int
    purpose: Purpose
    """Of the order of the images; the views have a random stream of their own for each purpose."""
    views: Literal[1, 2]
    dtype: torch.dtype = torch.float32

    def order(self, step: int) -> NDArray[np.int64]:
        """Which images a step takes over all ranks, (N,)."""
        first, count = step * self.batch_size, len(self.images)
        epochs = range(first // count, (first + self.batch_size - 1) // count + 1)
        parts = []
        for epoch in epochs:
            begin = first - epoch * count
            order = _permutation(self.seed, self.purpose, epoch, count)
            parts.append(order[max(0, begin) : begin + self.batch_size])
        return np.concatenate(parts)

    def batches(self, start: int, world: World, device: torch.device) -> Iterator[Batch]:
        """Every step from `start` on. Views of a few small steps are made at once: that changes only the time.

        Blocks of steps begin at the same steps wherever one starts, so that an image's arithmetic is the same.
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


@lru_cache(maxsize=4)
def _permutation(seed: int, purpose: Purpose, epoch: int, count: int) -> NDArray[np.int64]:
    """The order of one epoch; the last few are kept, for every step of an epoch asks for it."""
    return generator(seed, purpose, epoch).permutation(count)


def as_floats(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 images as the augmentations and the encoder take them: in [0, 1], no normalisation."""
    return images.to(dtype).mul_(1 / 255)


def plain(
    images: Images, size: int, share: float, device: torch.device, rows: NDArray[np.int64], at_once: int = 500
) -> Iterator[Tensor]:
    """Unaugmented images in [0, 1], `at_once` a time, (n, 3, size, size): the centre square, `share` of it."""
    orders = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
    for order, pixels in zip(orders, images.stream(orders, device), strict=True):
        yield fit(as_floats(pixels), images.shapes[order], size, share)
