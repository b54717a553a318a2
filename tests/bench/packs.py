"""What a stored copy loses: crops at 224 px from packs and from a folder's images, against the photographs' own.

Needs ABLATE_IMAGENET_SAMPLE: an archive of photographs as train/<class>/*. The reference is what the authors' code
does: a box is cut from the whole image and resized bicubically without antialiasing.
"""

import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ablate.simclr.base.resample import resized_crop
from tests.bench.common import facts

SIZES = (256, 384, 512, 576, 640, 768)
_IMAGES, _BOXES, _SIDE = 24, 4, 224


def measure() -> dict[str, Any]:
    """Of each copy: the magnitude of the crops' gradients relative to the reference's, and the mean difference."""
    archive = os.environ.get("ABLATE_IMAGENET_SAMPLE")
    if not archive:
        raise SystemExit("packs: ABLATE_IMAGENET_SAMPLE does not name an archive of images as train/<class>/*")
    random = np.random.default_rng(0)
    found: dict[str, list[tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        paths = sorted(Path(folder).rglob("train/*/*"))
        for path in (paths[at] for at in np.linspace(0, len(paths) - 1, _IMAGES).astype(int)):
            with Image.open(path) as opened:
                image = ImageOps.exif_transpose(opened).convert("RGB")
            for size in SIZES:
                same = np.random.default_rng(len(found.get("folder", ())))  # the same boxes for all sizes
                found.setdefault(f"pack {size}", []).append(_loss(image, size, same))
            square = ImageOps.fit(image, (min(image.size),) * 2)  # the centre square, of which a folder keeps 224 px
            found.setdefault("folder", []).append(_loss(square, _SIDE, random))
    return {
        "crops": _IMAGES * _BOXES,
        "side": _SIDE,
        "stored": {
            name: {
                "gradients": round(float(np.sum([each[0] for each in own]) / np.sum([each[1] for each in own])), 3),
                "difference_of_255": round(float(np.mean([each[2] for each in own])), 2),
            }
            for name, own in found.items()
        },
        "facts": facts(),
    }


def _loss(image: Image.Image, size: int, random: np.random.Generator) -> tuple[float, float, float]:
    """The gradients of crops of a copy of size x size, those of the image's own crops, and their mean difference."""
    boxes = torch.stack([_box(random, image.height, image.width) for _ in range(_BOXES)])
    reference = _crops(image, boxes)
    stored = image.resize((size, size), Image.Resampling.BICUBIC)
    crops = _crops(stored, boxes * torch.tensor([size / image.height, size / image.width]).repeat(2))
    return _gradient(crops), _gradient(reference), 255 * float((crops - reference).abs().mean())


def _box(random: np.random.Generator, height: int, width: int) -> Tensor:
    """Top, left, height and width of a crop of 8 to 100 % of the area, with sides of 3:4 to 4:3."""
    while True:
        area, aspect = random.uniform(0.08, 1.0) * height * width, random.uniform(3 / 4, 4 / 3)
        rows, columns = (area / aspect) ** 0.5, (area * aspect) ** 0.5
        if rows <= height and columns <= width:
            top, left = random.uniform(0, height - rows), random.uniform(0, width - columns)
            return torch.tensor([top, left, rows, columns], dtype=torch.float32)


def _crops(image: Image.Image, boxes: Tensor) -> Tensor:
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
    return resized_crop(pixels, boxes, torch.zeros(len(boxes), dtype=torch.bool), _SIDE, "bicubic", antialias=False)


def _gradient(images: Tensor) -> float:
    """The mean length of the differences to the next pixel, right and below."""
    right, below = images.diff(dim=3)[:, :, 1:], images.diff(dim=2)[:, :, :, 1:]
    return float((right**2 + below**2).sqrt().mean())
