"""Whether the color histograms of two views tell that they are of one image: the shortcut of Fig. 6 as a number."""

import torch
from torch import Tensor

from ablate.simclr.data.batches import stream_of
from ablate.simclr.evaluate.frozen import Frozen
from ablate.trainer.world import ALONE

BINS = 32
TOGETHER = 256
"""Images among which a view is looked for, at any batch size of the pretraining."""
_ROUNDING = 1e-12


def histograms(frozen: Frozen) -> dict[str, float]:
    """How well histograms of intensities identify test images, from two views of each; the network is not used.

    `histogram_accuracy`: in percent, how often the first view of an image shares most of its histogram with the second
    view of the same image, among those of 256 images; chance is 100 / 256. `histogram_overlap`: the mean share that
    the histograms of two views of one image have in common.
    """
    config, images = frozen.config, frozen.data.test.images
    together = min(TOGETHER, len(images))
    stream = stream_of(config, images, together, len(images) // together, "pairs", views=2)
    found = []
    for batch in stream.batches(0, ALONE, frozen.context.device):
        frozen.go_on()
        found.append(torch.stack(identified(*(histogram(views) for views in batch.views.chunk(2)))))
    accuracy, overlap = torch.stack(found).mean(0).tolist()
    return {"histogram_accuracy": 100 * accuracy, "histogram_overlap": overlap}


def histogram(images: Tensor) -> Tensor:
    """The shares of BINS equal ranges of [0, 1] among the values of all channels: float64 (N, BINS).

    `images` is (N, 3, H, W); 1 belongs to the last range.
    """
    count, each = len(images), images[0].numel()
    places = (images.reshape(count, each).double() * BINS).long().clamp_(0, BINS - 1)
    counts = torch.zeros(count, BINS, dtype=torch.float64, device=images.device)
    return counts.scatter_add_(1, places, torch.ones_like(counts[:, :1]).expand(count, each)) / each


def identified(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """How often a row of `first` is most like the same row of `second`, and how alike they are on average.

    Both are histograms (N, BINS), whose likeness is the share that they have in common (Swain and Ballard 1991). Of k
    rows that are equally alike, each counts as 1 / k.
    """
    alike = torch.stack([torch.minimum(row, second).sum(dim=1) for row in first])  # (N, N)
    own, most = alike.diagonal(), alike.max(dim=1).values
    near = alike >= most[:, None] - _ROUNDING
    right = (own >= most - _ROUNDING).double() / near.sum(dim=1)
    return right.mean(), own.mean()
