"""Anchors with the candidates they are compared to, and the operations that the losses share."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor

from ablate.trainer.world import ALONE, World

_BLOCK_BYTES = 2**23
"""Memory for the logits of one block on a CPU, small enough for its cache."""


@dataclass(frozen=True)
class Pairs:
    """Anchors, and the candidates that each is compared to."""

    anchors: Tensor
    """(A, d)."""
    candidates: Tensor
    """(C, d)."""
    positive: Tensor
    """(A,): which candidate is the anchor's other view."""
    excluded: Tensor | None = None
    """(A,): which candidate is the anchor itself."""


def make_pairs(first: Tensor, second: Tensor, negatives: str, world: World = ALONE) -> list[Pairs]:
    """Pair this rank's views (n, d) each, row i of both from image i, with the views of all ranks (N, d).

    With negatives from both views 2n anchors against 2N candidates, else n against N, twice. A loss is the mean over
    this rank's anchors; its mean over ranks is that of the whole batch, and so is its gradient once gradients are
    averaged over ranks.
    """
    if negatives == "both" and world.size == 1:  # in fewer kernels than below
        both = torch.cat([first, second])
        own = torch.arange(len(both), device=first.device)
        return [Pairs(both, both, own.roll(len(first)), own)]
    all_first, all_second = world.gather(first), world.gather(second)
    count = len(all_first)
    own = torch.arange(count, device=first.device)[world.slice(count)]
    if negatives == "one":
        return [Pairs(first, all_second, own), Pairs(second, all_first, own)]
    anchors, candidates = torch.cat([first, second]), torch.cat([all_first, all_second])
    return [Pairs(anchors, candidates, torch.cat([own + count, own]), torch.cat([own, own + count]))]


def blocks(anchors: Tensor, candidates: Tensor) -> Iterator[slice]:
    """Cut the anchors into blocks of rows whose logits fit in memory."""
    budget = _BLOCK_BYTES if candidates.device.type == "cpu" else 16 * _BLOCK_BYTES
    rows = max(1, budget // (len(candidates) * candidates.element_size()))
    for start in range(0, len(anchors), rows):
        yield slice(start, start + rows)


def with_gradient(loss: Tensor, pairs: Pairs, of_anchors: Tensor, of_candidates: Tensor) -> Tensor:
    """Attach to a loss its gradients for anchors and candidates, which are computed already."""
    connected: Tensor = _WithGradient.apply(loss, pairs.anchors, of_anchors, pairs.candidates, of_candidates)  # type: ignore[no-untyped-call]
    return connected


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, loss: Tensor, anchors: Tensor, of_anchors: Tensor, candidates: Tensor, of_candidates: Tensor
    ) -> Tensor:
        ctx.save_for_backward(of_anchors, of_candidates)
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None, Tensor, None]:
        of_anchors, of_candidates = ctx.saved_tensors
        return None, gradient * of_anchors, None, gradient * of_candidates, None


def negatives_of(pairs: Pairs) -> Tensor:
    """Mark each anchor's negatives, bool (A, C): all candidates but its positive and itself."""
    marks = torch.ones(len(pairs.anchors), len(pairs.candidates), dtype=torch.bool, device=pairs.anchors.device)
    marks.scatter_(1, pairs.positive[:, None], False)
    return marks if pairs.excluded is None else marks.scatter_(1, pairs.excluded[:, None], False)


def semi_hard(allowed: Tensor, similarity: Tensor) -> Tensor:
    """Mark each anchor's nearest allowed candidate, bool (A, C), after Schroff et al. 2015.

    An anchor without allowed candidates has only its positive.
    """
    nearest = similarity.detach().masked_fill(~allowed, -torch.inf).argmax(1, keepdim=True)
    return torch.zeros_like(allowed).scatter_(1, nearest, True) & allowed


def mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """Average each row's chosen values, (A, C) -> (A,); 0 if there are none."""
    return (values * chosen).sum(1) / chosen.sum(1).clamp(min=1)


@torch.no_grad()
def match(
    first: Tensor, all_second: Tensor, temperature: float, world: World = ALONE, own: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Contrastive accuracy and entropy (Table 5) of first views (n, d) among all second views (N, d); scalars.

    Accuracy is the share of first views whose nearest second view belongs to the same image; entropy, in nats, is that
    of the softmax over the N second views. Both are means over anchors, without gradient. own (n,): each first view's
    second view, if it is known already.
    """
    if own is None:
        own = torch.arange(len(all_second), device=first.device)[world.slice(len(all_second))]
    right, products = [], []
    for rows in blocks(first, all_second):
        logits = (first[rows] / temperature) @ all_second.T
        right.append((logits.argmax(1) == own[rows]).sum())
        log_probability = logits.log_softmax(1)
        products.append((log_probability.exp() * log_probability).sum())
    return reduce(add, right).to(first.dtype) / len(first), reduce(add, products) / -len(first)
