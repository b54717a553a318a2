"""Augmentation alone on one core: pairs of views a second, ours in batches, lightly's an image at a time."""

from functools import partial
from itertools import count
from time import perf_counter
from typing import Any

import torch
from PIL import Image

from ablate.simclr.augment.views import apply_views, draw_views
from ablate.simclr.config import Augment
from ablate.simclr.data.textures import draw
from ablate.simclr.precision import keep_freed_memory
from ablate.simclr.vision import torchvision
from tests.bench.common import LIGHTLY_LIKE, in_turn, ratio, spread

_BATCH, _BATCHES = 256, 8


def measure(rounds: int = 7) -> dict[str, Any]:
    """Both in turn, on one thread, with the same distribution of parameters."""
    assert torchvision  # makes lightly importable
    from lightly.transforms import SimCLRTransform

    torch.set_num_threads(1)
    keep_freed_memory()
    pixels, _ = draw(_BATCH, 32, 0, "train")
    pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in pixels]
    augment, images, steps = Augment.model_validate(LIGHTLY_LIKE), torch.from_numpy(pixels), count()
    transform = SimCLRTransform(input_size=32)

    def ours() -> float:
        began = perf_counter()
        for _ in range(_BATCHES):
            apply_views(draw_views(augment, _BATCH, 32, 0, next(steps)), images, augment)
        return _BATCHES * _BATCH / (perf_counter() - began)

    def theirs() -> float:
        began = perf_counter()
        for picture in pictures:
            transform(picture)
        return len(pictures) / (perf_counter() - began)

    in_turn(1, {"ours": ours, "lightly": theirs})  # warm-up
    figures = in_turn(rounds, {"ours": partial(ours), "lightly": partial(theirs)})
    return {
        "unit": "pairs of views a second, 32 px, one thread",
        "aim": "at least 6 times lightly",
        "batch": _BATCH,
        **{name: spread(values) for name, values in figures.items()},
        "ratio": ratio(figures["ours"], figures["lightly"]),
        "differences": "lightly starts from PIL images and ends with ImageNet's mean and std taken off; ours starts "
        "from uint8 tensors. Pillow's blur is a box approximation as wide as sigma asks, ours has 3 taps at 32 px "
        "(the authors' kernel of a tenth of the side).",
    }
