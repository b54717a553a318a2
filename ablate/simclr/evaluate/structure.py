"""What representations are like: contrast, spectrum, geometry, and what they know of transformations."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ablate.simclr.augment import color, filters
from ablate.simclr.batches import Stream
from ablate.simclr.config import Transformation
from ablate.simclr.data.images import Split
from ablate.simclr.distributed import ALONE
from ablate.simclr.evaluate.frozen import Frozen, Layer
from ablate.simclr.evaluate.geometry import alignment, effective_rank, squared_eigenvalues, uniformity
from ablate.simclr.evaluate.metrics import top_k
from ablate.simclr.evaluate.transformation import fit_mlp
from ablate.simclr.head import ProjectionHead
from ablate.simclr.loss import match, temperature_of
from ablate.simclr.precision import model_dtype
from ablate.simclr.randomness import generator

_GRAY_SHARE = 0.2
"""Of the images of Table 3's first row: its chance of 80 % is that of the color distortion."""


def contrastive(frozen: Frozen) -> dict[str, float]:
    """Contrastive accuracy in percent and entropy in nats of the test images' views, batch by batch (Table 5)."""
    found = []
    settings = frozen.config.loss
    for first, second in _pairs(frozen):
        if settings.normalize:
            first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
        found.append(torch.stack(match(first, second, temperature_of(settings))))
    accuracy, entropy = torch.stack(found).mean(0).tolist()
    return {"contrastive_test_accuracy": 100 * accuracy, "contrastive_test_entropy": entropy}


def geometry(frozen: Frozen) -> dict[str, float]:
    """Effective ranks of h and z of the test images, alignment of their views, uniformity of z."""
    first, second = (torch.cat(views) for views in zip(*_pairs(frozen), strict=True))
    return {
        "effective_rank_h": effective_rank(frozen.features("test", "h")),
        "effective_rank_z": effective_rank(frozen.features("test", "z")),
        "alignment": alignment(first, second),
        "uniformity": uniformity(frozen.features("test", "z")),
    }


def _pairs(frozen: Frozen) -> list[tuple[Tensor, Tensor]]:
    """Z of two views of the test images in batches of the pretraining's size: float32 (N, d) each."""
    config, images = frozen.config, frozen.data.test.images
    batch_size = min(config.batch_size, len(images))
    stream = Stream(
        images=images,
        augment=config.augment,
        size=config.data.image_size,
        batch_size=batch_size,
        steps=len(images) // batch_size,
        seed=config.seed,
        purpose="pairs",
        views=2,
        dtype=model_dtype(config.precision),
    )
    pairs = []
    for batch in stream.batches(0, ALONE, frozen.context.device):
        frozen.go_on()
        first, second = frozen.through(batch.views.split(500), ("z",))["z"].chunk(2)
        pairs.append((first, second))
    return pairs


def spectrum(frozen: Frozen) -> dict[str, float]:
    """How many directions a linear head keeps: the squared eigenvalues of its weight, one a row (App. B.4)."""
    head = frozen.model.head
    assert isinstance(head, ProjectionHead)  # checked by config.Config
    values = squared_eigenvalues(next(head.last.parameters()).detach())
    for number, value in enumerate(values.tolist(), 1):
        frozen.context.log({"phase": "spectrum", "number": number, "squared_eigenvalue": value})
    return {"spectrum_above_hundredth": float((values > values[0] / 100).sum()), "spectrum_largest": float(values[0])}


def transformation(frozen: Frozen) -> dict[str, float]:
    """Top-1 in percent of telling from h, and from z = g(h), which transformation was applied (Table 3)."""
    settings, seed = frozen.config.evaluate.transformation, frozen.config.seed
    (train, train_labels), (test, test_labels) = (
        _transformed(frozen, split, part) for part, split in enumerate((frozen.data.train, frozen.data.test), 1)
    )
    classes = 4 if settings.target == "rotation" else 2
    found = {}
    for layer in ("h", "z"):
        network = fit_mlp(
            train[layer],
            train_labels,
            classes,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            seed=seed,
            stopping=frozen.stopping,
        )
        with torch.no_grad():
            found[f"transformation_{layer}_top1"] = top_k(network(test[layer]), test_labels, 1)
    return {**found, "transformation_chance": 100 * float(test_labels.bincount().max()) / len(test_labels)}


def _transformed(frozen: Frozen, split: Split, part: int) -> tuple[dict[Layer, Tensor], Tensor]:
    """Features of images each transformed as its label says, and the labels (N,)."""
    settings, count = frozen.config.evaluate.transformation, len(split.images)
    random = generator(frozen.config.seed, "transformation", 0, part)
    labels = random.integers(0, 4 if settings.target == "rotation" else 2, count)
    if settings.target == "color":
        labels = (random.random(count) < _GRAY_SHARE).astype(np.int64)
    seeds = random.integers(0, 2**31, count, dtype=np.int32)
    features = frozen.through(_transform_all(frozen, split, labels, seeds), ("h", "z"))
    return features, torch.from_numpy(labels).to(frozen.context.device)


def _transform_all(
    frozen: Frozen, split: Split, labels: NDArray[np.int64], seeds: NDArray[np.int32]
) -> Iterator[Tensor]:
    done = 0
    for images in frozen.plain(split, np.arange(len(labels))):
        now = slice(done, done + len(images))
        done = now.stop
        yield _transform(images, labels[now], seeds[now], frozen.config.evaluate.transformation)


def _transform(images: Tensor, labels: NDArray[np.int64], seeds: NDArray[np.int32], settings: Transformation) -> Tensor:
    """Images whose label is 0 as they are, the others transformed; a rotation by as many quarter turns."""
    if settings.target == "rotation":
        return filters.rotate(images, labels)
    changed = torch.from_numpy(labels == 1).to(images.device)[:, None, None, None]
    if settings.target == "color":
        return torch.where(changed, color.grayscale(images), images)
    if settings.target == "sobel":
        return torch.where(changed, filters.sobel(images), images)
    sigma = images.new_full((len(images),), settings.noise_sigma)
    noisy = filters.gaussian_noise(images, sigma, torch.from_numpy(seeds).to(images.device))
    return torch.where(changed, noisy, images)
