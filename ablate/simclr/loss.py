"""NT-Xent, the normalized temperature-scaled cross entropy (Eq. 1)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """The mean of l(i, j) over all 2N ordered positive pairs: Eq. 1 and Algorithm 1, a scalar.

    first, second (N, d): z of the two views, row i of each from image i; computed in float32 at least.
    """
    z = F.normalize(torch.cat([first, second]), dim=1)  # (2N, d)
    logits = z @ z.T / temperature  # (2N, 2N)
    logits.fill_diagonal_(-torch.inf)
    partner = torch.arange(len(z), device=z.device).roll(len(first))
    return F.cross_entropy(logits, partner)


@torch.no_grad()
def contrastive_accuracy(first: Tensor, second: Tensor) -> Tensor:
    """Share of the first views whose nearest second view, of N, is their own (Table 5)."""
    similarity = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T  # (N, N)
    return (similarity.argmax(1) == torch.arange(len(first), device=first.device)).float().mean()
