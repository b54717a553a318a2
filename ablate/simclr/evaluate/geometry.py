"""What representations look like without labels: contrast (Table 5), spectrum (App. B.4), rank and geometry."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.simclr.data.batches import stream_of
from ablate.simclr.evaluate.frozen import Frozen
from ablate.simclr.loss import temperature_of
from ablate.simclr.loss.pairs import match
from ablate.simclr.model import ProjectionHead
from ablate.trainer.world import ALONE

RANKME_EPSILON = 1e-7
"""Added to every normalised singular value, as in Garrido et al. 2023, Eq. 1."""


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
    """Compute z of two views of the test images, in batches of the pretraining's size: float32 (n, d) each."""
    config, images = frozen.config, frozen.data.test.images
    batch_size = min(config.batch_size, len(images))
    stream = stream_of(config, images, batch_size, len(images) // batch_size, "pairs", views=2)
    pairs = []
    for batch in stream.batches(0, ALONE, frozen.context.device):
        frozen.go_on()
        first, second = frozen.through(batch.views.split(500), ("z",))["z"].chunk(2)
        pairs.append((first, second))
    return pairs


def spectrum(frozen: Frozen) -> dict[str, float]:
    """How many directions a linear head keeps, by its squared eigenvalues, logged one per row (App. B.4)."""
    head = frozen.model.head
    assert isinstance(head, ProjectionHead)  # Config requires it
    values = squared_eigenvalues(next(head.last.parameters()).detach())
    for number, value in enumerate(values.tolist(), 1):
        frozen.context.log({"phase": "spectrum", "number": number, "squared_eigenvalue": value})
    return {"spectrum_above_hundredth": float((values > values[0] / 100).sum()), "spectrum_largest": float(values[0])}


@torch.no_grad()
def effective_rank(features: Tensor, block: int = 8192) -> float:
    """RankMe (Garrido et al. 2023, Eq. 1): exp of the entropy of the normalised singular values of features (N, d).

    Between 1 and min(N, d), up to the paper's epsilon; 0 for features that are all zero. The features are not
    centred. Computed in float64 by a QR decomposition, `block` rows at a time, which preserves the singular values.
    """
    triangle = features.new_zeros(0, features.shape[1], dtype=torch.float64)
    for rows in features.split(block):
        triangle = torch.linalg.qr(torch.cat([triangle, rows.double()]), mode="r").R
    values = torch.linalg.svdvals(triangle)
    if not values.any():
        return 0.0
    share = values / values.sum() + RANKME_EPSILON
    return math.exp(-float((share * share.log()).sum()))


@torch.no_grad()
def alignment(first: Tensor, second: Tensor, alpha: float = 2) -> float:
    """Mean distance to the power `alpha` between the unit vectors of two views, (N, d) each; 0 is best.

    L_align of Wang and Isola 2020, section 4.1.1; row i of both is of image i.
    """
    apart = F.normalize(first.double(), dim=1) - F.normalize(second.double(), dim=1)
    return float(apart.norm(dim=1).pow(alpha).mean())


@torch.no_grad()
def uniformity(features: Tensor, t: float = 2, block: int = 2048) -> float:
    """Log of the mean of exp(-t |u - v|^2) over all pairs of different rows, of unit length; lower is more uniform.

    L_uniform of Wang and Isola 2020, section 4.1.2. `features` is (N, d) with N >= 2, else ValueError; distances are
    in its dtype and summed in float64, at most `block` x `block` of them at once.
    """
    count = len(features)
    if count < 2:
        raise ValueError(f"uniformity needs at least 2 features, not {count}")
    blocks = F.normalize(features, dim=1).split(block)
    total = torch.zeros((), dtype=torch.float64, device=features.device)
    for number, rows in enumerate(blocks):
        for columns in blocks[number:]:
            potential = (2 * t * (rows @ columns.T - 1)).exp()  # |u - v|^2 = 2 - 2 u.v
            total += (potential.triu(1) if columns is rows else potential).sum(dtype=torch.float64)
    return math.log(float(total) / (count * (count - 1) / 2))


@torch.no_grad()
def squared_eigenvalues(weight: Tensor) -> Tensor:
    """|lambda|^2 of the matrix of a linear projection head, largest first, float64 (d,): the curve of Fig. B.3.

    A matrix (outputs, d) that is not square has no eigenvalues: then its squared singular values, (min(outputs, d),).
    """
    square = weight.shape[0] == weight.shape[1]
    values: Tensor = (torch.linalg.eigvals if square else torch.linalg.svdvals)(weight.double())
    return values.abs().square().sort(descending=True).values
