"""Augmentation alone on one core: pairs of views a second, ours in batches, against lightly, kornia and torchvision.

Each peer is measured in turn with ours, with the same operations and the same distribution of parameters.
"""

from collections.abc import Callable
from itertools import count
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ablate.simclr.base.device import keep_freed_memory
from ablate.simclr.base.vision import torchvision
from ablate.simclr.config import Augment
from ablate.simclr.data.textures import draw
from ablate.simclr.data.views import apply_views, draw_views
from tests.bench.common import in_turn, ratio, spread


def measure(rounds: int = 7) -> dict[str, Any]:
    """Everything on one thread."""
    assert torchvision  # makes the peers importable
    torch.set_num_threads(1)
    keep_freed_memory()
    return {
        "unit": "pairs of views a second, one thread",
        "lightly": _lightly(rounds),
        "kornia": _kornia(rounds),
        "torchvision": _torchvision(rounds),
    }


def _lightly(rounds: int) -> dict[str, Any]:
    """lightly's SimCLRTransform(input_size=32), with parameters by its source."""
    from lightly.transforms import SimCLRTransform

    pixels, _ = draw(256, 32, 0, "train")
    pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in pixels]
    transform = SimCLRTransform(input_size=32)

    def lightly() -> None:
        for picture in pictures:
            transform(picture)

    return {
        "aim": "at least 6 times lightly, 32 px: crop, flip, jitter, gray, blur",
        **_compare("lightly", lightly, pixels, 32, like_torchvision("bilinear", blur=True), rounds),
        "differences": "lightly starts from PIL images and ends with ImageNet's mean and std taken off; ours starts "
        "from uint8 tensors. Pillow's blur is a box approximation as wide as sigma asks, ours has 3 taps at 32 px "
        "(the authors' kernel of a tenth of the side).",
    }


def _kornia(rounds: int) -> dict[str, Any]:
    """kornia's batched transforms at 32 px; the crop resamples, which is its faster way."""
    chain = kornia_chain()
    pixels, _ = draw(256, 32, 0, "train")
    images = torch.from_numpy(pixels)

    def kornia() -> None:
        chain(_floating(images).repeat(2, 1, 1, 1))

    return {
        "aim": "at least 2 times kornia's batched chain, 32 px: crop, flip, jitter, gray",
        **_compare("kornia", kornia, pixels, 32, like_torchvision("bilinear", antialias=False), rounds),
        "differences": "kornia draws one order of the four adjustments for a batch, ours one for an image.",
    }


def kornia_chain() -> torch.nn.Sequential:
    """kornia's crop, flip, jitter and gray of a batch (N, 3, S, S) in [0, 1] at 32 pixels."""
    from kornia import augmentation as kornia_augmentation

    return torch.nn.Sequential(
        kornia_augmentation.RandomResizedCrop(
            (32, 32), scale=(0.08, 1), ratio=(3 / 4, 4 / 3), cropping_mode="resample"
        ),
        kornia_augmentation.RandomHorizontalFlip(p=0.5),
        kornia_augmentation.ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8),
        kornia_augmentation.RandomGrayscale(p=0.2),
    )


def _torchvision(rounds: int) -> dict[str, Any]:
    """torchvision v2 at 224 px out of 256 px, an image at a time, on uint8 tensors until the end."""
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(224, scale=(0.08, 1), interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
            v2.RandomHorizontalFlip(0.5),
            v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply([v2.GaussianBlur(23, (0.1, 2.0))], p=0.5),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    pixels, _ = draw(32, 256, 0, "train")
    images = torch.from_numpy(pixels)

    def per_image() -> None:
        torch.stack([transform(image) for image in images for _ in range(2)])

    return {
        "aim": "at least 2 times torchvision v2 per image, 224 px: bicubic crop from 256 px, flip, jitter, gray, "
        "blur of 23 taps",
        **_compare("torchvision", per_image, pixels, 224, like_torchvision("bicubic", blur=True), rounds),
        "differences": "torchvision computes on uint8 where it can, ours on float32. torchvision's blur reflects at "
        "the edge, ours has zeros beyond it.",
    }


def like_torchvision(interpolation: str, antialias: bool = True, blur: bool = False) -> Augment:
    """torchvision's distributions, which lightly and kornia share.

    Area 0.08 to 1, flip 0.5, jitter 0.8 of brightness, contrast, saturation 0.8 and hue 0.2 (brightness
    multiplies), gray 0.2, blur 0.5 of sigma 0.1 to 2.
    """
    crop = {"sampler": "torchvision", "interpolation": interpolation, "antialias": antialias}
    settings = {
        "transforms": ("crop", "color", "blur") if blur else ("crop", "color"),
        "crop": crop,
        "color": {"strength": 1.0, "brightness": "multiplicative", "operations": "torchvision"},
        "blur": {"probability": 0.5, "sigma_of": "image"},
    }
    return Augment.model_validate(settings)


def _floating(images: Tensor) -> Tensor:
    return images.float().mul_(1 / 255)


def _compare(
    peer: str, transform: Callable[[], None], pixels: np.ndarray, size: int, augment: Augment, rounds: int
) -> dict[str, Any]:
    """Both on uint8 pixels (N, 3, S, S) in turn; `transform` makes a pair of views of each image once."""
    images, shapes, steps = torch.from_numpy(pixels), np.array([pixels.shape[2:]] * len(pixels)), count()

    def ours() -> None:
        draws = draw_views(augment, shapes, size, 0, next(steps))
        apply_views(draws, _floating(images), shapes, augment, size)

    def speed(make: Callable[[], None], passes: int) -> float:
        began = perf_counter()
        for _ in range(passes):
            make()
        return passes * len(pixels) / (perf_counter() - began)

    measures = {"ours": lambda: speed(ours, 4), peer: lambda: speed(transform, 1)}
    in_turn(1, measures)  # warm-up
    figures = in_turn(rounds, measures)
    return {
        "batch": len(pixels),
        **{name: spread(values) for name, values in figures.items()},
        "ratio": ratio(figures["ours"], figures[peer]),
    }
