"""The contrastive losses and their settings: NT-Xent (Eq. 1), NT-Logistic and margin triplet (Table 2).

To add one, write its function, name it in `Loss.name` and `LOSSES`, and add its settings to `Loss`; no other file names
it. Planning reads the settings without torch, so the functions import it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from ablate.simclr.base import Positive, Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ablate.simclr.loss.pairs import Pairs


class Loss(Settings):
    """The contrastive loss (Eq. 1, Table 2)."""

    name: Literal["nt_xent", "nt_logistic", "margin"] = "nt_xent"
    """`nt_xent`: normalized temperature-scaled cross-entropy; `nt_logistic`: logistic; `margin`: margin triplet."""
    temperature: Annotated[float, Field(gt=0, le=1000)] = 0.1
    """tau of Eq. 1; unused by `margin`."""
    margin: Annotated[float, Field(ge=0, le=2)] = 0.4
    """m of the margin triplet loss; the paper tunes it in {0, 0.4, 0.8, 1.6} (App. B.10)."""
    semi_hard: bool = False
    """Use only the nearest negative that is farther than the positive (section 5.1)."""
    normalize: bool = True
    """Divide z by its length, so that similarity is the cosine (Table 5)."""
    negatives: Literal["both", "one"] = "both"
    """Negatives of an anchor: the other images in both views, or in the other view only, as in Table 2."""
    scale: Positive = 2.0
    """Factor of Eq. 1 in the minimized loss: the authors' code adds the means over both views.

    It cancels where LARS and AdamW normalize, but not for batch norm's parameters under LARS."""

    @model_validator(mode="after")
    def _semi_hard_fits(self) -> Self:
        if self.semi_hard and self.name == "nt_xent":
            raise ValueError("semi_hard = true needs loss.name = 'nt_logistic' or 'margin'")
        return self


def nt_xent(pairs: Pairs, settings: Loss) -> Tensor:
    """Eq. 1: the mean cross entropy of each anchor's positive among all candidates but itself, a scalar.

    The A x C logits are never in memory at once: rows are independent, so they are computed in blocks, together with
    their share of the gradient.
    """
    import torch

    from ablate.simclr.loss.pairs import blocks, with_gradient

    anchors, candidates = pairs.anchors.detach(), pairs.candidates.detach()
    of_anchors, of_candidates = torch.empty_like(anchors), torch.zeros_like(candidates)  # the loss's gradients
    losses, weight = [], 1 / (len(anchors) * settings.temperature)
    for rows in blocks(anchors, candidates):
        logits = (anchors[rows] / settings.temperature) @ candidates.T  # (rows, C)
        if pairs.excluded is not None:
            logits.scatter_(1, pairs.excluded[rows, None], -torch.inf)
        matched = logits.gather(1, pairs.positive[rows, None])
        log_sum = logits.logsumexp(1, keepdim=True)
        losses.append((log_sum - matched).sum())
        difference = logits.sub_(log_sum).exp_()  # the softmax
        difference.scatter_add_(1, pairs.positive[rows, None], torch.full_like(matched, -1))  # minus the target
        torch.mm(difference, candidates, out=of_anchors[rows])
        of_candidates.addmm_(difference.T, anchors[rows], alpha=weight)
    of_anchors.mul_(weight)
    return with_gradient(reduce(add, losses) / len(anchors), pairs, of_anchors, of_candidates)


def nt_logistic(pairs: Pairs, settings: Loss) -> Tensor:
    """NT-Logistic of Table 2: -log sigmoid(u.v+ / tau), and the mean of -log sigmoid(-u.v- / tau) over negatives.

    The paper does not say whether negatives are summed or averaged; averaged, the one positive and the many
    negatives weigh alike, as in the table's formulas.
    """
    import torch.nn.functional as F

    from ablate.simclr.loss.pairs import mean_over, negatives_of, semi_hard

    similarity = pairs.anchors @ pairs.candidates.T  # (A, C)
    positive = similarity.gather(1, pairs.positive[:, None])  # (A, 1)
    negatives = negatives_of(pairs)  # (A, C)
    if settings.semi_hard:
        negatives = semi_hard(negatives & (similarity < positive), similarity)
    of_negatives = -F.logsigmoid(-similarity / settings.temperature)
    of_positive = -F.logsigmoid(positive / settings.temperature)
    return (of_positive[:, 0] + mean_over(of_negatives, negatives)).mean()


def margin(pairs: Pairs, settings: Loss) -> Tensor:
    """The margin triplet loss of Table 2: the mean of max(u.v- - u.v+ + m, 0) over negatives."""
    from ablate.simclr.loss.pairs import mean_over, negatives_of, semi_hard

    similarity = pairs.anchors @ pairs.candidates.T  # (A, C)
    positive = similarity.gather(1, pairs.positive[:, None])  # (A, 1)
    negatives = negatives_of(pairs)  # (A, C)
    if settings.semi_hard:
        within = (similarity < positive) & (similarity > positive - settings.margin)
        negatives = semi_hard(negatives & within, similarity)
    return mean_over((similarity - positive + settings.margin).clamp(min=0), negatives).mean()


LOSSES: dict[str, Callable[[Pairs, Loss], Tensor]] = {"nt_xent": nt_xent, "nt_logistic": nt_logistic, "margin": margin}
"""The functions of `Loss.name`."""


def temperature_of(settings: Loss) -> float:
    """Return what similarities are divided by; 1 for the margin loss."""
    return 1.0 if settings.name == "margin" else settings.temperature
