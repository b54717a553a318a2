"""The contrastive losses: NT-Xent (Eq. 1), NT-Logistic and margin triplet (Table 2), also over many ranks."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.simclr import config
from ablate.simclr.distributed import ALONE, World

_BLOCK_BYTES = 2**23
"""Memory of the logits that are held at once on a CPU, where they should stay in the cache."""


class Contrastive(NamedTuple):
    """A loss, and how well the views of an image are matched, as in Table 5; scalars, means over anchors."""

    loss: Tensor
    accuracy: Tensor
    """Share of first views whose nearest second view, of all N, is that of the same image; without gradient."""
    entropy: Tensor
    """Of the softmax over the N second views, in nats; without gradient."""


class _Pairs(NamedTuple):
    """One set of anchors and the candidates that each is compared with."""

    anchors: Tensor  # (A, d)
    candidates: Tensor  # (C, d)
    positive: Tensor  # (A,), which candidate is the anchor's other view
    excluded: Tensor | None  # (A,), which candidate is the anchor itself


def contrastive_loss(first: Tensor, second: Tensor, settings: config.Loss, world: World = ALONE) -> Contrastive:
    """The loss of z of the two views, (n, d) each, row i of both from image i; negatives come from all ranks.

    The loss is the mean over this rank's anchors; its mean over ranks is that of the whole batch, and so is
    its gradient once gradients are averaged over ranks.
    """
    if settings.normalize:
        first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
    pairs = _pairs(first, second, settings.negatives, world)
    temperature = temperature_of(settings)
    accuracy, entropy = match(
        first.detach(), pairs[0].candidates.detach()[-len(first) * world.size :], temperature, world
    )
    if settings.name == "nt_xent":
        losses = [nt_xent(*each, temperature=temperature) for each in pairs]
    else:
        losses = [_triplets(each, settings) for each in pairs]
    return Contrastive(torch.stack(losses).mean(), accuracy, entropy)


def temperature_of(settings: config.Loss) -> float:
    """What similarities are divided by; the margin loss divides by nothing."""
    return 1.0 if settings.name == "margin" else settings.temperature


def _pairs(first: Tensor, second: Tensor, negatives: str, world: World) -> list[_Pairs]:
    """Anchors and candidates. With negatives from both views 2n anchors against 2N, else n against N, twice."""
    all_first, all_second = world.gather(first), world.gather(second)
    count = len(all_first)
    own = torch.arange(count, device=first.device)[world.slice(count)]
    if negatives == "one":
        return [_Pairs(first, all_second, own, None), _Pairs(second, all_first, own, None)]
    anchors, candidates = torch.cat([first, second]), torch.cat([all_first, all_second])
    return [_Pairs(anchors, candidates, torch.cat([own + count, own]), torch.cat([own, own + count]))]


def nt_xent(
    anchors: Tensor, candidates: Tensor, positive: Tensor, excluded: Tensor | None, temperature: float
) -> Tensor:
    """Eq. 1: mean cross entropy of each anchor's positive among all candidates but itself, a scalar.

    anchors (A, d), candidates (C, d), positive and excluded (A,) int64. The A x C logits are never held: rows
    are computed in blocks, and their share of the gradient at once, since one row needs no other.
    """
    if torch.is_grad_enabled() and (anchors.requires_grad or candidates.requires_grad):
        loss: Tensor = _NTXent.apply(anchors, candidates, positive, excluded, temperature)  # type: ignore[no-untyped-call]
        return loss
    return _nt_xent(anchors, candidates, positive, excluded, temperature, None, None)


class _NTXent(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, anchors: Tensor, candidates: Tensor, positive: Tensor, excluded: Tensor | None, temperature: float
    ) -> Tensor:
        of_anchors, of_candidates = torch.empty_like(anchors), torch.zeros_like(candidates)
        loss = _nt_xent(anchors, candidates, positive, excluded, temperature, of_anchors, of_candidates)
        ctx.save_for_backward(of_anchors, of_candidates)
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        of_anchors, of_candidates = ctx.saved_tensors
        return gradient * of_anchors, gradient * of_candidates, None, None, None


def _nt_xent(
    anchors: Tensor,
    candidates: Tensor,
    positive: Tensor,
    excluded: Tensor | None,
    temperature: float,
    of_anchors: Tensor | None,
    of_candidates: Tensor | None,
) -> Tensor:
    """The loss; its gradients are written into of_anchors and added to of_candidates where they are given."""
    loss = anchors.new_zeros(())
    weight = 1 / (len(anchors) * temperature)
    for start in range(0, len(anchors), rows := _rows_at_once(candidates)):
        block = slice(start, start + rows)
        logits = (anchors[block] / temperature) @ candidates.T  # (rows, C)
        if excluded is not None:
            logits.scatter_(1, excluded[block, None], -torch.inf)
        matched = logits.gather(1, positive[block, None])
        log_sum = logits.logsumexp(1, keepdim=True)
        loss += (log_sum - matched).sum()
        if of_anchors is not None and of_candidates is not None:
            difference = logits.sub_(log_sum).exp_()  # softmax
            difference.scatter_add_(1, positive[block, None], -torch.ones_like(matched))  # minus the target
            torch.mm(difference, candidates, out=of_anchors[block])
            of_candidates.addmm_(difference.T, anchors[block], alpha=weight)
    if of_anchors is not None:
        of_anchors.mul_(weight)
    return loss / len(anchors)


def _rows_at_once(candidates: Tensor) -> int:
    budget = _BLOCK_BYTES if candidates.device.type == "cpu" else 16 * _BLOCK_BYTES
    return max(1, budget // (len(candidates) * candidates.element_size()))


@torch.no_grad()
def match(first: Tensor, all_second: Tensor, temperature: float, world: World = ALONE) -> tuple[Tensor, Tensor]:
    """Contrastive accuracy and entropy of first views (n, d) among all second views (N, d) (Table 5)."""
    own = torch.arange(len(all_second), device=first.device)[world.slice(len(all_second))]
    accuracy, entropy = first.new_zeros(()), first.new_zeros(())
    for start in range(0, len(first), rows := _rows_at_once(all_second)):
        logits = (first[start : start + rows] / temperature) @ all_second.T
        accuracy += (logits.argmax(1) == own[start : start + rows]).sum()
        log_probability = logits.log_softmax(1)
        entropy -= (log_probability.exp() * log_probability).sum()
    return accuracy / len(first), entropy / len(first)


def _triplets(pairs: _Pairs, settings: config.Loss) -> Tensor:
    """NT-Logistic or the margin triplet loss: the mean over anchors of the mean over negatives (Table 2).

    The paper does not say whether negatives are summed or averaged; averaged, the one positive and the many
    negatives weigh alike, as in the table's formulas.
    """
    similarity = pairs.anchors @ pairs.candidates.T  # (A, C)
    positive = similarity.gather(1, pairs.positive[:, None])  # (A, 1)
    negative = torch.ones_like(similarity, dtype=torch.bool).scatter_(1, pairs.positive[:, None], False)
    if pairs.excluded is not None:
        negative.scatter_(1, pairs.excluded[:, None], False)
    if settings.semi_hard:
        negative = _semi_hard(similarity.detach(), positive.detach(), negative, settings)
    if settings.name == "margin":
        of_negatives = (similarity - positive + settings.margin).clamp(min=0)
        of_positives = torch.zeros_like(positive)
    else:
        of_negatives = -F.logsigmoid(-similarity / settings.temperature)
        of_positives = -F.logsigmoid(positive / settings.temperature)
    means = (of_negatives * negative).sum(1) / negative.sum(1).clamp(min=1)
    return (of_positives[:, 0] + means).mean()


def _semi_hard(similarity: Tensor, positive: Tensor, negative: Tensor, settings: config.Loss) -> Tensor:
    """Of each anchor's negatives the nearest that is farther than the positive, and within the margin if there is one.

    After Schroff et al. 2015; an anchor that has none is left with its positive alone.
    """
    allowed = negative & (similarity < positive)
    if settings.name == "margin":
        allowed &= similarity > positive - settings.margin
    nearest = similarity.masked_fill(~allowed, -torch.inf).argmax(1, keepdim=True)
    return torch.zeros_like(negative).scatter_(1, nearest, True) & allowed
