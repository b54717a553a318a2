"""Scores of a classifier in percent: top-k, mean per class, and VOC2007's 11-point mAP (App. B.8)."""

import torch
from torch import Tensor


def top_k(logits: Tensor, labels: Tensor, k: int) -> float:
    """Share of rows whose label is among the k largest logits, in percent.

    `logits` is (N, C) with N >= 1, `labels` int64 (N,). With k of C or more every row counts as right.
    """
    largest = logits.topk(min(k, logits.shape[1]), dim=1).indices  # (N, k)
    return 100 * int((largest == labels[:, None]).sum()) / len(labels)


def mean_per_class(logits: Tensor, labels: Tensor, classes: int) -> float:
    """Mean over the classes that occur in `labels` of the share of their rows classified right, in percent.

    `logits` is (N, classes), `labels` int64 (N,). The metric of Aircraft, Pets, Caltech-101 and Flowers.
    """
    count = torch.bincount(labels, minlength=classes)
    right = torch.bincount(labels[logits.argmax(1) == labels], minlength=classes)
    occurs = count > 0
    return 100 * float((right[occurs].double() / count[occurs]).mean())


def eleven_point_map(scores: Tensor, targets: Tensor) -> float:
    """Average precision at 11 recalls, averaged over the classes that have a positive, in percent.

    `scores` and `targets` are (N, C); a target is 1 (positive), 0 (negative) or -1 (difficult: left out). For one
    class it is the mean over t in 0, 0.1, ..., 1 of the highest precision at a recall of at least t (Everingham
    et al. 2010, section 4.2.1). Rows of equal score are retrieved together, so the order of rows never matters.
    Raises ValueError where no class has a positive.
    """
    positive = (targets == 1).any(0).tolist()
    found = [
        _average_precision(score, target)
        for score, target, occurs in zip(scores.unbind(1), targets.unbind(1), positive, strict=True)
        if occurs
    ]
    if not found:
        raise ValueError("no class has a positive, so there is no average precision")
    return 100 * sum(found) / len(found)


def _average_precision(score: Tensor, target: Tensor) -> float:
    """Of one class, as a share: `score` (n,) and `target` (n,) of 1, 0 and -1 (left out), with at least one 1."""
    known = target >= 0
    target = target[known]
    score, order = score[known].sort(descending=True)
    last = torch.cat([score[1:] != score[:-1], score.new_ones(1, dtype=torch.bool)])  # of its group of equal scores
    hits = target[order].long().cumsum(0)
    precision = (hits.double() / torch.arange(1, len(hits) + 1, device=hits.device))[last]
    tenths = 10 * hits[last]  # whole numbers: 0.3 of 10 positives is 3 of them
    enough = tenths >= torch.arange(11, device=hits.device)[:, None] * hits[-1]  # (11, groups)
    highest: list[float] = torch.where(enough, precision, 0.0).amax(1).tolist()
    return sum(highest) / 11
