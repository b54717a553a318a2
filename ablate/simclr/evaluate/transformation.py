"""Which transformation was applied, read from frozen h or g(h) by a small network (Table 3)."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ablate.simclr.augment.color import grayscale
from ablate.simclr.augment.noise import gaussian_noise
from ablate.simclr.augment.rotate import rotate
from ablate.simclr.augment.sobel import sobel
from ablate.simclr.base.randomness import generator
from ablate.simclr.config import Transformation
from ablate.simclr.data.images import Split
from ablate.simclr.evaluate.frozen import Frozen, Layer
from ablate.simclr.evaluate.scores import top_k
from ablate.trainer.contract import Interrupted

_GRAY_SHARE = 0.2
"""Share of gray images: the chance of 80 % in Table 3's first row is that of the color distortion."""


def transformation(frozen: Frozen) -> dict[str, float]:
    """Top-1 in percent of predicting the applied transformation from h and from z = g(h) (Table 3)."""
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
    """Transform each image as its label says; return features and labels (N,)."""
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
    """Transform the images whose label is 1; a rotation's label is its number of quarter turns."""
    if settings.target == "rotation":
        return rotate(images, labels)
    changed = torch.from_numpy(labels == 1).to(images.device)[:, None, None, None]
    if settings.target == "color":
        return torch.where(changed, grayscale(images), images)
    if settings.target == "sobel":
        return torch.where(changed, sobel(images), images)
    sigma = images.new_full((len(images),), settings.noise_sigma)
    noisy = gaussian_noise(images, sigma, torch.from_numpy(seeds).to(images.device))
    return torch.where(changed, noisy, images)


class Standardise(nn.Module):
    """(x - mean) / deviation per feature, by the statistics of given features; constant features become zero."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        deviation, mean = torch.std_mean(features, dim=0, correction=0)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", torch.where(deviation > 0, deviation, 1.0))

    def forward(self, features: Tensor) -> Tensor:
        """(B, d) -> (B, d)."""
        return (features - self.mean) / self.deviation


def fit_mlp(
    features: Tensor,
    labels: Tensor,
    classes: int,
    hidden: int | None = None,
    epochs: int = 30,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    seed: int = 0,
    stopping: Callable[[], bool] = lambda: False,
) -> nn.Module:
    """A network (B, d) -> logits (B, classes) with one hidden ReLU layer, trained by Adam on features (N, d).

    The paper says only "additional MLPs", so all settings are ours: as wide as the features unless `hidden` is given,
    Adam at a constant rate, cross entropy, no regularisation. Features are standardised first, so that one rate suits
    h and g(h), whose scales differ. `labels` is int64 (N,). Initial
    weights and batches depend only on `seed`. Raises Interrupted when `stopping()`.
    """
    model = _network(features, hidden or features.shape[1], classes, seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    for epoch in range(epochs):
        order = generator(seed, "classifier", epoch).permutation(len(features))
        for chosen in torch.from_numpy(order).to(features.device).split(batch_size):
            if stopping():
                raise Interrupted
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(model(features[chosen]), labels[chosen]).backward()
            optimizer.step()
    return model.eval()


def _network(features: Tensor, hidden: int, classes: int, seed: int) -> nn.Module:
    """Draw weights by the normal initialisation of He et al. 2015, on the CPU: the same for any device."""
    drawn = torch.Generator().manual_seed(seed)
    sizes = (features.shape[1], hidden), (hidden, classes)
    layers = [nn.utils.skip_init(nn.Linear, *size) for size in sizes]  # draws nothing from the global generator
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=drawn)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(Standardise(features), layers[0], nn.ReLU(), layers[1]).to(features.device)
