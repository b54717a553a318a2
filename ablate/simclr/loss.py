"""NT-Xent, the normalized temperature-scaled cross entropy (Eq. 1)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class NTXent(NamedTuple):
    """The loss, and how often the first view of an image was nearest to its own second view."""

    loss: Tensor
    """The mean of l(i, j) over all 2N ordered positive pairs, a scalar."""
    accuracy: Tensor
    """Contrastive accuracy: over the N second views only, as in Table 5; a share, without gradient."""


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> NTXent:
    """Eq. 1 and Algorithm 1 for z of the two views, (N, d) each, row i of both from image i."""
    count = len(first)
    z = F.normalize(torch.cat([first, second]), dim=1)  # (2N, d)
    logits = z @ z.T / temperature  # (2N, 2N)
    logits.fill_diagonal_(-torch.inf)
    partner = torch.arange(2 * count, device=z.device).roll(count)
    nearest = logits.detach()[:count, count:].argmax(1)  # (N,)
    return NTXent(F.cross_entropy(logits, partner), (nearest == partner[count:]).float().mean())
