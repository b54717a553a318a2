"""Drawing a study's pictures with the trainer itself: views, their histograms, and nearest neighbours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ablate.simclr.augment import Augment
from ablate.simclr.augment.crop import Crop
from ablate.simclr.base.checkpoint import read
from ablate.simclr.config import Config
from ablate.simclr.config.network import Encoder, multiply_adds
from ablate.simclr.data.batches import Stream, as_floats
from ablate.simclr.data.dataset import Dataset, Sample, sample
from ablate.simclr.data.images import Split
from ablate.simclr.data.views import fit
from ablate.simclr.evaluate.frozen import Frozen
from ablate.simclr.model import make_model
from ablate.simclr.pretrain import owner
from ablate.trainer.contract import Console
from ablate.trainer.world import ALONE

IMAGES, STEPS, CROPS, BINS = 3, 3, 4, 32
_SMOOTH = Crop(antialias=True)
_SEED = 0
QUERIES, NEAREST, GALLERY, EACH = 5, 6, 1000, 10
_FEWEST = 60
_MULTIPLY_ADDS = 1e11
"""What a CPU computes in a few seconds."""
Floats = NDArray[np.float32]


def strip(config: Config, sample: Sample) -> dict[str, Any]:
    """Images of the data, each with the two views of some steps (IMAGES rows, 1 + 2 STEPS columns)."""
    size = config.data.image_size
    rows = np.arange(len(sample.labels))
    columns = [_pixels(sample, rows, size)]
    for views in step_views(config.augment, sample, size, 2):
        columns += [views[: len(rows)], views[len(rows) :]]
    return {
        "uri": np.stack(columns, axis=1),
        "rows": len(rows),
        "columns": len(columns),
        "side": size,
        "classes": [sample.names[label] for label in sample.labels],
    }


def step_views(
    augment: Augment, sample: Sample, size: int, views: Literal[1, 2], steps: int = STEPS
) -> Iterator[Floats]:
    """The views of each step of a training on the images, in their order: (views x N, 3, size, size)."""
    count = len(sample.labels)
    stream = Stream(sample.images, augment, size, count, steps, _SEED, "pretrain", views)
    for batch in stream.batches(0, ALONE, torch.device("cpu")):
        order = np.argsort(batch.rows)
        yield batch.views.numpy()[np.concatenate([order + view * count for view in range(views)])]


def histograms(config: Config, sample: Sample) -> dict[str, Any]:
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


def neighbours(config: Config, checkpoint: Path) -> dict[str, Any]:
    """One query of each of some classes with the test images that are nearest to it, by the checkpoint's features.

    Raises ValueError or OSError where the images or the checkpoint are not here, damaged, or another trial's, or
    where the encoder is too large to be run for a page.
    """
    gallery = sample(config.data, "test", _count(config), EACH)
    features = features_of(config, checkpoint, gallery)
    labels, classes = gallery.labels, np.unique(gallery.labels)
    asked = min(QUERIES, len(classes))
    queries = np.array([np.flatnonzero(labels == classes[place * len(classes) // asked])[0] for place in range(asked)])
    near, similarity = nearest(features, queries)
    return {
        "queries": _pixels(gallery, queries[:, None], config.data.image_size),
        "near": _pixels(gallery, near, config.data.image_size),
        "side": config.data.image_size,
        "classes": [gallery.names[label] for label in labels[queries]],
        "found": [[gallery.names[label] for label in row] for row in labels[near]],
        "right": (labels[near] == labels[queries][:, None]).tolist(),
        "similarity": similarity.round(3).tolist(),
        "gallery": len(labels),
        "gallery_classes": len(classes),
    }


def features_of(config: Config, checkpoint: Path, images: Sample) -> NDArray[np.float64]:
    """Features (N, d) of the layer that the trial evaluates, with the weights of a checkpoint."""
    state = read(checkpoint, owner(config))
    if state is None:
        raise ValueError(f"the checkpoint {checkpoint.name} is damaged")
    device, classes = torch.device("cpu"), len(state["model"]["probe.bias"])
    model = make_model(config, classes, device)
    model.load_state_dict(state["model"])
    split, layer = Split(images.images, torch.from_numpy(images.labels)), config.evaluate.layer
    frozen = Frozen(config, model, Dataset(split, split, classes), Console(device))
    return frozen.encode(split, (layer,))[layer].double().numpy()


def nearest(features: NDArray[np.float64], queries: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows of the NEAREST other features (N, d) by cosine similarity to those of `queries` (Q,), and the similarity.

    (Q, NEAREST) each, nearest first; of equally near ones the first.
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    similarity = unit[queries] @ unit.T
    similarity[np.arange(len(queries)), queries] = -np.inf
    rows = np.argsort(-similarity, axis=1, kind="stable")[:, : min(NEAREST, len(features) - 1)]
    return rows, np.take_along_axis(similarity, rows, axis=1)


def _count(config: Config) -> int:
    """How many test images are compared. Raises ValueError where a page cannot wait for enough of them."""
    size = config.data.image_size
    adds = multiply_adds(config.encoder, size) or multiply_adds(Encoder(), size) or 1
    if _FEWEST * adds > 5 * _MULTIPLY_ADDS:
        raise ValueError("the encoder is too large to be run on a CPU while a page is built")
    return max(_FEWEST, min(GALLERY, int(_MULTIPLY_ADDS / adds)))


def _pixels(images: Sample, rows: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    """Images by their rows, of any shape, as floats (*rows, 3, size, size) in [0, 1]."""
    (pixels,) = images.images.stream([rows.reshape(-1)], torch.device("cpu"))
    fitted: NDArray[np.float32] = fit(as_floats(pixels), images.images.shapes[rows.reshape(-1)], size, _SMOOTH).numpy()
    return fitted.reshape(*rows.shape, 3, size, size)
