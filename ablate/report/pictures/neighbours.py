"""Nearest neighbours of test images by the features of a trained encoder."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ablate.report.pictures.kept import Drawn
from ablate.report.pictures.sprite import sprite
from ablate.simclr.augment.views import fit
from ablate.simclr.batches import as_floats
from ablate.simclr.checkpoint import read
from ablate.simclr.config import Config, Encoder
from ablate.simclr.config.effort import multiply_adds
from ablate.simclr.context import Console
from ablate.simclr.data.images import Dataset, Split
from ablate.simclr.data.sample import Sample, sample
from ablate.simclr.evaluate.frozen import Frozen
from ablate.simclr.model import make_model
from ablate.simclr.pretrain import owner

QUERIES, NEAREST, GALLERY, EACH = 5, 6, 1000, 10
_FEWEST = 60
_MULTIPLY_ADDS = 1e11
"""What a CPU computes in a few seconds."""
_MOST = 22_000
"""Bytes of the neighbours' sprite."""


def neighbours(config: Config, checkpoint: Path) -> Drawn:
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
        "queries": sprite(_pixels(gallery, queries[:, None], config.data.image_size), _MOST // NEAREST),
        "near": sprite(_pixels(gallery, near, config.data.image_size), _MOST),
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
    """Some of the images (R, C), as floats (R, C, 3, size, size) in [0, 1]."""
    (pixels,) = images.images.stream([rows.reshape(-1)], torch.device("cpu"))
    fitted: NDArray[np.float32] = fit(as_floats(pixels), images.images.shapes[rows.reshape(-1)], size).numpy()
    return fitted.reshape(*rows.shape, 3, size, size)
