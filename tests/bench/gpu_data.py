"""The images of the benchmark on a GPU: CIFAR-10 and photographs as they lie, unpacked or drawn."""

import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ablate.simclr.data.pack import pack


def cifar10(made: Path) -> dict[str, Any]:
    """Settings of `data` for 50,000 images of 32 pixels: ABLATE_CIFAR10, unpacked below `made` if need be; or drawn."""
    given = os.environ.get("ABLATE_CIFAR10")
    if given is None:
        return {"name": "textures", "image_size": 32, "train_images": 50_000, "test_images": 10_000}
    return {"name": "folder", "image_size": 32, "root": str(_unpacked(Path(given), made / "cifar10"))}


def pack_of_photographs(made: Path, least: int) -> Path:
    """ABLATE_PACK; or a pack of ABLATE_PHOTOGRAPHS, repeated until there are `least`; or one of drawn noise."""
    if given := os.environ.get("ABLATE_PACK"):
        return Path(given)
    source = made / "photographs"
    if photographs := os.environ.get("ABLATE_PHOTOGRAPHS"):
        root = _unpacked(Path(photographs), made / "unpacked")
        images = sorted((root / "train").glob("*/*"))
        for image in images:
            for copy in range(-(-least // len(images))):
                for split in ("train", "test"):
                    place = source / split / image.parent.name / f"{copy}-{image.name}"
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.symlink_to(image.resolve())
    else:
        random = np.random.default_rng(0)
        for number in range(least):
            for split in ("train", "test"):
                place = source / split / str(number % 4) / f"{number}.jpg"
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(random.integers(0, 256, (300, 400, 3), dtype=np.uint8)).save(place)
    pack(source, made / "pack", 256)
    return made / "pack"


def _unpacked(given: Path, to: Path) -> Path:
    """A folder with train/: the given one, or what a tar archive holds."""
    if given.is_dir():
        return given
    with tarfile.open(given) as archive:
        archive.extractall(to, filter="data")
    return next(path.parent for path in sorted(to.rglob("train")) if path.is_dir())
