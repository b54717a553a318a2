"""Views and their histograms, drawn by the trainer's own augmentation."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from ablate.report.pictures.kept import Drawn
from ablate.report.pictures.sprite import sprite
from ablate.simclr.augment.views import fit
from ablate.simclr.batches import Stream, as_floats
from ablate.simclr.config import Config
from ablate.simclr.config.augment import Augment
from ablate.simclr.data.sample import Sample
from ablate.simclr.distributed import ALONE

IMAGES, STEPS, CROPS, BINS = 3, 3, 4, 32
_SEED = 0
_MOST = 14_000
"""Bytes of a strip."""
Floats = NDArray[np.float32]


def strip(config: Config, sample: Sample) -> Drawn:
    """Images of the data, each with the two views of some steps: a sprite (IMAGES rows, 1 + 2 STEPS columns)."""
    size = config.data.image_size
    rows = np.arange(len(sample.labels))
    (pixels,) = sample.images.stream([rows], torch.device("cpu"))
    original = fit(as_floats(pixels), sample.images.shapes, size).numpy()
    columns = [original]
    for views in step_views(config.augment, sample, size, 2):
        columns += [views[: len(rows)], views[len(rows) :]]
    return {
        "uri": sprite(np.stack(columns, axis=1), _MOST),
        "rows": len(rows),
        "columns": len(columns),
        "side": size,
        "classes": [sample.names[label] for label in sample.labels],
    }


def step_views(augment: Augment, sample: Sample, size: int, views: int, steps: int = STEPS) -> Iterator[Floats]:
    """The views of each step of a training on the images, in their order: (views x N, 3, size, size)."""
    count = len(sample.labels)
    stream = Stream(
        images=sample.images,
        augment=augment,
        size=size,
        batch_size=count,
        steps=steps,
        seed=_SEED,
        purpose="pretrain",
        views=2 if views == 2 else 1,
    )
    for batch in stream.batches(0, ALONE, torch.device("cpu")):
        order = np.argsort(batch.rows)
        yield batch.views.numpy()[np.concatenate([order + view * count for view in range(views)])]


def histograms(config: Config, sample: Sample) -> Drawn:
    """How often each intensity is in some crops of two images, and in the same crops with color distortion (Fig. 6).

    `shares` (without and with, images, crops, BINS): of all values of all channels.
    """
    shares = []
    for transforms in (("crop",), ("crop", "color")):  # the crop is drawn first, so that both have the same
        augment = config.augment.model_copy(update={"transforms": transforms})
        steps = step_views(augment, sample, config.data.image_size, 1, CROPS)
        shares.append(np.stack([np.stack([histogram(image) for image in views]) for views in steps], axis=1))
    return {
        "shares": np.stack(shares).round(4).tolist(),
        "classes": [sample.names[label] for label in sample.labels],
        "probability": config.augment.color.jitter_probability,
        "strength": config.augment.color.strength,
    }


def histogram(image: Floats) -> NDArray[np.float64]:
    """Shares of BINS equal ranges of [0, 1] among the values of an image, of all channels."""
    counts, _ = np.histogram(image, bins=BINS, range=(0, 1))
    return counts / image.size
