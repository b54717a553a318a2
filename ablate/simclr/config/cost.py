"""What a trial's time depends on, to tell the cost of trials that have not run from those that have."""

import json
from collections.abc import Callable
from pathlib import Path

from ablate.simclr.config import Config
from ablate.simclr.data.listing import Listing


def work(config: Config, look: Callable[[Path], Listing]) -> float | None:
    """Images that pretraining encodes: two views of each, or one where it is supervised; None where unknown.

    An untrained encoder passes over the images once, to set batch norm's statistics: forward only, which is a third
    of a step, and without a second view.
    """
    images = config.data.train_images
    if config.data.root is not None:
        try:
            there = look(config.data.root).train_images
        except (OSError, ValueError):
            return None
        images = min(images or there, there)
    if images is None:
        return None
    views = 1 if config.method == "supervised" else 2
    return float(config.epochs * images * views) if config.epochs else images / 3


def likeness(config: Config) -> str:
    """A text that is the same for configs whose time is in proportion to their work: network, size of the images."""
    network = [config.encoder.model_dump(), config.data.image_size, config.method, config.precision]
    return json.dumps([*network, sorted(config.evaluate.parts)])
