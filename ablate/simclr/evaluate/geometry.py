"""What features and a linear head look like without labels: rank, alignment, uniformity, spectrum."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

RANKME_EPSILON = 1e-7
"""Added to every normalised singular value, as in Garrido et al. 2023, Eq. 1."""


@torch.no_grad()
def effective_rank(features: Tensor, block: int = 8192) -> float:
    """RankMe (Garrido et al. 2023, Eq. 1): exp of the entropy of the normalised singular values of features (N, d).

    Between 1 and min(N, d), up to the paper's epsilon; 0 for features that are all zero. The features are not
    centred. Float64: a QR decomposition takes in `block` rows at a time, its triangle has the singular values.
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
        raise ValueError(f"uniformity is of pairs of features, not of {count}")
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
